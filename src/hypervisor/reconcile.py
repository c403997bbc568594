"""What becomes of a worker's items when the worker ends, by whatever way we learn of it.

Every rule may run twice, late, or not at all: the lease ends a claim that nobody speaks for.
"""

from __future__ import annotations

import os
import time

from hypervisor import caller, outbox, outputs
from hypervisor.system.errors import HypervisorError, NotOwner
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from hypervisor.ledger import Ledger
    from hypervisor.usage import Tokens

# A hook of the ending worker may still be at work for so many seconds.
_REST = 2.0
_LAG = 0.4
_QUICK_BYTES = 4 << 20
_META_BYTES = 1 << 16
_STOPPED = "the user stopped its worker"
_RATE_LIMIT = r"\b429\b|rate.?limit|usage limit|quota|overloaded|\b529\b"


def is_rate_limit(text: str) -> bool:
    """True for an error that comes from the service's limits, not from the item."""
    # Most who come here look at no error, and the module takes longer to load than that takes.
    import re

    return bool(re.search(_RATE_LIMIT, text, re.IGNORECASE))


def stopped(
    ledger: Ledger, session: str, agent: str, *, last_message: str, again: bool
) -> str | None:
    """A worker has ended its turn. Return what sends it back to report what it still holds.

    It is sent back once per item. One that stops `again` with an item in its hands has not
    reported it: that costs an attempt, and the task's body gets a report that says so.
    """
    held = ledger.held_by(session, agent)
    if not held:
        return None
    fresh = [] if again else ledger.send_back([row["token"] for row in held])
    if fresh:
        tokens = " and ".join(fresh)
        return (
            f"You still hold {tokens}. End it now with the done or block command that came with "
            f"it, or give it back: hypervisor release {fresh[0]}"
        )
    for row in held:
        _unreported(ledger, row, last_message)
    return None


def overrun(ledger: Ledger, session: str, agent: str) -> str | None:
    """Count a tool call of a worker, and end what it has used more for than its queue allows: that
    costs an attempt. Return what tells the worker so, or None."""
    past = ledger.count_call(session, agent)
    if not past:
        return None
    # Ends those whose time is over.
    ledger.expire()
    for row in past:
        try:
            ledger.end(row["token"], "unreported", row["cause"])
        except NotOwner:
            continue
    outbox.flush(ledger)
    tokens = " and ".join(row["token"] for row in past)
    return (
        f"hypervisor: you no longer own {tokens}: {past[0]['cause']}. Stop work on that item at "
        f"once, nothing more of it counts; go on with: hypervisor next {past[0]['queue_name']}"
    )


def died(ledger: Ledger, session: str, agent: str, cause: str) -> None:
    """A worker ended by a crash, a turn limit or an API error: its items count a death.

    Where its transcript ends in an error of the service, that is the cause: a rate limit is no
    death, whatever the client says of it.
    """
    held = ledger.held_by(session, agent)
    known = ledger.agent(agent) if held else None
    if known is not None and known["transcript"]:
        if _mark(known["transcript"], "stoppedByUser"):
            person_stopped(ledger, session, agent)
            return
        from hypervisor import usage

        # The row is written when the client already tells of the end.
        until = time.monotonic() + _LAG
        while not (error := usage.last_error(known["transcript"])) and time.monotonic() < until:
            time.sleep(0.05)
        if error and is_rate_limit(error):
            rate_limited(ledger, session, agent, error)
            return
        cause = error or cause
    _end_all(ledger, held, "died", cause)


def freed(ledger: Ledger, session: str, agent: str, cause: str) -> None:
    """A worker is no more, and not for anything of its items: they are ready again at no cost."""
    _end_all(ledger, ledger.held_by(session, agent), "freed", cause)


def person_stopped(
    ledger: Ledger, session: str, agent: str, *, transcript: str | None = None
) -> None:
    """A person stopped a worker: what it holds is free at no cost, and no session is to start
    others in its place until somebody goes on with the queue."""
    freed(ledger, session, agent, _STOPPED)
    known = ledger.agent(agent)
    first = known is None or known["ended_at"] is None
    if ledger.note_agent(agent, session, transcript=transcript, how=_STOPPED):
        known = ledger.agent(agent)
        if first:
            ledger.note_stop(known["queue"])
        outbox.flush(ledger)
        collect(ledger, agent)


def rate_limited(ledger: Ledger, session: str, agent: str, text: str) -> None:
    """The service refuses work for now: free the worker's items and pause their queues."""
    held = ledger.held_by(session, agent)
    _end_all(ledger, held, "freed", "rate limit")
    queues = {row["queue_name"] for row in held}
    if not queues:
        queues = {queue["name"] for queue in ledger.followed(session)}
    for name in queues:
        try:
            ledger.pause(name, f"rate limit: {one_line(text, 120)}")
        except HypervisorError:
            continue


def missing(ledger: Ledger, session: str, running: set[str] | None) -> None:
    """End the claims of agents that the client no longer lists as `running`; None: that is not
    known, only that a person has stopped some.

    Where it lists none, what nobody is known to hold is free too: a worker that is stopped in the
    middle of a call has claimed, and no event has told who it is.
    """
    for row in ledger.agents_alive(session):
        if row["id"] not in (running or ()) and _stopped_by_person(row):
            person_stopped(ledger, session, row["id"])
    if running is None:
        running = {row["id"] for row in ledger.agents_alive(session)}
    else:
        for row in ledger.held_by(session):
            if row["agent"] and row["agent"] not in running:
                died(ledger, session, row["agent"], "its worker ended without a word")
    if not running:
        held = [row for row in ledger.held_by(session) if row["agent"] is None]
        _end_all(ledger, held, "freed", "its worker was gone before it was known")


