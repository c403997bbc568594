"""News for the user, wherever they are: what a queue's state says is noted once, then sent until it
has got through.

Nobody who claims or ends an item writes any: whoever looks next finds it in the ledger, so that
none is lost with a process.
"""

from __future__ import annotations

import time

from hypervisor.ledger.part import Part
from hypervisor.ledger.pauses import LIMITS
from hypervisor.ledger.reports import dumps
from hypervisor.ledger.rows import Brief, columns
from hypervisor.system.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypedDict

    from hypervisor.ledger.agents import Agents
    from hypervisor.ledger.options import Queue
    from hypervisor.ledger.queries import Queries
    from hypervisor.ledger.queues import Queues

    class Ended(TypedDict):
        """An item, and why it has ended as it did."""

        id: str
        title: str | None
        reason: str

    class Body(TypedDict, total=False):
        """What a receiver gets: the last two with details only; `until` is Unix time."""

        id: str
        event: str
        project: str
        queue: str
        counts: dict[str, int]
        until: float | None
        reason: str | None
        items: list[Ended]


# Seconds: blocked items that follow one another are told together; an overload that passes so soon
# is no news; a queue where nothing was at work for so long has stalled.
_TOGETHER = 60
_PASSES = 300
_STALLED = 120
# A sender that is killed holds news back for no longer; nor does a step of the clock.
_SENDING = 20
_FURTHEST = 3600
# News of such an age that did not get through is tried again after so long.
_AGAIN = ((60.0, 10.0), (600.0, 60.0), (float("inf"), 600.0))
_SHOWN = 20


class Unsent(NamedTuple):
    """A piece of news that nobody is known to have got; `receiver` is the entry of the
    configuration, `body` JSON, and `is_due` true where it may be tried now."""

    no: int
    receiver: str | None
    body: str
    is_due: bool


class Trouble(NamedTuple):
    """News of a queue that did not get through: how many, why the last try failed, and when the
    next is due (Unix time)."""

    waiting: int
    error: str
    next_at: float


class _Found(NamedTuple):
    event: str
    key: int
    reason: str | None = None
    until: float | None = None
    finish_no: int | None = None
    about: int | None = None
    ended: tuple[Brief, ...] = ()


