"""What becomes of a worker's items when the worker ends, by whatever way we learn of it.

Every rule may run twice, late, or not at all: the lease ends a claim that nobody speaks for.
"""

from __future__ import annotations

import time

from hypervisor.agents import use
from hypervisor.system.errors import NotOwner
from hypervisor.system.text import one_line
from hypervisor.worker.settle import end_all, end_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.agents.limits import Limit, Windows
    from hypervisor.agents.usage import Failure
    from hypervisor.ledger import Ledger
    from hypervisor.ledger.rows import Agent, Held

# A hook of the ending worker may still be at work for so many seconds.
_REST = 2.0
_LAG = 0.4
_STOPPED = "the user stopped its worker"


def stopped(
    ledger: Ledger, session: str, agent: str, *, last_message: str, again: bool
) -> str | None:
    """A worker has ended its turn. Return what sends it back to report what it still holds.

    It is sent back once per item. One that stops `again` with an item in its hands has not
    reported it: that costs an attempt, and the task's body gets a report that says so.
    """
    held = ledger.sessions.held_by(session, agent)
    if not held:
        return None
    fresh = [] if again else ledger.sessions.send_back([row.token for row in held])
    if fresh:
        tokens = " and ".join(fresh)
        return (
            f"You still hold {tokens}. End it now with the done or block command that came with "
            f"it, or give it back: hypervisor release {fresh[0]}"
        )
    for row in held:
        _unreported(ledger, row, last_message)
    return None


def overrun(ledger: Ledger, past: list[tuple[Held, str]]) -> str:
    """End what a worker has used more for than its queue allows (as of `count_call`): that
    costs an attempt. Return what tells the worker so."""
    for row, cause in past:
        try:
            ledger.ends.end(row.token, "unreported", cause)
        except NotOwner:
            # Its time is over, which ends it below.
            continue
    settle(ledger)
    tokens = " and ".join(row.token for row, _ in past)
    return (
        f"hypervisor: you no longer own {tokens}: {past[0][1]}. Stop work on that item at "
        f"once, nothing more of it counts; go on with: hypervisor next {past[0][0].queue_name}"
    )


def died(ledger: Ledger, session: str, agent: str, cause: str) -> None:
    """A worker ended by a crash, a turn limit or an API error: its items count a death.

    Where its transcript ends in an error of the service, that is the cause: a limit is no death,
    whatever the client says of it.
    """
    held = ledger.sessions.held_by(session, agent)
    known = ledger.agents.find(agent) if held else None
    if known is not None and known.transcript:
        if _stopped_by_person(known):
            person_stopped(ledger, session, agent)
            return
        # The row is written when the client already tells of the end.
        error = _last_error(known.transcript, _LAG)
        if error is not None:
            limit = _limit_of(error)
            if limit is not None:
                limited(ledger, session, agent, limit)
                return
            cause = error.text
    end_all(ledger, held, "died", cause)


def _last_error(path: str, wait: float) -> Failure | None:
    """Return the error that ends a transcript; it is waited for, for so many seconds."""
    from hypervisor.agents import transcripts

    client = transcripts.writer_of(path)
    until = time.monotonic() + wait
    while (error := client.last_error(path)) is None and time.monotonic() < until:
        time.sleep(0.05)
    return error


def _limit_of(error: Failure) -> Limit | None:
    from hypervisor.agents import limits

    return limits.read(
        error.text, code=error.code, status=error.status, resets_at=error.resets_at, now=error.at
    )


def failed(
    ledger: Ledger, session: str, agent: str, text: str, *, code: str, transcript: str | None
) -> None:
    """The client tells of an API error that ended a worker, or (without an agent) the session's
    own turn: `text` in its words, `code` its name for it. A limit of the service costs nothing."""
    from hypervisor.agents import limits

    # The words tell the minute at best, while the transcript may have the second.
    error = _last_error(transcript, 0) if agent and transcript else None
    limit = (_limit_of(error) if error is not None else None) or limits.read(text, code=code)
    if limit is not None:
        limited(ledger, session, agent, limit)
    elif agent:
        died(ledger, session, agent, text)


def freed(ledger: Ledger, session: str, agent: str, cause: str) -> None:
    """A worker is no more, and not for anything of its items: they are ready again at no cost."""
    end_all(ledger, ledger.sessions.held_by(session, agent), "freed", cause)


def person_stopped(
    ledger: Ledger, session: str, agent: str, *, transcript: str | None = None
) -> None:
    """A person stopped a worker: what it holds is free at no cost, and no session is to start
    others in its place until somebody goes on with the queue."""
    freed(ledger, session, agent, _STOPPED)
    known = ledger.agents.find(agent)
    first = known is None or known.ended_at is None
    if ledger.agents.note(agent, session, transcript=transcript, how=_STOPPED):
        known = ledger.agents.find(agent)
        if first and known is not None:
            ledger.pauses.note_stop(known.queue)
        use.collect(ledger, agent)


