"""Work that workers have found while they did something else: items only once a person says so."""

from __future__ import annotations

import time

from hypervisor.ledger.findings import Suggestion
from hypervisor.ledger.items import NewItem, Opened
from hypervisor.ledger.part import Part
from hypervisor.ledger.reviews import ACCEPTED, REJECTED
from hypervisor.ledger.rows import columns
from hypervisor.system.errors import HypervisorError, NotOwner, UsageError
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.ends import Ends
    from hypervisor.ledger.items import Items
    from hypervisor.ledger.queues import Queues

# Of one claim, at most.
MOST = 5
_ALL = (
    f"select {columns(Suggestion, 's', origin='i.id', worker='c.worker')} from suggestion s "
    "join claim c on c.no = s.claim join item i on i.no = c.item where s.queue = ?"
)


class Suggestions(Part):
    """The verbs of suggested work."""

    _queues: Queues
    _items: Items
    _ends: Ends

    def suggest(self, token: str, title: str, body: str | None) -> str:
        """Keep what the worker of a claim has found, and return its id; the same title again is the
        same. Raises NotOwner, and HypervisorError beyond what one claim may suggest."""
        with self._store.write(durable=True):
            row = self._ends.speaks(token)
            if row is None:
                raise NotOwner(*self._ends.lost(token))
            known = self._store.rows(
                "select id, title from suggestion where claim = ? order by id", (row.claim,)
            ).fetchall()
            for item_id, told in known:
                if told == title:
                    return str(item_id)
            if len(known) >= MOST:
                raise HypervisorError(
                    f"a claim may suggest {MOST} items at most", "tell the rest in your summary"
                )
            taken = {
                item_id
                for (item_id,) in self._store.rows(
                    "select id from suggestion where queue = ? union select id from item "
                    "where queue = ?",
                    (row.queue, row.queue),
                )
            }
            number = 1
            while f"{row.id}-s{number}" in taken:
                number += 1
            item_id = f"{row.id}-s{number}"
            self._store.change(
                "insert into suggestion (queue, id, claim, title, body, at) "
                "values (?, ?, ?, ?, ?, ?)",
                (row.queue, item_id, row.claim, title, body, time.time()),
            )
            self._queues.note(row.queue, "suggested", item_id)
            return item_id

    def of_queue(self, queue: int) -> list[Suggestion]:
        """Return what was suggested in a generation (its number), oldest first."""
        return self._store.all(Suggestion, f"{_ALL} order by s.at, s.id", (queue,))

    def find(self, queue: int, item_id: str) -> Suggestion | None:
        """Return a suggestion in a generation (its number), or None."""
        return self._store.one(Suggestion, f"{_ALL} and s.id = ?", (queue, item_id))

    def accept(self, queue: str, item_id: str, by: str) -> None:
        """Make a suggestion an item of the queue's own, ready, with what it came from; a queue that
        was cancelled stays so. Raises UsageError, and HypervisorError as a verdict does."""
        with self._store.write(durable=True):
            self._queues.alone()
            row = self._queues.get(queue)
            if row.state == "cancelled":
                raise HypervisorError(f"queue {queue} was cancelled", "open it again first")
            one = self._judge(row.no, item_id, ACCEPTED, by)
            payload = {"title": one.title, "body": one.body, "suggested by": one.origin}
            opened = Opened(queue, row.generation)
            item = NewItem(one.id, title=one.title, payload=payload)
            free = self._items.free(row, [item], opened, anew=False)
            if not free:
                raise HypervisorError(
                    f"{one_line(one.id, 80)} is open in another queue",
                    "end it there first",
                )
            self._items.add(row, free, opened)
            self._queues.note(row.no, "added", f"{one.id}, suggested by {one.origin}")

    def reject(self, queue: str, item_id: str, by: str) -> None:
        """Have a suggestion listed no more. Raises as `accept` does."""
        with self._store.write(durable=True):
            self._judge(self._queues.get(queue).no, item_id, REJECTED, by)

    # -- inside a write transaction --

    def _judge(self, queue: int, item_id: str, verdict: str, by: str) -> Suggestion:
        one = self.find(queue, item_id)
        shown = one_line(item_id, 80)
        if one is None:
            raise UsageError(f"nothing was suggested as '{shown}'", "see: review QUEUE --suggested")
        if one.verdict is not None:
            raise HypervisorError(
                f"{shown} was {one.verdict} by {one_line(one.reviewer, 60)} already",
                "the first verdict counts",
            )
        self._store.change(
            "update suggestion set verdict = ?, reviewer = ? where queue = ? and id = ?",
            (verdict, by, queue, item_id),
        )
        return one
