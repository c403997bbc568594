"""Who follows a queue, what its sessions were told of it, and what their users said to that."""

from __future__ import annotations

import time

from hypervisor.ledger.options import Queue
from hypervisor.ledger.outcomes import FINAL, sql
from hypervisor.ledger.part import Part
from hypervisor.ledger.rows import Brief, columns
from hypervisor.system.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.queues import Queues
    from hypervisor.ledger.sessions import Sessions

# What a command that waits in no session is told under. One that was killed hears of nothing more.
SHELL = "shell"
# A notice that has not come after so long is taken for lost.
NOTICE_SECONDS = 120


class Told(NamedTuple):
    """Up to which end (its `finish_no`) a session was told of a queue, and of which state."""

    no: int
    state: str | None


class Followers(Part):
    """The verbs of telling."""

    _queues: Queues
    _sessions: Sessions

    def note_asked(self, session: str, queue: int) -> None:
        """Note that `session` was told to ask its user whether to go on with a queue."""
        with self._store.write():
            self._store.change(
                "update told set asked = 1 where session = ? and queue = ? and asked = 0",
                (session, queue),
            )

    def note_answer(self, session: str) -> None:
        """Note that the user has said something in `session`: it answers what was asked."""
        if self._store.row("select 1 from told where session = ? and asked = 1", (session,)):
            with self._store.write():
                self._store.change(
                    "update told set asked = 2 where session = ? and asked = 1", (session,)
                )

    def has_answered(self, session: str, queue: Queue) -> bool:
        """True if the user has been asked in `session`, and has answered, or has gone on with the
        queue of this row by a command of its own. What the answer was is for its reader."""
        known = self._sessions.find(session)
        if known is not None and known.goes_on in ("*", queue.name):
            return True
        row = self._store.row(
            "select asked from told where session = ? and queue = ?", (session, queue.no)
        )
        return row is not None and row["asked"] == 2

    def follow(self, session: str, queue: str, *, all: bool = False) -> None:
        """Have `session` told of what ends in `queue` from now on; `all`: of what has, too."""
        row = self._queues.get(queue)
        if self._store.row("select 1 from told where session = ? and queue = ?", (session, row.no)):
            return
        with self._store.write():
            row = self._queues.get(queue)
            last = self._store.row(
                "select max(finish_no) from item where queue = ? and finish_no < ?",
                (row.no, self._store.engine.settled_before()),
            )[0]
            last = 0 if all else last
            self._store.change(
                "insert into told (session, queue, finish_no) values (?, ?, ?) "
                "on conflict (session, queue) do nothing",
                (session, row.no, last or 0),
            )

    def unfollow(self, session: str) -> None:
        """Forget what a session followed: it will hear of nothing any more."""
        with self._store.write():
            self._store.change("delete from told where session = ?", (session,))

    def followed(self, session: str) -> list[Queue]:
        return self._store.all(
            Queue,
            f"select {columns(Queue, 'q')} from told t join queue q on q.no = t.queue "
            "where t.session = ? order by q.no",
            (session,),
        )

    def told(self, session: str) -> dict[int, Told]:
        """Return what a session was told of each queue that it follows, by the queue's number."""
        rows = self._store.rows(
            "select queue, finish_no, state from told where session = ?", (session,)
        )
        return {queue: Told(no, state) for queue, no, state in rows.fetchall()}

    def is_attended(self, queue: int) -> bool:
        """True if a session or a pool that is still there has worked on the queue, or follows it.

        Those that are gone must have been noticed before: see `worker.settle`.
        """
        found = self._store.row(
            "select 1 from session s where s.id in (select session from told where queue = ?) "
            "or s.id in (select session from agent where queue = ? and ended_at is null) limit 1",
            (queue, queue),
        )
        return found is not None

    def ended_since(self, queue: int, finish_no: int) -> list[Brief]:
        """Return the items of a queue that ended after `finish_no`, in order."""
        return self._store.all(
            Brief,
            f"select {columns(Brief, 'i', report='c.report')} from item i "
            "left join claim c on c.no = i.claim where i.queue = ? and i.state in "
            f"{sql(FINAL)} and i.finish_no > ? "
            "and i.finish_no < ? order by i.finish_no",
            (queue, finish_no, self._store.engine.settled_before()),
        )

    def tell(
        self, session: str, queue: int, old_no: int, finish_no: int, state: str | None, by: str
    ) -> bool:
        """Claim the telling of a digest: True for exactly one of those who try at once.

        `by` is the wake that carries it; it is noted with each item that is told for the first
        time.
        """
        with self._store.write(durable=True):
            told = bool(
                self._store.change(
                    "update told set finish_no = ?, state = ? "
                    "where session = ? and queue = ? and finish_no = ? "
                    "and (finish_no <> ? or coalesce(state, '') <> coalesce(?, ''))",
                    (finish_no, state, session, queue, old_no, finish_no, state),
                )
            )
            self._store.proven_by(
                "select 1 from told where session = ? and queue = ? and finish_no = ? "
                "and coalesce(state, '') = coalesce(?, '')",
                session,
                queue,
                finish_no,
                state,
            )
            if told:
                self._store.change(
                    "update item set told_at = ?, told_by = ? where queue = ? "
                    "and finish_no > ? and finish_no <= ? and told_at is null",
                    (time.time(), by, queue, old_no, finish_no),
                )
        return told

    def is_settled(self, queue: str) -> bool:
        """True when nothing of `queue` is open or pending, and every session that follows it has
        been told of its end, has no worker on it any more, and isn't known to live: one that does
        may still ask, in any turn. For a while the client's own notices of the workers' ends are
        waited for, to be counted."""
        row = self._queues.find(queue)
        if row is None:
            return True
        if row.state in ("open", "paused") and not self._queues.is_drained(row.no):
            return False
        return not self._store.row(
            "select (select count(*) from item where queue = ? and pending is not null "
            "and pending <> 'merge') + "
            "(select count(*) from told where queue = ? and session <> ? and finish_no < "
            "(select coalesce(max(finish_no), 0) from item where queue = ?)) + "
            "(select count(*) from agent where queue = ? "
            "and (ended_at is null or noticed_at is null and ended_at > ?) "
            "and session in (select session from told where queue = ?)) + "
            "(select count(*) from told join session on session.id = told.session "
            "where queue = ? and pid is not null and host = ?)",
            (
                *(row.no,) * 2,
                SHELL,
                *(row.no,) * 2,
                time.time() - NOTICE_SECONDS,
                *(row.no,) * 2,
                self._store.place(),
            ),
        )[0]

    def told_of(self, queue: int) -> list[tuple[str, float]]:
        """Return by which wake, and how many seconds late, a session heard of each ended item."""
        rows = self._store.rows(
            "select told_by, told_at - finished_at from item "
            "where queue = ? and told_at is not null and finished_at is not null",
            (queue,),
        )
        return [(by, delay) for by, delay in rows]
