"""Queues: which there are, how far each is, and what is noted of it."""

from __future__ import annotations

import time

from hypervisor.ledger.outcomes import STATES
from hypervisor.ledger.schema import WAITING
from hypervisor.ledger.store import Store
from hypervisor.system.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Each part is answered by an index alone.
_COUNTS = (
    "select 'claimed', count(*) from item where queue = ? and turn < 0 "
    "union all select 'ready', count(*) from item where queue = ? and turn >= 0 and turn < ? "
    "union all select 'waiting', count(*) from item where queue = ? and turn >= ? "
    "union all select state, count(*) from item where queue = ? and finish_no is not null "
    "group by state"
)


class Queues(Store):
    """The questions about queues."""

    def queue_row(self, queue: str) -> Any:
        """Return the row of the newest generation of `queue`. Raises UsageError if unknown."""
        row = self._newest(queue)
        if row is None:
            names = [name for (name,) in self.rows("select distinct name from queue limit 20")]
            known = f"queues here: {', '.join(names)}" if names else "hypervisor open QUEUE SOURCE"
            raise UsageError(f"no queue '{queue}' at {self.root}", known)
        return row

    def queue_name(self, number: int) -> str:
        """Return the name of the queue whose number is `number`."""
        name: str = self.row("select name from queue where no = ?", (number,))[0]
        return name

    def queues(self) -> list[Any]:
        """Return the newest generation of each queue, oldest first."""
        return self.rows(
            "select * from queue q where project = ? and generation = (select max(generation) "
            "from queue where project = q.project and name = q.name) order by no",
            (self.project,),
        ).fetchall()

    def queue_names(self) -> set[str]:
        """Return the names of all queues that the ledger knows."""
        rows = self.rows("select distinct name from queue where project = ?", (self.project,))
        return {row["name"] for row in rows.fetchall()}

    def stats(self, queue: str) -> dict[str, int]:
        """Return how many items are in each of the eight states; they add up to the items."""
        return self.counts(self.queue_row(queue)["no"])

    def counts(self, queue: int) -> dict[str, int]:
        """Return `stats` of the generation whose number is `queue`."""
        counted = self.rows(_COUNTS, (queue, queue, WAITING, queue, WAITING, queue))
        return dict.fromkeys(STATES, 0) | dict(counted.fetchall())

    def drained(self, queue: str) -> bool:
        """True when nothing is ready or claimed, so that nothing waiting can become ready."""
        return self._is_drained(self.queue_row(queue)["no"])

    # -- inside a write transaction --

    def _alone(self) -> None:
        """Have others who open, pause or cancel wait; those who claim and report go on."""
        if self._engine.shared:
            self.change("/*! lock table queue in share row exclusive mode */")

    def _newest(self, name: str) -> Any:
        return self.row(
            "select * from queue where project = ? and name = ? order by generation desc limit 1",
            (self.project, name),
        )

    def _at_work(self, queue: Any, source: str | None) -> bool:
        if queue["state"] in ("cancelled", "replaced"):
            return False
        if source is not None and source != queue["source"]:
            return False
        return source is not None or not self._is_drained(queue["no"])

    def _is_drained(self, queue: int) -> bool:
        found = self.row(
            "select 1 from item where queue = ? and turn < ? order by turn limit 1",
            (queue, WAITING),
        )
        return found is None

    def _note(self, queue: int, kind: str, detail: str) -> None:
        self.change(
            "insert into event (queue, at, kind, detail) values (?, ?, ?, ?)",
            (queue, time.time(), kind, detail),
        )
