"""`claude -p` as a judge: one turn, no tools, nothing of anybody's settings."""

from __future__ import annotations

from collections.abc import Sequence

from hypervisor.agents import client
from hypervisor.agents.claude import transcript
from hypervisor.agents.claude.client import INSTALL, ClaudeStream, environment
from hypervisor.ledger.usage import KINDS
from hypervisor.system.processes import Said
from hypervisor.system.reading import at

_MAY = ("--effort", "--fallback-model", "--max-budget-usd", "--betas")


class ClaudeJudge(client.Judge):
    """The client; `words` are added to its command line."""

    def __init__(self, model: str | None, words: Sequence[str]) -> None:
        self.name = model or "haiku"
        self._words = list(words)
        self._program = ""

    def check(self) -> None:
        client.only(self._words, _MAY)
        self._program = client.find("claude", INSTALL)

    def start(self, place: client.Place, text: str) -> client.Start:
        words = [
            self._program,
            "-p",
            *("--output-format", "json"),
            *("--permission-mode", "dontAsk"),
            *("--setting-sources", ""),
            "--strict-mcp-config",
            *("--tools", ""),
            *("--system-prompt", client.SYSTEM),
            "--disable-slash-commands",
            # Each question would be kept as a session of the user's.
            "--no-session-persistence",
            *("--model", self.name),
            *("--max-turns", "1"),
        ]
        return client.Start([*words, *self._words], environment(place), client.unmentioned(text))

    def read(self, place: client.Place, said: Said) -> client.Answer:
        stream = ClaudeStream()
        client.finished(stream, said)
        told = client.event(said.out)
        used = [at(told, "usage", name) for name in transcript.KINDS]
        known = {kind: n for kind, n in zip(KINDS, used, strict=True) if isinstance(n, int)}
        usd = stream.bill[0] if stream.bill is not None else None
        tokens = known if len(known) == len(KINDS) else None
        return client.Answer(str(told.get("result") or ""), tokens, usd)