class Notifications(Part):
    """The verbs of whoever finds news, and of whoever sends it."""

    _queues: Queues
    _queries: Queries
    _agents: Agents

    def subscribe(self, queue: str, receiver: str | None) -> None:
        """Have news of a queue sent to an entry of the user's configuration; None: to nobody."""
        row = self._queues.get(queue)
        if row.notify != receiver:
            with self._store.write():
                self._store.change("update queue set notify = ? where no = ?", (receiver, row.no))

    def subscribed(self) -> list[Queue]:
        """Return the queues whose news is sent to somebody."""
        if self._store.row("select 1 from queue where notify is not null limit 1") is None:
            return []
        return [row for row in self._queues.all() if row.notify is not None]

    def note(
        self, queue: Queue, project: str, *, used_up: bool = False, idle: bool = False
    ) -> None:
        """Note what is new of a queue (its row). `project` is what receivers know it by; `used_up`
        says that its budget is; `idle` that its pool has found nothing for its agents."""
        if not list(self._found(queue, used_up, idle)):
            return
        with self._store.write():
            self._queues.alone()
            now = time.time()
            for news in self._found(self._queues.get(queue.name), used_up, idle):
                name = f"{self._store.ledger_id}-{queue.no}-{news.event}-{news.key}"
                body: Body = {
                    "id": name,
                    "event": news.event,
                    "project": project,
                    "queue": queue.name,
                    "counts": self._queues.counts(queue.no),
                    "until": news.until,
                    "reason": news.reason,
                    "items": [
                        {"id": row.id, "title": title, "reason": row.why}
                        for row, title in self._titled(queue.no, news.ended)
                    ],
                }
                self._store.change(
                    "insert into notification (id, queue, event, finish_no, about, body, at, "
                    "next_at) values (?, ?, ?, ?, ?, ?, ?, 0) on conflict (id) do nothing",
                    (name, queue.no, news.event, news.finish_no, news.about, dumps(body), now),
                )

    def unsent(self) -> list[Unsent]:
        """Return what is still to be sent, the oldest first."""
        now = time.time()
        return self._store.all(
            Unsent,
            "select n.no, q.notify, n.body, not (n.next_at > ? and n.next_at < ?) "
            "from notification n join queue q on q.no = n.queue "
            "where n.sent_at is null and q.project = ? order by n.no",
            (now, now + _FURTHEST, self._store.project),
        )

    def take(self, no: int) -> bool:
        """Claim the sending of a piece of news; False if somebody else sends it, or has."""
        now = time.time()
        with self._store.write():
            return bool(
                self._store.change(
                    "update notification set next_at = ? where no = ? and sent_at is null "
                    "and not (next_at > ? and next_at < ?)",
                    (now + _SENDING, no, now, now + _FURTHEST),
                )
            )

    def sent(self, no: int) -> None:
        """Note that a piece of news has got through."""
        with self._store.write():
            self._store.change(
                "update notification set sent_at = ?, error = null where no = ?",
                (time.time(), no),
            )

    def failed(self, no: int, why: str) -> None:
        """Note why a piece of news did not get through: it is tried again, ever more seldom."""
        now = time.time()
        with self._store.write():
            at = self._store.row("select at from notification where no = ?", (no,))[0]
            wait = next(wait for age, wait in _AGAIN if now - at < age)
            self._store.change(
                "update notification set error = ?, next_at = ? where no = ?",
                (why, now + wait, no),
            )

    def trouble(self, queue: int) -> Trouble | None:
        """Return what of a queue's news (its number) did not get through, or None."""
        row = self._store.row(
            "select error, next_at, (select count(*) from notification where queue = ? "
            "and sent_at is null) from notification where queue = ? and sent_at is null "
            "and error is not null order by no limit 1",
            (queue, queue),
        )
        return None if row is None else Trouble(row[2], row[0], row[1])

    def _found(self, queue: Queue, used_up: bool, idle: bool) -> Iterator[_Found]:
        """Yield what is so and was not noted yet, in the order in which it is told."""
        if queue.state not in ("open", "paused"):
            return
        counts = self._queues.counts(queue.no)
        goes_on = queue.state == "open" and bool(counts["ready"] or counts["claimed"])
        yield from self._ended(queue.no, goes_on)
        if queue.state == "paused":
            yield from self._paused(queue, used_up)
        if not counts["ready"] and not counts["claimed"]:
            last = self._last(queue.no, "max(finish_no)", "true")
            if last and last > self._told(queue.no, "finish_no", "drained"):
                yield _Found("drained", last, finish_no=last)
        elif goes_on and not counts["claimed"] and self._is_deserted(queue, idle):
            found = self._store.row(
                "select max(c.no) from claim c join item i on i.no = c.item where i.queue = ?",
                (queue.no,),
            )[0]
            last = found or 0
            if (last or idle) and last > self._told(queue.no, "about", "stalled"):
                yield _Found("stalled", last, about=last)

    def _ended(self, queue: int, goes_on: bool) -> Iterator[_Found]:
        told = self._told(queue, "finish_no", "blocked")
        last = self._last(queue, "max(finish_no)", "state = 'blocked'")
        if last and last > told:
            at = self._store.row(
                "select max(at) from notification where queue = ? and event = 'blocked'", (queue,)
            )[0]
            if not goes_on or not 0 <= time.time() - (at or 0.0) < _TOGETHER:
                ended = self._between(queue, "blocked", told, last)
                yield _Found("blocked", last, finish_no=last, ended=ended)
        if self._told(queue, "finish_no", "failed") < 0:
            first = self._last(queue, "min(finish_no)", "state = 'failed'")
            if first:
                ended = self._between(queue, "failed", first - 1, first)
                yield _Found("failed", first, finish_no=first, ended=ended)

    def _paused(self, queue: Queue, used_up: bool) -> Iterator[_Found]:
        reason, until = queue.reason or "", queue.resume_at
        if reason.startswith(LIMITS[1]) and until and until - time.time() < _PASSES:
            return
        last = self._store.row(
            "select max(no) from event where queue = ? and kind = 'paused'", (queue.no,)
        )[0]
        told = max(self._told(queue.no, "about", event) for event in ("paused", "budget"))
        if last is not None and last > told:
            yield _Found("budget" if used_up else "paused", last, reason, until, about=last)

    def _is_deserted(self, queue: Queue, idle: bool) -> bool:
        """True if nobody is at work, and will not be by themselves."""
        if queue.stopped_at is not None or self._agents.count(queue.no)[1]:
            return False
        ends = self._queries.last_ends(queue.no, 1)
        last = max([*ends, self._queries.at_work_since(queue.no)])
        return idle or time.time() - last > _STALLED

    def _told(self, queue: int, column: str, event: str) -> int:
        """Return up to which number events of this kind were told, -1 where none was."""
        found: int | None = self._store.row(
            f"select max({column}) from notification where queue = ? and event = ?",
            (queue, event),
        )[0]
        return -1 if found is None else found

    def _last(self, queue: int, which: str, where: str) -> int | None:
        found: int | None = self._store.row(
            f"select {which} from item where queue = ? and finish_no is not null "
            f"and finish_no < ? and {where}",
            (queue, self._store.engine.settled_before()),
        )[0]
        return found

    def _between(self, queue: int, state: str, after: int, last: int) -> tuple[Brief, ...]:
        found = self._store.all(
            Brief,
            f"select {columns(Brief, 'i', report='c.report')} from item i "
            "left join claim c on c.no = i.claim where i.queue = ? and i.state = ? "
            f"and i.finish_no > ? and i.finish_no <= ? order by i.finish_no limit {_SHOWN}",
            (queue, state, after, last),
        )
        return tuple(found)

    def _titled(self, queue: int, ended: tuple[Brief, ...]) -> Iterator[tuple[Brief, str | None]]:
        for row in ended:
            title: str | None = self._store.row(
                "select title from item where queue = ? and id = ?", (queue, row.id)
            )[0]
            yield row, title
