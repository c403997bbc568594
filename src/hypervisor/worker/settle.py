"""Housekeeping: what nobody may be there to do is done by whoever looks next, in one order."""

from __future__ import annotations

from hypervisor.system.errors import NotOwner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.ledger import Ledger
    from hypervisor.ledger.rows import Agent, Held


def settle(ledger: Ledger, *, limit: int | None = 200) -> list[str]:
    """End what nobody works on any more, then write the reports that are pending, at most `limit`.

    Sessions whose process is gone come first, since they cost an item nothing; a lease that ran
    out may. Returns the ids of agents that ended with their sessions: what they have used is to be
    read.
    """
    from hypervisor.config import caller
    from hypervisor.worker import outbox

    agents = []
    for row in ledger.sessions.at_work():
        if caller.is_gone(row.pid, row.pid_start):
            agents += end_session(ledger, row.id)
    ledger.ends.expire()
    outbox.flush(ledger, limit)
    return agents


def end_session(ledger: Ledger, session: str) -> list[str]:
    """The session is over, its workers with it: free what they hold, at no cost.

    An agent that is a process of its own may outlive its session: it keeps its items until it ends.
    Returns the ids of the agents that ended.
    """
    lasting = {row.id for row in ledger.agents.alive(session) if _lives(row)}
    held = [row for row in ledger.sessions.held_by(session) if row.agent not in lasting]
    end_all(ledger, held, "freed", "the session ended")
    ended = [row.id for row in ledger.agents.alive(session) if row.id not in lasting]
    for agent in ended:
        ledger.agents.note(agent, session, how="session ended")
    ledger.followers.unfollow(session)
    return ended


def end_all(ledger: Ledger, held: Iterable[Held], how: str, cause: str) -> None:
    """End the claims `held` (rows) without a report; those that have ended meanwhile stay so."""
    for row in held:
        try:
            ledger.ends.end(row.token, how, cause)
        except NotOwner:
            continue


def _lives(agent: Agent) -> bool:
    from hypervisor.config import caller

    return agent.pid is not None and not caller.is_gone(agent.pid, agent.pid_start)
