"""Codex CLI: workers only, no hooks in its sessions."""

from __future__ import annotations

from hypervisor.agents.clients import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hypervisor.agents.client import Headless, Judge
    from hypervisor.agents.finding import Finding
    from hypervisor.agents.usage import Usage


class CodexCLI(Client):
    """See `Client`."""

    title = "Codex CLI"
    variables = ("CODEX_", "OPENAI_")
    needs_server = True
    no_commands = "each command runs, inside of its sandbox; it has no list of those that may"

    def headless(self, *, model: str | None, turns: int, words: Sequence[str]) -> Headless:
        from hypervisor.agents.codex.client import Codex

        return Codex(model, turns, words)

    def judge(self, *, model: str | None, words: Sequence[str]) -> Judge:
        from hypervisor.agents.codex.judging import CodexJudge

        return CodexJudge(model, words)

    def look(self, root: str, seconds: float) -> list[Finding]:
        from hypervisor.agents.codex import doctor

        return doctor.look(root, seconds)

    def wrote(self, first: str) -> bool:
        return '"session_meta"' in first

    def sum_up(self, rows: Iterable[str]) -> Usage:
        from hypervisor.agents.codex import rollout

        return rollout.sum_up(rows)


CLIENT = CodexCLI()
