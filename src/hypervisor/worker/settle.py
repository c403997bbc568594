"""Housekeeping: what nobody may be there to do is done by whoever looks next, in one order.

Whoever is about to tell or decide something by the state of things settles first: the verbs that
look, the clients' events, the MCP server, the pool, `integrate`; above `triage` by way of
`agents.reconcile`, which also reads what ended agents have used. `take` settles where it would hand
out nothing. Nobody else calls `Ends.expire`; the ledger's own verbs end what is late within their
transactions. A report is written with `outbox.flush` by what has just accepted it, and by `take`,
which comes after every crash.
"""

from __future__ import annotations

from hypervisor.ledger.sessions import POOL
from hypervisor.system.errors import NotOwner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.ledger import Ledger
    from hypervisor.ledger.rows import Agent, Held, Session


def settle(ledger: Ledger, *, limit: int | None = 200) -> tuple[int, list[str]]:
    """End what nobody works on any more, then write the reports that are pending, at most `limit`.

    Returns how many claims ended, and the ids of agents that ended with their sessions: what they
    have used is to be read.
    """
    from hypervisor.worker import handed, outbox

    if getattr(ledger.store.engine, "is_copy", False):
        return 0, []
    count, agents = 0, []
    for row in ledger.sessions.at_work():
        if ledger.sessions.is_gone(row):
            freed, ended = end_session(ledger, row.id, gone=True)
            count += freed
            agents += ended
    count += ledger.ends.expire()
    handed.forget_ended(ledger)
    outbox.flush(ledger, limit)
    return count, agents


def end_session(ledger: Ledger, session: str, *, gone: bool = False) -> tuple[int, list[str]]:
    """The session is over, its workers with it: free what they hold. That costs nothing, unless the
    session is `gone` without a word: what one of its items has done may have taken it down.

    An agent that is a process of its own may outlive its session: it keeps its items until it ends.
    Returns how many claims ended, and the ids of the agents that did.
    """
    known = ledger.sessions.find(session)
    lasting = {row.id for row in ledger.agents.alive(session) if _lives(ledger, known, row)}
    held = [row for row in ledger.sessions.held_by(session) if row.agent not in lasting]
    if gone:
        what = "pool" if session.startswith(POOL) else "session"
        freed = end_all(ledger, held, "gone", f"its {what} was gone in the middle of it")
    else:
        freed = end_all(ledger, held, "freed", "the session ended")
    ended = [row.id for row in ledger.agents.alive(session) if row.id not in lasting]
    for agent in ended:
        ledger.agents.note(agent, session, how="session ended")
    ledger.followers.unfollow(session)
    return freed, ended


def end_all(ledger: Ledger, held: Iterable[Held], how: str, cause: str) -> int:
    """End the claims `held` (rows) without a report and return how many; those that have ended
    meanwhile stay so."""
    count = 0
    for row in held:
        try:
            ledger.ends.end(row.token, how, cause)
            count += 1
        except NotOwner:
            continue
    return count


def _lives(ledger: Ledger, session: Session | None, agent: Agent) -> bool:
    if session is None or agent.pid is None:
        return False
    return not ledger.sessions.is_gone(session, agent)
