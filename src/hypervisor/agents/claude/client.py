"""`claude -p` as a worker: the queue through the command line, an allow-list, and nothing else.

Settings, hooks, plugins and MCP servers of the user and of the project have no part in the run.
"""

from __future__ import annotations

import glob
import os
import uuid
from collections.abc import Sequence

from hypervisor.agents import client, limits
from hypervisor.agents.claude import bounds
from hypervisor.ledger import Claim
from hypervisor.ledger.usage import KINDS
from hypervisor.system.errors import HypervisorError
from hypervisor.system.processes import exit_text
from hypervisor.system.reading import at, objects
from hypervisor.system.text import count, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.usage import Bill, OfModel

INSTALL = "npm install -g @anthropic-ai/claude-code"
_NOT_OURS = ("not logged in", "please run /login", "invalid api key", "authentication",
             "issue with the selected model", "not_found_error", "oauth token")  # fmt: skip


_FIGURES = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")


class Claude(client.Headless):
    """The client; `words` are added to its command line."""

    name = "claude"
    start_gap = 0.5

    def __init__(self, model: str | None, turns: int, words: Sequence[str]) -> None:
        self.model, self._turns, self._words = model or "haiku", turns, list(words)
        self._program = ""

    def check(self, root: str) -> None:
        self._program = client.find("claude", INSTALL)
        for word in self._words:
            if "dangerously" in word or word.startswith("--permission-mode"):
                raise HypervisorError(
                    "workers run with an allow-list and everything else denied",
                    f"leave out {word}; grant commands with 'hypervisor open --allow-command'",
                )

    def start(self, place: client.Place, claim: Claim | None = None) -> client.Start:
        words = [
            self._program,
            "-p",
            *("--output-format", "stream-json", "--verbose"),
            *("--permission-mode", "dontAsk"),
            *("--setting-sources", ""),
            "--strict-mcp-config",
            *("--tools", ",".join(bounds.TOOLS)),
            *("--allowedTools", ",".join(bounds.allowed(place))),
            *("--disallowedTools", ",".join(bounds.denied())),
            *("--model", self.model or "haiku"),
            *("--max-turns", str(self._turns)),
            *("--session-id", str(uuid.uuid4())),
        ]
        return client.Start([*words, *self._words], environment(place), self._prompt(place))

    def stream(self, place: client.Place) -> ClaudeStream:
        return ClaudeStream()

    def transcript(self, place: client.Place, stream: client.Stream) -> str | None:
        if not stream.session:
            return None
        base = os.environ.get("CLAUDE_CONFIG_DIR") or os.path.expanduser("~/.claude")
        name = glob.escape(f"{stream.session}.jsonl")
        found = glob.glob(os.path.join(glob.escape(base), "projects", "*", name))
        return found[0] if found else None

    def _prompt(self, place: client.Place) -> str:
        items = place.agent.items
        most = "" if items is None else f" Stop after {count(items, 'item')}."
        granted = ", ".join(f"`{command}`" for command in place.commands)
        allowed = f" Besides `hypervisor`, you may run {granted}." if granted else ""
        role = "worker" if place.tree is None else "worker-isolated"
        return client.prompt(f"prompts/{role}.md") + f"\nqueue {place.queue}.{most}{allowed}\n"


def environment(place: client.Place) -> dict[str, str]:
    """Return the whole environment of a client in `place`."""
    told = client.scrubbed(
        place, frozenset(("IS_SANDBOX",)), ("ANTHROPIC_", "CLAUDE_", "AWS_", "DISABLE_")
    )
    for name in ("CLAUDE_CODE_SESSION_ID", "CLAUDE_PID", "CLAUDE_CODE_ENTRYPOINT"):
        told.pop(name, None)
    folder = os.path.dirname(client.own_program())
    told["PATH"] = f"{folder}:{told.get('PATH', os.defpath)}"
    told["CLAUDE_CODE_TMPDIR"] = str(place.tmp)
    # The pool waits better: it starts no further agent meanwhile.
    told.setdefault("CLAUDE_CODE_MAX_RETRIES", "3")
    # A command that outlives its call would outlive the item.
    told["CLAUDE_CODE_DISABLE_BACKGROUND_TASKS"] = "1"
    return told


def _bill(result: dict[str, object]) -> Bill | None:
    """Return what a `result` event says that the run has cost, None where it does not."""
    usd = result.get("total_cost_usd")
    if not isinstance(usd, (int, float)) or not 0 <= usd < 1e6:
        return None
    models: dict[str, OfModel] = {}
    told = result.get("modelUsage")
    for name, of in told.items() if isinstance(told, dict) else ():
        figures = [at(of, key) for key in _FIGURES]
        cost = at(of, "costUSD")
        if all(isinstance(one, int) for one in figures) and isinstance(cost, (int, float)):
            tokens = {kind: int(str(one)) for kind, one in zip(KINDS, figures, strict=True)}
            models[name] = {"tokens": tokens, "usd": float(cost)}
    return float(usd), models


class ClaudeStream(client.Stream):
    """Reads `--output-format stream-json`."""

    def __init__(self) -> None:
        super().__init__()
        self._result: dict[str, object] | None = None
        self._resume_at: float | None = None

    def feed(self, line: str) -> None:
        """Take in one event; what is none is passed over."""
        event = client.event(line)
        kind = event.get("type")
        if kind == "system" and event.get("subtype") == "init":
            self.session = str(event.get("session_id", ""))
        elif kind == "assistant":
            self._assistant(event.get("message"))
        elif kind == "rate_limit_event":
            told = event.get("rate_limit_info")
            self.windows = {**self.windows, **limits.windows(told)}
            then = at(told, "resetsAt")
            if isinstance(then, (int, float)) and at(told, "status") == "rejected":
                self._resume_at = float(then)
        elif kind == "result":
            self._result = event
            self.bill = _bill(event) or self.bill

    def _assistant(self, message: object) -> None:
        self.usages += at(message, "usage") is not None
        for block in objects(at(message, "content")):
            if block.get("type") == "text":
                self.last = str(block.get("text", ""))[-4000:]
            elif block.get("type") == "tool_use":
                self.tool = str(block.get("name", ""))
                command = at(block, "input", "command")
                if isinstance(command, str) and command.startswith("hypervisor next"):
                    self.asked = True

    def end(self, code: int) -> client.End:
        """Return how the run ended, by its last `result` event first."""
        result = self._result
        if result is None:
            said = next((line for line in self.complaints if line.strip()), "")
            if code > 0 and said:
                return client.End("refused", one_line(said, 300), self.last)
            return client.End("failed", f"ended by {exit_text(code)}", self.last)
        subtype, text = str(result.get("subtype", "")), str(result.get("result") or "")
        if subtype == "error_max_turns":
            return client.End("limited", "the client's turn limit was reached", self.last)
        if not result.get("is_error") and subtype == "success":
            return client.End("finished", "", self.last)
        status = result.get("api_error_status")
        limit = limits.read(
            text, status=status if isinstance(status, int) else None, resets_at=self._resume_at
        )
        if limit is not None:
            return client.End("rate_limited", client.brief(text), self.last, limit)
        refused = any(sign in text.lower() for sign in _NOT_OURS)
        cause = client.brief(text) or subtype or exit_text(code)
        return client.End("refused" if refused else "failed", cause, self.last)
