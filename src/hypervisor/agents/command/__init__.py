"""Any command as a worker: one process per item."""

from __future__ import annotations

from hypervisor.agents.clients import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypervisor.agents.client import Headless, Judge


class AnyCommand(Client):
    """See `Client`."""

    title = "any command"

    def headless(self, *, model: str | None, turns: int, words: Sequence[str]) -> Headless:
        from hypervisor.agents.command.client import Command

        return Command(words)

    def judge(self, *, model: str | None, words: Sequence[str]) -> Judge:
        from hypervisor.agents.command.judging import CommandJudge

        return CommandJudge(words)


CLIENT = AnyCommand()
