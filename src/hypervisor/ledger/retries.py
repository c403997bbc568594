"""Second chances: ended items become ready again."""

from __future__ import annotations

import time

from hypervisor.ledger.outcomes import FINAL, OPEN_STATES, OUTCOMES, REPORTED, sql
from hypervisor.ledger.part import Part
from hypervisor.ledger.reports import reason_of, summary_of
from hypervisor.ledger.rows import Item, columns
from hypervisor.ledger.schema import ASIDE, WAITING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from hypervisor.ledger.accepted import Accepted
    from hypervisor.ledger.options import Queue
    from hypervisor.ledger.queues import Queues


# Items made ready at once, at most, and in which time; and seconds between: on a busy machine, too,
# nobody waits 100 ms.
_STEP = 100
_SECONDS = 0.02
_BETWEEN = 0.005
# So many steps make less of a log than is folded within somebody's write.
_FOLDED = 10


# What may be open work again by its source: what nobody reported on, what a mark in a file of its
# own tells, and a row that was done. Of an item in a file of many it is known only if its mark was
# undone.
_BY_SOURCE = (
    f"state in {sql(tuple(word for word in FINAL if word not in REPORTED))} or "
    f"fingerprint is not null and state in {sql(tuple(r.word for r in OUTCOMES if r.status))} "
    "or state = 'done' and (format is null or content = '')"
)


class Retries(Part):
    """The verb that takes an end back."""

    _queues: Queues
    _accepted: Accepted

    def retry(self, queue: str, ids: Iterable[str]) -> list[tuple[str, str]]:
        """Make items ready again that have ended, or have attempts used up, behind all others, with
        as many attempts more as a new one.

        Their claims and reports stay as history, and their attempts are counted on; what waits for
        them waits on. A queue that was cancelled is open again with them. Returns (id, why) of
        those that were left as they are: still open, open in another queue, or with an end that is
        not in its file yet.

        Many are done in steps, so that nobody waits for all: what is cut off is done by the same
        call again.
        """
        left: list[tuple[str, str]] = []
        wanted = list(dict.fromkeys(ids))
        at = self._retry_some(queue, wanted[:_STEP], left, len(wanted) <= _STEP)
        step = 0
        while at < len(wanted):
            step += 1
            # Whoever waits for a turn gets it now, and does not meet with a long log.
            time.sleep(_BETWEEN)
            if step % _FOLDED == 0:
                self._store.engine.fold()
            some = wanted[at : at + _STEP]
            at += self._retry_some(queue, some, left, at + _STEP >= len(wanted))
        return left

    def _retry_some(
        self, queue: str, ids: list[str], left: list[tuple[str, str]], last: bool
    ) -> int:
        """Retry the first of `ids`; return how many. Only the `last` need reach the disk at once:
        what was written before does by that."""
        count = 0
        with self._store.write(durable=last):
            until = time.monotonic() + _SECONDS
            self._queues.alone()
            row = self._queues.get(queue)
            elsewhere = self._open_among(ids)
            position = self._store.engine.next_positions(len(ids)) if ids else 0
            before = len(left)
            for count, item_id in enumerate(ids, 1):
                why = self._retry(row, item_id, elsewhere, position + count - 1)
                if why is not None:
                    left.append((item_id, why))
                if time.monotonic() > until:
                    break
            if row.state == "cancelled" and len(left) - before < count:
                self._store.change(
                    "update queue set state = 'open', reason = '', ended_at = null where no = ?",
                    (row.no,),
                )
                self._queues.note(row.no, "open", "")
        return count

    # -- inside a write transaction --

    def again(self, row: Queue, ids: Iterable[str], over: Container[tuple[int, int]]) -> int:
        """Retry those of `ids` that had ended before their sources were read (`over`), and are open
        work by these; return how many. A failed one is not, nor a row that was blocked: no source
        says that of them."""
        ended = {
            item_id: (no, finish_no)
            for no, item_id, finish_no in self._store.rows(
                f"select no, id, finish_no from item where queue = ? and ({_BY_SOURCE})",
                (row.no,),
            )
        }
        wanted = [item_id for item_id in ids if ended.get(item_id) in over]
        for item_id in wanted:
            # Its row or file has changed: what it held before is done all the same.
            self._accepted.keep(row.no, ended[item_id][0])
        position = self._store.engine.next_positions(len(wanted)) if wanted else 0
        left = [self._retry(row, one, {}, place) for place, one in enumerate(wanted, position)]
        return left.count(None)

    def _open_among(self, ids: list[str]) -> dict[str, str]:
        """Return the queue of each of `ids` that is still open; see `Items.all_open`."""
        marks = ", ".join("?" * len(ids)) or "null"
        return dict(
            self._store.rows(
                "select i.id, q.name from queue q join item i on i.queue = q.no "
                f"where q.project = ? and i.id in ({marks}) "
                "and (i.turn is not null or i.pending is not null)",
                (self._store.project, *ids),
            ).fetchall()
        )

    def _retry(
        self, row: Queue, item_id: str, elsewhere: dict[str, str], position: int
    ) -> str | None:
        item = self._store.one(
            Item,
            f"select {columns(Item, 'item')} from item where queue = ? and id = ?",
            (row.no, item_id),
        )
        if item is None:
            return "not in this queue"
        is_tried = self._is_tried(item)
        if item.state in OPEN_STATES and not is_tried:
            return f"it is {item.state}"
        if item.pending == "merge":
            return f"its branch is not merged yet: hypervisor integrate {row.name}"
        if item.pending is not None:
            return f"its last report is not in its file yet: hypervisor summary {row.name} says why"
        if item_id in elsewhere and not is_tried:
            return f"it is open in queue {elsewhere[item_id]}"
        # Whoever tries it again wants it.
        self._store.change("delete from dependency where item = ? and after = ?", (item.no, ASIDE))
        waits = self._store.row("select count(*) from dependency where item = ?", (item.no,))[0]
        self._store.change(
            "update item set state = ?, position = ?, turn = ?, waits = ?, "
            "forgiven = attempts, deaths = 0, releases = 0, lost = 0, abrupt = 0, lapsed = null, "
            "claim = null, cause = ?, finished_at = null, finish_no = null, told_at = null, "
            "told_by = null where no = ?",
            (
                "waiting" if waits else "ready",
                position,
                position + WAITING if waits else position,
                waits,
                item.cause or self._reason(item.claim) or "no reason given",
                item.no,
            ),
        )
        self._queues.note(row.no, "retried", item_id)
        return None

    def _is_tried(self, item: Item) -> bool:
        """True if an open item waits for its next attempt: the last one can be forgiven."""
        query = "select 1 from item where no = ? and state = 'ready' and attempts > forgiven"
        return self._store.row(query, (item.no,)) is not None

    def _reason(self, claim: int | None) -> str | None:
        """Return what a claim's report gives as the reason, or as the summary, or None."""
        row = self._store.row("select report from claim where no = ?", (claim,))
        return (reason_of(row["report"]) or summary_of(row["report"])) if row is not None else None
