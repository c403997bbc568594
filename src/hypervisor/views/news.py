"""What a session has to hear of its queues: everything that ended since it was last told.

Whatever wake comes first takes the digest, and takes it alone: nothing is told twice. The texts
of workers in it are bounded, on one line each, and marked as theirs.
"""

from __future__ import annotations

import time

from hypervisor.ledger import outcomes, proofs
from hypervisor.ledger.outcomes import AGAIN, AT_WORK, FINAL, ODD, UNTRIED
from hypervisor.system.quick_json import loads
from hypervisor.system.spans import until
from hypervisor.system.text import count, either, listed, one_line, prose, shortened
from hypervisor.worker.presence import missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger import Ledger
    from hypervisor.ledger.followers import Told
    from hypervisor.ledger.options import Queue
    from hypervisor.ledger.rows import Brief

# What is told of a queue that has items left and nobody at work.
_STILL = ("stalled", "tried", "stopped")
_NO_NEWS = ("paused", "reset", *_STILL)
_IDS_SHOWN = 60
_LINES_SHOWN = 20
_AGAIN_SHOWN = 5
# Workers that start take a while before they claim.
STALL_SECONDS = 60.0
_SETTLE_SECONDS = 1.5


def state_of(ledger: Ledger, queue: Queue, workers: int | None = None) -> str:
    """Return where a queue stands: working, drained, paused, reset, cancelled, replaced, tried,
    stopped or stalled.

    `workers` is how many of the session's agents are alive, where that is known: a queue with
    items left, none of them claimed, and nobody alive to claim one has stalled. One whose limit has
    ended by itself, and of which nobody has claimed anything since, is reset. It is *tried* when
    the items that were tried first have ended, and *stopped* when a person has stopped its workers
    and no other is at work.
    """
    if queue.state != "open":
        return str(queue.state)
    counts = ledger.queues.counts(queue.no)
    if counts["claimed"]:
        return "working"
    if not counts["ready"] or (not workers and missing(ledger, queue.name)[1]):
        return "drained"
    if queue.stopped_at is not None and not (workers or ledger.agents.count(queue.no)[1]):
        return "stopped"
    if not workers and ledger.pauses.reset_at(queue.no) is not None:
        return "reset"
    if queue.trial_at is not None and ledger.queries.tried(queue) >= trial(queue, counts):
        return "tried"
    return "stalled" if workers == 0 else "working"


def trial(queue: Queue, counts: dict[str, int]) -> int:
    """Return how many items of a queue (its row) are tried, and have to be done, before the rest
    is."""
    if queue.canary is not None:
        return int(queue.canary)
    return 3 if sum(counts.values()) > 100 else 1


def take(
    ledger: Ledger,
    session: str,
    *,
    by: str,
    workers: int | None = None,
    at_rest: bool = False,
    queue: str | None = None,
    asked: bool = False,
) -> str | None:
    """Return the digest for `session`, or None where there is no news.

    `by` names the wake that carries it. With `at_rest`, queues that are still being worked on
    keep their news for later. `queue` asks for the news of that queue alone. `workers` as for
    `state_of`: a session whose workers never held an item of a queue hears of no stall, unless it
    has `asked`.
    """
    parts = []
    ledger.pauses.reopen()
    told = ledger.followers.told(session)
    for row in ledger.followers.followed(session):
        before = told[row.no]
        alive = workers if asked or ledger.sessions.has_worked(session, row.no) else None
        state = state_of(ledger, row, alive)
        if (at_rest and state == "working") or (queue is not None and row.name != queue):
            continue
        ended = ledger.followers.ended_since(row.no, before.no)
        last = (ended[-1].finish_no if ended else None) or before.no
        if not ended and not is_news(ledger, row, before, state):
            continue
        told_state = None if state == "working" else state
        if ledger.followers.tell(session, row.no, before.no, last, told_state, by):
            parts.append(_render(ledger, row, state, ended))
    return "\n".join(parts) or None


def expect(ledger: Ledger, session: str, queue: str | None, *, work: bool) -> None:
    """Note whether `session` expects workers on `queue` (None: all that it follows).

    One that has been told that nobody works hears of no rest, until workers are alive again.
    """
    told = ledger.followers.told(session)
    for row in ledger.followers.followed(session):
        number, before = told[row.no]
        if queue in (None, row.name) and before in (None, *_NO_NEWS):
            if before == "paused" and row.state == "paused":
                continue
            reset = not work and ledger.pauses.reset_at(row.no) is not None
            state = None if work else "reset" if reset else "stalled"
            if before != state:
                ledger.followers.tell(session, row.no, number, number, state, "plan")


