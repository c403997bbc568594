"""Gemini CLI as a worker: the queue through MCP, a policy that fails closed, a home of its own.

The home holds the settings of this one worker and links to the user's login, so that none of the
user's own servers, extensions, hooks and policies has a part in the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from hypervisor.agents import client, limits
from hypervisor.agents.gemini import policy as gemini_policy
from hypervisor.agents.mcp import SERVER
from hypervisor.ledger import Claim
from hypervisor.system import protected
from hypervisor.system.errors import HypervisorError
from hypervisor.system.processes import exit_text
from hypervisor.system.reading import at
from hypervisor.system.text import count, one_line

INSTALL = "npm install -g @google/gemini-cli"
_LOGIN = ("oauth_creds.json", "google_accounts.json", "gemini-credentials.json", "installation_id",
          ".env")  # fmt: skip
# What the client says of itself by its exit code, before it talks to any service.
_REFUSED = {
    41: "not logged in",
    44: "its sandbox can't start",
    52: "its settings are broken",
    55: "the folder is not trusted",
}
_NAMES_MODEL = re.compile(r"-m|--model(=|$)")
_NOT_OURS = ("is not found", "api key not valid", "unauthenticated", "permission_denied",
             "api_key_invalid", '"code":401', '"code":403', '"code":404')  # fmt: skip


class Gemini(client.Headless):
    """The client; `words` are added to its command line."""

    name = "gemini"
    start_gap = 0.5

    def __init__(self, model: str | None, turns: int, words: Sequence[str]) -> None:
        self.model, self._turns, self._words = model, turns, list(words)
        self._program = ""
        named = model is not None or any(_NAMES_MODEL.match(word) for word in words)
        # Without a model's name the client asks a small model first which one to take.
        self.unseen = "" if named else "the choice of a model"

    def check(self, root: str) -> None:
        """Find the client and set up the server that it will start. Raises HypervisorError."""
        self._program = client.find("gemini", INSTALL)
        if any(word == "--yolo" or word.startswith("--approval-mode") for word in self._words):
            raise HypervisorError(
                "workers run in the default approval mode, which fails closed",
                "leave out --yolo and --approval-mode; grant commands with "
                "'hypervisor open --allow-command'",
            )
        client.set_up_server()

    def start(self, place: client.Place, claim: Claim | None = None) -> client.Start:
        """Lay out the agent's home and policy, and return how to start it."""
        policy = place.folder / "policy.toml"
        policy.write_text(gemini_policy.policy(place.commands), encoding="utf-8")
        ignored = place.folder / "ignored"
        ignored.write_text("\n".join((*protected.FOLDERS, *protected.FILES)), encoding="utf-8")
        environment = lay_out(place, self._settings(place, str(ignored)))
        words = [self._program, "--skip-trust", "--approval-mode=default"]
        words += ["--policy", str(policy), "-o", "stream-json"]
        if self.model is not None:
            words += ["-m", self.model]
        return client.Start([*words, *self._words], environment, self._prompt(place))

    def stream(self, place: client.Place) -> GeminiStream:
        return GeminiStream()

    def transcript(self, place: client.Place, stream: client.Stream) -> str | None:
        found = sorted((place.folder / "home").glob(".gemini/tmp/*/chats/session-*.jsonl"))
        return str(found[-1]) if found else None

    def _settings(self, place: client.Place, ignored: str) -> dict[str, object]:
        # The client keeps from servers what looks like a secret, unless it is named. It reads the
        # value from its own environment, so that no password stands in the file.
        passed, made = client.server_environment(place)
        server = {
            "command": client.own_program(),
            "args": ["serve", "--queue", place.queue],
            "cwd": place.root,
            "env": {name: f"${{{name}}}" for name in passed} | made,
        }
        return {
            "model": {"maxSessionTurns": self._turns},
            "context": {"fileFiltering": {"customIgnoreFilePaths": [ignored]}},
            "mcpServers": {SERVER: server},
        }

    def _prompt(self, place: client.Place) -> str:
        items = place.agent.items
        most = "tasks until none is left"
        if items is not None:
            most = f"at most {count(items, 'task')}, then stop"
        granted = ", ".join(f"`{command}`" for command in place.commands)
        allowed = f"You may run command lines that begin with {granted}." if granted else ""
        return (
            client.prompt("prompts/gemini-task-worker.md")
            + f"\n## This run\n\nClaim and complete {most}. Call `claim_next_task` with `caller` "
            f'"gemini" and no project. {allowed}\n'
        )


