"""`claude -p` as a judge: one turn, no tools, nothing of anybody's settings."""

from __future__ import annotations

from collections.abc import Sequence

from hypervisor.agents import client
from hypervisor.agents.claude.client import INSTALL, environment
from hypervisor.ledger.usage import KINDS
from hypervisor.system.errors import HypervisorError
from hypervisor.system.reading import at
from hypervisor.system.text import one_line

_NAMES = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class ClaudeJudge(client.Judge):
    """The client; `words` are added to its command line."""

    def __init__(self, model: str | None, words: Sequence[str]) -> None:
        self.name = model or "haiku"
        self._words = list(words)
        self._program = ""

    def check(self) -> None:
        """Find the client. Raises HypervisorError."""
        self._program = client.find("claude", INSTALL)

    def start(self, place: client.Place, text: str) -> client.Start:
        """Return how to ask it."""
        words = [
            self._program,
            "-p",
            *("--output-format", "json"),
            *("--permission-mode", "dontAsk"),
            *("--setting-sources", ""),
            "--strict-mcp-config",
            *("--tools", ""),
            *("--model", self.name),
            *("--max-turns", "1"),
        ]
        return client.Start([*words, *self._words], environment(place), text)

    def read(self, output: str) -> tuple[str, dict[str, int] | None]:
        """Return its answer and the tokens of it. Raises HypervisorError for an error of its."""
        told = client.event(output)
        answer = told.get("result")
        if told.get("is_error") or not isinstance(answer, str):
            raise HypervisorError(one_line(answer or output, 300))
        used = [at(told, "usage", name) for name in _NAMES]
        known = {kind: n for kind, n in zip(KINDS, used, strict=True) if isinstance(n, int)}
        return answer, known if len(known) == len(KINDS) else None
