"""Pauses of a queue: by a person, or by a limit of the service, which ends by itself."""

from __future__ import annotations

import time

from hypervisor.ledger.part import Part
from hypervisor.system.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.queues import Queues

# How the reason of a pause begins that a limit of the service made, and what its end is called.
LIMITS = ("rate limit: ", "overloaded: ")
RESET = "the limit has reset"
_RESET = "from queue where project = ? and state = 'paused' and resume_at <= ?"


class Pauses(Part):
    """The verbs that stop the hand-out, and let it go on."""

    _queues: Queues

    def pause(self, queue: str, reason: str = "", *, resume_at: float | None = None) -> None:
        """Hand out nothing more; what is claimed may still be reported.

        With `resume_at` (Unix time) the queue is open again by itself from then on; without, it is
        resumed by a person, also where a limit had paused it before.
        """
        self._set_state(queue, ("open",), "paused", reason, resume_at)

    def limit(
        self, queue: str, reason: str, resume_at: float | None, *, once: bool = False
    ) -> bool:
        """Hand out nothing more until the service's limit ends, at `resume_at` if that is known;
        True if that is new. `reason` begins with one of LIMITS.

        A pause of another kind stays as it is; of two limits the later one counts. `once`: not
        again for the same reason, so that a person's `resume` holds.
        """
        with self._store.write():
            self._queues.alone()
            row = self._queues.get(queue)
            paused = row.state == "paused"
            if not paused and row.state != "open":
                return False
            if paused and not (row.reason or "").startswith(LIMITS):
                return False
            if paused and (resume_at is None or (row.resume_at or 0.0) >= resume_at):
                return False
            if once and self._store.row(
                "select 1 from event where queue = ? and kind = 'paused' and detail = ?",
                (row.no, reason),
            ):
                return False
            self._store.change(
                "update queue set state = 'paused', reason = ?, resume_at = ? where no = ?",
                (reason, resume_at, row.no),
            )
            # Its end is news again.
            self._store.change(
                "update told set state = null where queue = ? and state = 'reset'", (row.no,)
            )
            self._queues.note(row.no, "paused", reason)
        return True

    def resume(self, queue: str) -> None:
        """Hand out again after a pause."""
        self._set_state(queue, ("paused",), "open", "", None)

    def reopen(self) -> None:
        """Hand out again where a limit has ended; nothing is written where none has."""
        if self._store.row(f"select 1 {_RESET}", (self._store.project, time.time())):
            with self._store.write():
                self.reopen_due()

    def overloads(self, queue: int) -> int:
        """Return how many pauses since the last accepted report were for an overload."""
        found: int = self._store.row(
            "select count(*) from event where queue = ? and kind = 'paused' and detail like ? "
            "and at > (select coalesce(max(finished_at), 0) from item where queue = ?)",
            (queue, f"{LIMITS[1]}%", queue),
        )[0]
        return found

    def reset_at(self, queue: int) -> float | None:
        """Return when a limit ended by itself after which nobody has claimed anything, or None."""
        last = self._store.row(
            "select at, detail from event where queue = ? and kind in ('paused', 'open') "
            "order by no desc limit 1",
            (queue,),
        )
        if last is None or last["detail"] != RESET:
            return None
        claimed = self._store.row(
            "select 1 from claim c join item i on i.no = c.item where i.queue = ? "
            "and c.claimed_at >= ? limit 1",
            (queue, last["at"]),
        )
        at: float = last["at"]
        return at if claimed is None else None

    def note_stop(self, queue: int) -> None:
        """Note that a person has stopped workers of a generation, given its number."""
        with self._store.write():
            self._store.change(
                "update queue set stopped_at = coalesce(stopped_at, ?) where no = ?",
                (time.time(), queue),
            )
            self._queues.note(queue, "stopped", "a person stopped workers")

    def forget_stop(self, queue: str) -> None:
        """Note that somebody goes on with a queue whose workers a person stopped."""
        row = self._queues.get(queue)
        if row.stopped_at is not None:
            with self._store.write():
                self._store.change("update queue set stopped_at = null where no = ?", (row.no,))

    # -- inside a write transaction --

    def _set_state(
        self,
        queue: str,
        allowed: tuple[str, ...],
        state: str,
        reason: str,
        resume_at: float | None,
    ) -> None:
        with self._store.write():
            self._queues.alone()
            row = self._queues.get(queue)
            limited = state == "paused" and (row.reason or "").startswith(LIMITS)
            if row.state == state and not limited:
                return
            if row.state not in (*allowed, state):
                raise UsageError(f"queue {queue} is {row.state}", "open it again first")
            self._store.change(
                "update queue set state = ?, reason = ?, resume_at = ? where no = ?",
                (state, reason, resume_at, row.no),
            )
            self._queues.note(row.no, state, reason)

    def reopen_due(self) -> bool:
        """Open the queues whose time has come; True if there were any."""
        now = time.time()
        due = self._store.rows(f"select no {_RESET}", (self._store.project, now)).fetchall()
        for (queue,) in due:
            # Two who look at once note it once.
            if self._store.change(
                "update queue set state = 'open', reason = '', resume_at = null where no = ? "
                "and state = 'paused' and resume_at <= ?",
                (queue, now),
            ):
                self._queues.note(queue, "open", RESET)
        return bool(due)