def lay_out(place: client.Place, more: dict[str, object]) -> dict[str, str]:
    """Lay out a home in `place`, with the user's login and `more` settings; return the whole
    environment of a client that lives in it."""
    home = place.folder / "home" / ".gemini"
    home.mkdir(parents=True, exist_ok=True)
    theirs: dict[str, object] = {}
    with contextlib.suppress(OSError, ValueError):
        theirs = client.event((_user_folder() / "settings.json").read_text(encoding="utf-8"))
    auth = at(theirs, "security", "auth")
    if auth is None and os.environ.get("GEMINI_API_KEY"):
        auth = {"selectedType": "gemini-api-key"}
    settings = {
        "security": {"auth": auth or {}},
        "general": {
            "enableAutoUpdate": False,
            "enableAutoUpdateNotification": False,
            # The pool waits better: it starts no further agent meanwhile.
            "maxAttempts": 2,
        },
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        **more,
    }
    (home / "settings.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    for name in _LOGIN:
        own = _user_folder() / name
        if own.exists() and not (home / name).is_symlink():
            (home / name).symlink_to(own.resolve())
    environment = client.scrubbed(place, prefixes=("GEMINI_", "GOOGLE_")) | {
        "GEMINI_CLI_HOME": str(home.parent),
        # By itself the client starts again as its own child, for a larger heap. An agent's
        # context is small, a second start costs a second of CPU, and one process is what a
        # kill of its group wants.
        "GEMINI_CLI_NO_RELAUNCH": "true",
    }
    environment.pop("GEMINI_CLI_TRUST_WORKSPACE", None)
    return environment


class GeminiStream(client.Stream):
    """Reads `-o stream-json`."""

    def __init__(self) -> None:
        super().__init__()
        self._result: dict[str, object] | None = None
        self._calls: dict[str, str] = {}
        self._server_tool = f"mcp_{SERVER}_"

    def feed(self, line: str) -> None:
        """Take in one event; what is none is passed over."""
        event = client.event(line)
        kind = event.get("type")
        if kind == "init":
            self.session = str(event.get("session_id", ""))
        elif kind == "message" and event.get("role") == "assistant":
            text = str(event.get("content", ""))
            self.last = (self.last + text if event.get("delta") else text)[-4000:]
        elif kind == "tool_use":
            self.usages += 1
            self.tool = str(event.get("tool_name", "")).removeprefix(self._server_tool)
            self._calls[str(event.get("tool_id"))] = self.tool
            self.last = ""
        elif kind == "tool_result":
            called = self._calls.pop(str(event.get("tool_id")), "")
            if called == "claim_next_task" and event.get("status") == "success":
                self.asked = True
        elif kind == "result":
            self._result = event

    def end(self, code: int) -> client.End:
        """Return how the run ended, by its `result` event first."""
        result = self._result
        if result is None:
            why = _REFUSED.get(code)
            said = next((line for line in self.complaints if line.strip()), "")
            if why is not None:
                return client.End("refused", f"{why}: {one_line(said, 200)}", self.last)
            return client.End("failed", f"ended by {exit_text(code)}", self.last)
        if result.get("status") == "success":
            if not self.asked:
                return client.End(
                    "refused",
                    "it never reached the task_manager server: see 'gemini mcp list' and "
                    "'hypervisor serve --setup'",
                    self.last,
                )
            return client.End("finished", "", self.last)
        text = str(at(result, "error", "message") or "")
        if at(result, "error", "type") == "FatalTurnLimitedError":
            return client.End("limited", "the client's turn limit was reached", self.last)
        limit = limits.read(text, status=429 if code == 429 % 256 else None)
        if limit is not None:
            return client.End("rate_limited", client.brief(text), self.last, limit)
        squeezed = text.lower().replace(" ", "")
        refused = any(sign.replace(" ", "") in squeezed for sign in _NOT_OURS)
        return client.End("refused" if refused else "failed", client.brief(text), self.last)


def _user_folder() -> Path:
    """Return where the user's own settings of the client are."""
    home = os.environ.get("GEMINI_CLI_HOME") or os.path.expanduser("~")
    return Path(home) / ".gemini"