def limited(ledger: Ledger, session: str, agent: str, limit: Limit) -> None:
    """The service refuses work for now: free the worker's items at no cost, and pause their queues
    until it wants to be asked again."""
    held = ledger.sessions.held_by(session, agent)
    end_all(ledger, held, "freed", "rate limit")
    queues = {row.queue_name for row in held}
    if not queues:
        queues = {queue.name for queue in ledger.followers.followed(session)}
    for name in queues:
        pause_for(ledger, name, limit)


def pause_for(ledger: Ledger, queue: str, limit: Limit) -> None:
    """Pause a queue until a limit ends; one that has ended meanwhile, or was paused by a person,
    stays as it is."""
    from hypervisor.agents import limits

    if limit.resume_at is not None and limit.resume_at <= time.time():
        # The news of it came late.
        return
    row = ledger.queues.get(queue)
    if limit.passing and row.state == "open":
        limit = limits.again(limit, ledger.pauses.overloads(row.no), now=time.time())
    word = "overloaded" if limit.passing else "rate limit"
    ledger.pauses.limit(queue, f"{word}: {one_line(limit.text, 120)}", limit.resume_at)


def near_limit(ledger: Ledger, queue: str, windows: Windows, share: float) -> None:
    """Pause a queue where so great a `share` of a usage window is used up, until the window ends.

    What is held may still end. A person who resumes the queue has decided for this window.
    """
    now = time.time()
    for name, (used, resets_at) in windows.items():
        if used >= share and resets_at > now:
            # The same words for the same window, whenever they are said.
            ends = time.strftime("%Y-%m-%d %H:%M", time.localtime(resets_at))
            told = f"{share:.0%} of the {name} window is used, which ends {ends}"
            ledger.pauses.limit(queue, f"rate limit: {told}", resets_at, once=True)


def missing(ledger: Ledger, session: str, running: set[str] | None) -> None:
    """End the claims of agents that the client no longer lists as `running`; None: that is not
    known, only that a person has stopped some.

    Where it lists none, what nobody is known to hold is free too: a worker that is stopped in the
    middle of a call has claimed, and no event has told who it is.
    """
    for one in ledger.agents.alive(session):
        if one.id not in (running or ()) and _stopped_by_person(one):
            person_stopped(ledger, session, one.id)
    if running is None:
        running = {row.id for row in ledger.agents.alive(session)}
    else:
        for row in ledger.sessions.held_by(session):
            if row.agent and row.agent not in running:
                died(ledger, session, row.agent, "its worker ended unnoticed")
    if not running:
        held = [row for row in ledger.sessions.held_by(session) if row.agent is None]
        end_all(ledger, held, "freed", "its worker had ended before it was known")


def finished(ledger: Ledger, session: str) -> None:
    """End the claims of agents that the client has marked as finished, however they ended.

    A turn limit ends a worker without any event.
    """
    for row in ledger.agents.alive(session):
        if _stopped_by_person(row):
            person_stopped(ledger, session, row.id)
            continue
        held = ledger.sessions.held_by(session, row.id)
        since = max((item.claimed_at for item in held), default=0.0)
        if row.transcript and _has_finished(row.transcript, since):
            died(ledger, session, row.id, "its worker ended without a report")
            ledger.agents.note(row.id, session, how="finished")
            use.collect(ledger, row.id)


def _has_finished(path: str, since: float) -> bool:
    """True if the agent whose transcript is `path` was marked as finished after `since`, and
    rests."""
    from hypervisor.agents import transcripts

    marked = transcripts.writer_of(path).finished_at(path)
    return marked is not None and since < marked < time.time() - _REST


def _stopped_by_person(agent: Agent) -> bool:
    """True if the client has marked an agent (its row) as stopped by its user."""
    from hypervisor.agents import transcripts

    path = agent.transcript
    return path is not None and transcripts.writer_of(path).stopped_by_person(path)


def session_ended(ledger: Ledger, session: str, *, gone: bool = False) -> None:
    """The session is over: `settle.end_session`, and what its agents have used."""
    for agent in end_session(ledger, session, gone=gone)[1]:
        use.collect(ledger, agent)


def settle(ledger: Ledger, *, limit: int | None = 200, tell: bool = False) -> int:
    """Do what `worker.settle` does, and read what the agents that ended meanwhile have used;
    return how many claims ended. `tell`: send news, too, which may take a while."""
    from hypervisor.worker import settle as housekeeping

    ended, agents = housekeeping.settle(ledger, limit=limit)
    for agent in agents:
        use.collect(ledger, agent)
    if tell and ledger.notifications.subscribed():
        from hypervisor.agents import notify

        notify.tell(ledger)
    return ended


def _unreported(ledger: Ledger, row: Held, last_message: str) -> None:
    from hypervisor.system.redact import Redactor

    last_message = Redactor().text(last_message)
    try:
        ledger.ends.end(row.token, "unreported", one_line(last_message, 200))
    except NotOwner:
        return
    from hypervisor.worker import outbox

    outbox.write_unconfirmed(ledger, row, last_message)
