"""How much an agent of a pool may still claim."""

from __future__ import annotations

from hypervisor.system.keys import key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.caller import PoolAgent
    from hypervisor.ledger import Ledger


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