def finished(ledger: Ledger, session: str) -> None:
    """End the claims of agents that the client has marked as finished, however they ended.

    A turn limit ends a worker without any event; the mark is in the file beside its transcript.
    """
    for row in ledger.agents_alive(session):
        if _stopped_by_person(row):
            person_stopped(ledger, session, row["id"])
            continue
        held = ledger.held_by(session, row["id"])
        since = max((item["claimed_at"] for item in held), default=0.0)
        if row["transcript"] and _marked_finished(row["transcript"], since):
            died(ledger, session, row["id"], "its worker ended without a report")
            ledger.note_agent(row["id"], session, how="finished")
            collect(ledger, row["id"])


def _marked_finished(transcript: str, since: float) -> bool:
    """True if the agent of `transcript` was marked as finished after `since`, and rests."""
    try:
        marked = os.stat(_meta_of(transcript)).st_mtime
    except OSError:
        return False
    return since < marked < time.time() - _REST and _mark(transcript, "finished")


def _stopped_by_person(agent: Any) -> bool:
    """True if the client has marked an agent (its row) as stopped by its user."""
    return bool(agent["transcript"]) and _mark(agent["transcript"], "stoppedByUser")


def _mark(transcript: str, name: str) -> bool:
    """True if the client has marked the agent of `transcript` so, in the file beside it."""
    import json

    try:
        # As much as it ever holds, and more.
        with open(_meta_of(transcript), "rb") as source:
            meta = json.loads(source.read(_META_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(meta, dict) and meta.get(name) is True


def _meta_of(transcript: str) -> str:
    return transcript.removesuffix(".jsonl") + ".meta.json"


def session_ended(ledger: Ledger, session: str) -> None:
    """The session is over, its workers with it: free what they hold, at no cost.

    An agent that is a process of its own may outlive its session: it keeps its items until it ends.
    """
    alive = {row["id"] for row in ledger.agents_alive(session) if _lives(row)}
    held = [row for row in ledger.held_by(session) if row["agent"] not in alive]
    _end_all(ledger, held, "freed", "the session ended")
    for row in ledger.agents_alive(session):
        if row["id"] in alive:
            continue
        ledger.note_agent(row["id"], session, how="session ended")
        collect(ledger, row["id"])
    ledger.unfollow(session)


def _lives(agent: Any) -> bool:
    return agent["pid"] is not None and not caller.is_gone(agent["pid"], agent["pid_start"])


def gone_sessions(ledger: Ledger) -> None:
    """Do the same for sessions whose client was killed: their process is gone for certain."""
    for row in ledger.sessions_at_work():
        if caller.is_gone(row["pid"], row["pid_start"]):
            session_ended(ledger, row["id"])


def collect(
    ledger: Ledger,
    agent: str,
    *,
    wait: float = 0,
    clean: Callable[[bytes], bytes] | None = None,
) -> None:
    """Sum up what an agent has used and keep its transcript, each line of it passed to `clean`.

    The file lags behind the agent's end: for `wait` seconds its last message is waited for.
    """
    row = ledger.agent(agent)
    if row is None or not row["transcript"]:
        return
    from hypervisor import usage

    until = time.monotonic() + wait
    while True:
        try:
            used = usage.read_transcript(row["transcript"])
        except OSError:
            return
        if used.complete or time.monotonic() >= until:
            break
        time.sleep(0.05)
    name = ledger.queue_name(row["queue"])
    kept = outputs.keep(ledger.state, name, agent, row["transcript"], clean)
    total = used.total if used.known else None
    items = used.items | _by_token(ledger, agent, used.by_id)
    ledger.set_usage(agent, total, items, complete=used.complete, kept=kept)


def _by_token(ledger: Ledger, agent: str, by_id: list[tuple[str, Tokens]]) -> dict[str, Tokens]:
    """Return an agent's shares by the tokens of its claims; the n-th share of an id is that of the
    n-th claim of it."""
    claims = ledger.agent_claims(agent) if by_id else []
    shares = {}
    for item_id, figures in by_id:
        at = next((at for at, claim in enumerate(claims) if claim["id"] == item_id), None)
        if at is not None:
            shares[claims.pop(at)["token"]] = figures
    return shares


def note_use(ledger: Ledger, agent: str) -> None:
    """Note what an agent at work has used until now, where its transcript tells."""
    row = ledger.agent(agent)
    if row is None or not row["transcript"] or row["ended_at"] is not None:
        return
    from hypervisor import usage

    try:
        # A tool call waits for this: a long transcript is summed up at the agent's end.
        if os.stat(row["transcript"]).st_size > _QUICK_BYTES:
            return
        used = usage.read_transcript(row["transcript"])
    except OSError:
        return
    if used.known:
        ledger.set_usage(agent, used.total, used.items, complete=False)


def collect_all(ledger: Ledger, queue: str) -> None:
    """Read again what was incomplete when it was last read."""
    for row in ledger.costs(ledger.queue_row(queue)["no"])[0]:
        if not row["complete"]:
            collect(ledger, row["id"])


def _end_all(ledger: Ledger, held: list[Any], how: str, cause: str) -> None:
    for row in held:
        try:
            ledger.end(row["token"], how, cause)
        except NotOwner:
            continue


def _unreported(ledger: Ledger, row: Any, last_message: str) -> None:
    from hypervisor.system.redact import Redactor

    last_message = Redactor().text(last_message)
    try:
        ledger.end(row["token"], "unreported", one_line(last_message, 200))
    except NotOwner:
        return
    outbox.write_unconfirmed(ledger, row, last_message)
