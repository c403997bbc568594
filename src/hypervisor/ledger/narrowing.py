"""Narrowing a queue: what is not wanted now is set aside, and comes back on request."""

from __future__ import annotations

from hypervisor.ledger.part import Part
from hypervisor.ledger.schema import ASIDE, WAITING
from hypervisor.system.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from hypervisor.ledger.ends import Ends
    from hypervisor.ledger.items import Items
    from hypervisor.ledger.queues import Queues
    from hypervisor.ledger.rows import OpenItem


class Narrowed:
    """What became of a narrowing, as ids: the items `left` to work on, those that are set `aside`
    (`at_work` are those of them that a worker has: they are set aside if they come back), and those
    that are `back`."""

    __slots__ = ("aside", "at_work", "back", "left")

    def __init__(self) -> None:
        self.left: list[str] = []
        self.aside: list[str] = []
        self.at_work: list[str] = []
        self.back: list[str] = []


class Narrowing(Part):
    """An item that is set aside waits, beside all else, for something that never comes by itself:
    so nothing hands it out, and nothing else need know of it."""

    _queues: Queues
    _items: Items
    _ends: Ends

    def aside(self, queue: int) -> list[str]:
        """Return the ids of the items of a generation (its number) that are set aside."""
        rows = self._store.rows(
            "select i.id from dependency d join item i on i.no = d.item "
            "where d.project = ? and d.after = ? and i.queue = ? and i.state = 'waiting' "
            "order by i.turn",
            (self._store.project, ASIDE, queue),
        )
        return [item_id for (item_id,) in rows.fetchall()]

    def condition(self, queue: int) -> str | None:
        """Return in words what items had to match when a generation was last narrowed, or None."""
        found = self._store.row(
            "select detail from event where queue = ? and kind in ('narrowed', 'widened') "
            "order by no desc limit 1",
            (queue,),
        )
        return found["detail"] if found else None

    def narrow(self, queue: str, unwanted: Collection[str], condition: str) -> Narrowed:
        """Set the open items `unwanted` (ids) aside, and bring back all others; `condition` says
        in words what was wanted. Raises UsageError for a queue that has ended."""
        told = Narrowed()
        with self._store.write(durable=True):
            self._queues.alone()
            row = self._queues.get(queue)
            if row.state not in ("open", "paused"):
                raise UsageError(f"queue {queue} was {row.state}", "open it again instead")
            self._ends.expire_late()
            self._items.hold("queue = ?", [(row.no,)])
            for item in self._items.open_rows(queue):
                wanted = item.id not in unwanted
                if wanted:
                    told.left.append(item.id)
                else:
                    (told.at_work if item.turn < 0 else told.aside).append(item.id)
                if wanted == bool(item.aside):
                    self._move(item, aside=not wanted)
                    told.back += [item.id] if wanted else []
            self._queues.note(row.no, "widened" if told.back else "narrowed", condition)
        return told

    # -- inside a write transaction --

    def _move(self, item: OpenItem, *, aside: bool) -> None:
        self._ends.ahead = None
        if aside:
            self._store.change(
                "insert into dependency (project, after, item) values (?, ?, ?)",
                (self._store.project, ASIDE, item.no),
            )
        else:
            self._store.change(
                "delete from dependency where item = ? and after = ?", (item.no, ASIDE)
            )
        self._store.change(
            "update item set waits = waits + ? where no = ?", (1 if aside else -1, item.no)
        )
        self._store.change(
            "update item set state = case when waits > 0 then 'waiting' else 'ready' end, "
            "turn = position + case when waits > 0 then ? else 0 end, "
            "cause = case when waits <= 0 and cause like 'waits for %' then null else cause end "
            "where no = ? and turn >= 0",
            (WAITING, item.no),
        )
