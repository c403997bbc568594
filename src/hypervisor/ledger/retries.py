"""Second chances, and forgetting: ended items become ready again, old queues go."""

from __future__ import annotations

import time

from hypervisor.ledger.generations import Generations
from hypervisor.ledger.outcomes import OPEN_STATES
from hypervisor.ledger.saying import reason_of
from hypervisor.ledger.schema import ASIDE, WAITING
from hypervisor.system.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

# Items made ready at once, and seconds between: a write of so many takes less than 100 ms.
_STEP = 100
_BETWEEN = 0.005
# What hangs on a queue, and how each table names it.
_PARTS = (
    ("dependency", "item in (select no from item where queue = ?)"),
    ("claim", "item in (select no from item where queue = ?)"),
    ("item", "queue = ?"),
    ("agent", "queue = ?"),
    ("permission", "queue = ?"),
    ("told", "queue = ?"),
    ("event", "queue = ?"),
    ("queue", "no = ?"),
)
_PRUNABLE = (
    "select q.*, (select count(*) from item where queue = q.no) as items, "
    "(select max(finished_at) from item where queue = q.no) as last_end, "
    "exists (select 1 from item where queue = q.no and turn is not null) as is_open, "
    "exists (select 1 from item where queue = q.no and pending is not null) as is_pending, "
    "exists (select 1 from claim c join item i on i.no = c.item where c.no = ? "
    "and i.queue = q.no) or q.no = (select max(no) from queue) as is_newest "
    "from queue q where project = ? order by q.no"
)


class Retries(Generations):
    """The verbs that take an end back, and those that forget it."""

    def ended_items(self, queue: str, states: Sequence[str]) -> list[Any]:
        """Return the items of `queue` that ended as one of `states`, in the order of the queue."""
        marks = ", ".join("?" * len(states))
        return self.rows(
            f"select * from item where queue = ? and state in ({marks}) and finish_no is not null "
            "order by no",
            (self.queue_row(queue)["no"], *states),
        ).fetchall()

    def retry(self, queue: str, ids: Iterable[str]) -> list[tuple[str, str]]:
        """Make ended items ready again, behind all others, with all their attempts afresh.

        Their claims and reports stay as history; what waits for them waits on. Returns (id, why)
        of those that were left as they are: still open, open in another queue, or with an end that
        is not in its file yet. Raises UsageError for a queue that was cancelled.

        Many are done in steps, so that nobody waits for all: what is cut off is done by the same
        call again.
        """
        left: list[tuple[str, str]] = []
        wanted = list(dict.fromkeys(ids))
        for start in range(0, max(1, len(wanted)), _STEP):
            if start:
                # Whoever waits for a turn gets it now.
                time.sleep(_BETWEEN)
            left += self._retry_some(queue, wanted[start : start + _STEP])
        return left

    def _retry_some(self, queue: str, ids: list[str]) -> list[tuple[str, str]]:
        left = []
        with self.write(durable=True):
            self._alone()
            row = self.queue_row(queue)
            if row["state"] not in ("open", "paused"):
                raise UsageError(f"queue {queue} was {row['state']}", "open it again instead")
            elsewhere = self._open_among(ids)
            for item_id in ids:
                why = self._retry(row["no"], item_id, elsewhere)
                if why is not None:
                    left.append((item_id, why))
        return left

    def _open_among(self, ids: list[str]) -> dict[str, str]:
        """Return the queue of each of `ids` that is still open; see `open_items`."""
        marks = ", ".join("?" * len(ids)) or "null"
        return dict(
            self.rows(
                "select i.id, q.name from queue q join item i on i.queue = q.no "
                f"where q.project = ? and i.id in ({marks}) "
                "and (i.turn is not null or i.pending is not null)",
                (self.project, *ids),
            ).fetchall()
        )

    def prunable(self, before: float) -> tuple[list[Any], list[tuple[Any, str]]]:
        """Return the generations that ended before `before` (Unix time) and can be forgotten, and
        those that can't yet, each with the reason.

        Never one that holds something open or pending, nor the one that holds the newest claim,
        nor the newest of all: the numbers of tokens and generations grow from there, and name one
        thing for ever.
        """
        going, staying = [], []
        newest = self.row("select max(no) from claim")[0]
        for row in self.rows(_PRUNABLE, (newest, self.project)).fetchall():
            if max(row["last_end"] or 0, row["ended_at"] or 0, row["opened_at"]) >= before:
                continue
            if row["is_open"]:
                staying.append((row, "items of it are open"))
            elif row["is_pending"]:
                staying.append((row, "reports of it are not in their files yet"))
            elif row["is_newest"]:
                staying.append((row, "the numbers of the next queue and claim count from it"))
            else:
                going.append(row)
        return going, staying

    def all_generations(self) -> list[Any]:
        """Return every generation of every queue, oldest first."""
        return self.rows(
            "select * from queue where project = ? order by no", (self.project,)
        ).fetchall()

    def forget(self, before: float) -> list[Any]:
        """Remove what `prunable` returns, with all that hangs on it; return the queues' rows."""
        with self.write(durable=True):
            going, _ = self.prunable(before)
            for row in going:
                for table, which in _PARTS:
                    self.change(f"delete from {table} where {which}", (row["no"],))
        return going

    def _retry(self, queue: int, item_id: str, elsewhere: dict[str, str]) -> str | None:
        item = self.row("select * from item where queue = ? and id = ?", (queue, item_id))
        if item is None:
            return "not in this queue"
        if item["state"] in OPEN_STATES:
            return f"it is {item['state']}"
        if item["pending"] == "merge":
            return "its branch is not merged yet: see hypervisor integrate"
        if item["pending"] is not None:
            return "its last report is not in its file yet: see hypervisor summary"
        if item_id in elsewhere:
            return f"it is open in queue {elsewhere[item_id]}"
        position = self.next_positions(1)
        # Whoever tries it again wants it.
        self.change("delete from dependency where item = ? and after = ?", (item["no"], ASIDE))
        waits = self.row("select count(*) from dependency where item = ?", (item["no"],))[0]
        self.change(
            "update item set state = ?, position = ?, turn = ?, waits = ?, attempts = 0, "
            "deaths = 0, releases = 0, claim = null, cause = ?, finished_at = null, "
            "finish_no = null, told_at = null, told_by = null where no = ?",
            (
                "waiting" if waits else "ready",
                position,
                position + WAITING if waits else position,
                waits,
                item["cause"] or self._reason(item["claim"]) or "no reason given",
                item["no"],
            ),
        )
        self._note(queue, "retried", item_id)
        return None

    def _reason(self, claim: int | None) -> str | None:
        """Return what a claim's report gives as the reason, or None."""
        row = self.row("select report from claim where no = ?", (claim,))
        return reason_of(row["report"]) if row is not None else None
