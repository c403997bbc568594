"""What an agent of a pool may claim and end."""

from __future__ import annotations

from hypervisor.config.caller import in_pool
from hypervisor.system.errors import NotAllowed
from hypervisor.system.keys import key
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hypervisor.config.caller import PoolAgent
    from hypervisor.ledger import Ledger


def same_queue(agent: PoolAgent | None, queue: str) -> None:
    """Raise NotAllowed if `agent` is held to another queue."""
    if agent is not None and agent.queue not in (None, queue):
        raise NotAllowed(
            f"queue {one_line(queue, 60)} is not the one of this worker",
            f"hypervisor next {agent.queue}",
        )


def own_claim(token: str, row: Any) -> None:
    """Raise NotAllowed if this process is a pool's agent and the claim in `row` is another's."""
    agent = in_pool()
    if agent is not None and (row["session"], row["agent"]) != (agent.session, agent.name):
        raise NotAllowed(
            f"claim {one_line(token, 60)} is not this worker's", "end the item that it was handed"
        )


def share_left(ledger: Ledger, agent: PoolAgent) -> int:
    """Return how many more items an agent of a pool may claim: 0 once its pool drains."""
    if ledger.state.folder.look(drain_mark(agent.session)) is not None:
        return 0
    if agent.items is None:
        return 1 << 30
    return max(0, agent.items - len(ledger.agent_claims(agent.name)))


def drain_mark(session: str) -> str:
    """Return the file of the state whose presence keeps the agents of a pool from claiming more."""
    return f"drain-{key(session)}"
