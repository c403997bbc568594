"""Queues: which there are, how far each is, and what is noted of it."""

from __future__ import annotations

import time

from hypervisor.ledger.options import Queue
from hypervisor.ledger.outcomes import STATES
from hypervisor.ledger.part import Part
from hypervisor.ledger.rows import columns
from hypervisor.ledger.schema import WAITING
from hypervisor.system.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.store import Store

# Each part is answered by an index alone.
_COUNTS = (
    "select 'claimed', count(*) from item where queue = ? and turn < 0 "
    "union all select 'ready', count(*) from item where queue = ? and turn >= 0 and turn < ? "
    "union all select 'waiting', count(*) from item where queue = ? and turn >= ? "
    "union all select state, count(*) from item where queue = ? and finish_no is not null "
    "group by state"
)
_ALL = f"select {columns(Queue, 'q')} from queue q"


class Queues(Part):
    """The questions about queues."""

    def __init__(self, store: Store, others: dict[str, Part]) -> None:
        super().__init__(store, others)
        # Rows of queues as they were read last, by their numbers.
        self._kept: dict[int, Queue] = {}

    def get(self, queue: str, generation: int | None = None) -> Queue:
        """Return the row of the newest generation of `queue`, or of that one. Raises UsageError if
        unknown."""
        row = self.find(queue)
        if row is not None and generation not in (None, row.generation):
            older = [one for one in self.generations_of(queue) if one.generation == generation]
            if not older:
                raise UsageError(
                    f"queue {queue} has no generation {generation}",
                    f"the newest is {row.generation}, and old ones are pruned",
                )
            return older[0]
        if row is None:
            names = [
                name for (name,) in self._store.rows("select distinct name from queue limit 20")
            ]
            known = f"queues here: {', '.join(names)}" if names else "hypervisor open QUEUE SOURCE"
            raise UsageError(f"no queue '{queue}' at {self._store.root}", known)
        return row

    def name_of(self, number: int) -> str:
        """Return the name of the queue whose number is `number`."""
        name: str = self._store.row("select name from queue where no = ?", (number,))[0]
        return name

    def all(self) -> list[Queue]:
        """Return the newest generation of each queue, oldest first."""
        return self._store.all(
            Queue,
            f"{_ALL} where project = ? and generation = (select max(generation) "
            "from queue where project = q.project and name = q.name) order by no",
            (self._store.project,),
        )

    def names(self) -> set[str]:
        """Return the names of all queues that the ledger knows."""
        rows = self._store.rows(
            "select distinct name from queue where project = ?", (self._store.project,)
        )
        return {row["name"] for row in rows.fetchall()}

    def stats(self, queue: str) -> dict[str, int]:
        """Return how many items are in each of the eight states; they add up to the items."""
        return self.counts(self.get(queue).no)

    def counts(self, queue: int) -> dict[str, int]:
        """Return `stats` of the generation whose number is `queue`."""
        counted = self._store.rows(_COUNTS, (queue, queue, WAITING, queue, WAITING, queue))
        return dict.fromkeys(STATES, 0) | dict(counted.fetchall())

    def drained(self, queue: str) -> bool:
        """True when nothing is ready or claimed, so that nothing waiting can become ready."""
        return self.is_drained(self.get(queue).no)

    def generations(self) -> list[Queue]:
        """Return every generation of every queue, oldest first."""
        return self._store.all(
            Queue, f"{_ALL} where project = ? order by no", (self._store.project,)
        )

    def generations_of(self, queue: str) -> list[Queue]:
        """Return all generations of `queue`, oldest first. Raises UsageError if unknown."""
        self.get(queue)
        return self._store.all(
            Queue,
            f"{_ALL} where project = ? and name = ? order by generation",
            (self._store.project, queue),
        )

    def ready(self, queue: int, limit: int) -> int:
        """Return how many items of a queue are ready, counted up to `limit`."""
        count: int = self._store.row(
            "select count(*) from (select 1 from item where queue = ? and turn >= 0 and turn < ? "
            "limit ?) as found",
            (queue, WAITING, limit),
        )[0]
        return count

    # -- inside a write transaction --

    def alone(self) -> None:
        """Have others who open, pause or cancel wait; those who claim and report go on."""
        if self._store.is_shared:
            self._store.change("/*! lock table queue in share row exclusive mode */")

    def find(self, name: str) -> Queue | None:
        """Return the newest generation of a queue, or None."""
        row = self._store.one(
            Queue,
            f"{_ALL} where project = ? and name = ? order by generation desc limit 1",
            (self._store.project, name),
        )
        if row is not None:
            self._kept[row.no] = row
        return row

    def at_work(self, queue: Queue, source: str | None) -> bool:
        if queue.state in ("cancelled", "replaced"):
            return False
        if source is not None and source != queue.source:
            return False
        return source is not None or not self.is_drained(queue.no)

    def is_drained(self, queue: int) -> bool:
        found = self._store.row(
            "select 1 from item where queue = ? and turn < ? order by turn limit 1",
            (queue, WAITING),
        )
        return found is None

    def note(self, queue: int, kind: str, detail: str) -> None:
        self._store.change(
            "insert into event (queue, at, kind, detail) values (?, ?, ?, ?)",
            (queue, time.time(), kind, detail),
        )

    def known(self, queue: int) -> Queue:
        """Return the row of a generation as it was read last: only its terms may be used."""
        row = self._kept.get(queue)
        if row is None:
            [row] = self._store.all(Queue, f"{_ALL} where no = ?", (queue,))
            self._kept[queue] = row
        return row

    def forget_known(self, queue: int) -> None:
        """Have `known` read a generation anew."""
        self._kept.pop(queue, None)