class Stillness:
    """Notices a stall where the client does not tell how many workers live: long enough nothing
    is claimed. That is soon where all workers that were seen to start have been seen to end."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}

    def workers(
        self, ledger: Ledger, session: str, queue: int, *, asked: bool = False
    ) -> int | None:
        """Return 0 for a queue that has been still for long, else None: not known.

        `asked` says that somebody waits for it, who is to be told also where no worker of the
        session has held an item of it.
        """
        counts = ledger.queues.counts(queue)
        worked = asked or ledger.sessions.has_worked(session, queue)
        if counts["claimed"] or not counts["ready"] or not worked:
            self._since.pop(queue, None)
            return None
        since = self._since.setdefault(queue, time.monotonic())
        known = ledger.sessions.find(session)
        seen = known is not None and known.heard_at is not None
        begun, alive = ledger.agents.count(queue)
        patience = _SETTLE_SECONDS if seen and begun and not alive else STALL_SECONDS
        return 0 if time.monotonic() - since >= patience else None


def is_deserted(ledger: Ledger, queue: int) -> bool:
    """True if items of a queue are left, and nobody holds one or is known to be at work on it."""
    counts = ledger.queues.counts(queue)
    return bool(counts["ready"] and not counts["claimed"] and not ledger.agents.count(queue)[1])


def is_news(ledger: Ledger, queue: Queue, told: Told, state: str) -> bool:
    """True if a session that was `told` so much of a queue has not been told of `state`."""
    if state == "working":
        return False
    if ledger.followers.ended_since(queue.no, told.no):
        return True
    # Whoever opens a queue anew, or an empty one, knows that.
    if state == "replaced" or not any(ledger.queues.counts(queue.no).values()):
        return False
    return state != told.state


def line(ledger: Ledger, queue: Queue, state: str) -> str:
    """Return one line on where a queue stands, with its counts."""
    counts = ledger.queues.counts(queue.no)
    aside = len(ledger.narrowing.aside(queue.no))
    left = counts["ready"] + counts["claimed"] + counts["waiting"] - aside
    again = ledger.queries.again(queue.no)
    proof = proofs.told(ledger.queries.proofs(queue.no)) if state != "working" else None
    told = outcomes.counted(counts, again, aside, proof)
    stands = _stands(ledger, queue, state, left, counts["ready"])
    return f"hypervisor: queue {queue.name} {stands}; {told}"


def _stands(ledger: Ledger, queue: Queue, state: str, left: int, ready: int) -> str:
    if state == "paused" and queue.resume_at is not None:
        return (
            f"is paused until {until(queue.resume_at)}, {left} left; it reopens by itself "
            "then, and you are told"
        )
    if state == "drained" and ready:
        # Its files are missing: see nothing_ready.
        return f"is at rest, {left} left"
    if state == "paused":
        from hypervisor.ledger import budget

        return f"is paused, {left} left; go on with: {budget.goes_on(ledger, queue)}"
    return _STATES[state].format(left=left, name=queue.name)


def _render(ledger: Ledger, queue: Queue, state: str, ended: list[Brief]) -> str:
    name = queue.name
    counts = ledger.queues.counts(queue.no)
    aside = len(ledger.narrowing.aside(queue.no))
    waiting = counts["waiting"] - aside
    left = counts["ready"] + counts["claimed"] + waiting
    total = sum(counts.values())
    lines = [f"hypervisor: queue {name} {_stands(ledger, queue, state, left, counts['ready'])}"]
    if queue.reason and state in ("paused", "cancelled"):
        lines[0] += f" ({one_line(queue.reason, 100)})"
    lines[0] += (
        f"; {total - left - aside} of {count(total, 'item')} ended, "
        f"{len(ended)} since the last report."
    )
    lines += _left(ledger, queue.no, counts["claimed"], left)
    if proof := proofs.told(ledger.queries.proofs(queue.no)):
        lines.append(proof)
    for outcome in [word for word in FINAL if word not in ODD]:
        if ids := [row.id for row in ended if row.state == outcome]:
            lines.append(f"{outcome} ({len(ids)}): {listed(ids, _IDS_SHOWN, 60)}")
    odd = [_told_why(row.state, row) for row in ended if row.state in ODD]
    lines += shortened(odd, _LINES_SHOWN, "more blocked or failed")
    noted = [(row.id, row.report) for row in ended if row.report and '"note"' in row.report]
    for id, report in noted[:_LINES_SHOWN]:
        if note := loads(report).get("note"):
            lines.append(f"note on {one_line(id, 60)}: “{one_line(note, 200)}”")
    if state == "drained" and waiting:
        from hypervisor.worker import nothing_ready

        wait = either(waiting, "waits", "wait")
        awaited = nothing_ready.awaited(ledger, queue)
        lines.append(f"{count(waiting, 'item')} {wait} for {awaited}.")
    if aside:
        those = f"{aside} {either(aside, 'is', 'are')} set aside"
        lines.append(f"{those}; bring all back: hypervisor open {name} --where all")
    if state == "drained" and (gone := missing(ledger, name)[0]):
        from hypervisor.worker import nothing_ready

        told = nothing_ready.told_missing(gone, counts["ready"])
        lines.append(f"{told}; handed out when back: hypervisor plan {name}")
    if state in ("drained", "cancelled"):
        lines.append(f"Tell the user; the whole summary: hypervisor summary {name}")
    return "\n".join(lines)


def _left(ledger: Ledger, queue: int, at_work: int, left: int) -> list[str]:
    """Return lines on the `left` items of a queue, nothing where there are none."""
    again = ledger.queries.tried_before(queue)
    parts = ((at_work, AT_WORK), (len(again), AGAIN), (left - at_work - len(again), UNTRIED))
    told = ", ".join(f"{count} {row.title}" for count, row in parts if count > 0)
    lines = [f"left: {told}"] if told else []
    tried = [_told_why(AGAIN.title, row) for row in again]
    return lines + shortened(tried, _AGAIN_SHOWN, f"more {AGAIN.title}")


def _told_why(what: str, row: Brief) -> str:
    return f"{what}: {one_line(row.id, 60)}: “{prose(row.why, 120)}”"


_STATES = {
    "working": "is at work, {left} left",
    "drained": "has drained",
    "cancelled": "was cancelled",
    "replaced": "was opened again",
    "reset": "goes on: its limit has reset, {left} left and nobody at work; run now: "
    "hypervisor plan {name}",
    "tried": "has finished its trial run, {left} left; next: hypervisor plan {name}",
    "stopped": "is at rest, {left} left: the user stopped its workers. Start no new ones; the user "
    "goes on with: /hypervisor:resume {name}",
    "stalled": "has stalled: {left} left and no worker alive; next: hypervisor plan {name}",
}
