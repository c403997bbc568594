"""Generations that ended long ago are forgotten, and so are the ended claims of those that stay."""

from __future__ import annotations

from hypervisor.ledger.outcomes import SATISFYING, sql
from hypervisor.ledger.part import Part
from hypervisor.system.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.accepted import Accepted

_OF_ITEMS = "item in (select no from item where queue = ?)"
# What hangs on a queue, and how each table names it.
_PARTS = (
    ("refusal", f"claim in (select no from claim where {_OF_ITEMS})"),
    ("dependency", _OF_ITEMS),
    ("met", _OF_ITEMS),
    ("claim", _OF_ITEMS),
    ("item", "queue = ?"),
    ("agent", "queue = ?"),
    ("permission", "queue = ?"),
    ("told", "queue = ?"),
    ("notification", "queue = ?"),
    ("event", "queue = ?"),
    ("source_order", "queue = ?"),
    ("sample", "queue = ?"),
    ("sampled", "queue = ?"),
    ("suggestion", "queue = ?"),
    ("instruction", "queue = ?"),
    ("queue", "no = ?"),
)
_PRUNABLE = (
    "select q.no, q.name, q.generation, q.state, q.opened_at, q.ended_at, "
    "(select count(*) from item where queue = q.no) as items, "
    "(select max(finished_at) from item where queue = q.no) as last_end, "
    "exists (select 1 from item where queue = q.no and turn is not null) as is_open, "
    "exists (select 1 from item where queue = q.no and pending is not null) as is_pending, "
    "exists (select 1 from claim c join item i on i.no = c.item where c.no = ? "
    "and i.queue = q.no) or q.no = (select max(no) from queue) as is_newest "
    "from queue q where project = ? order by q.no"
)
# Those that are still the last word on what wants a look stay, and what is not merged yet.
_OLD_CLAIMS = (
    "from claim c join item i on i.no = c.item where i.project = ? and c.no <> ? "
    "and c.ended_at < ? and i.pending is null and (c.no <> coalesce(i.claim, 0) or i.turn is null "
    f"and i.finished_at < ? and i.state in {sql(SATISFYING)}) "
    "and (c.branch is null or c.merged_at is not null or c.outcome <> 'done') "
    # Without what was judged a rate would tell less, or more, than was seen.
    "and c.verdict is null and c.no not in (select claim from sampled) "
    "and c.no not in (select claim from suggestion)"
)


class Old(NamedTuple):
    """A generation of a queue, and what decides whether it can be forgotten."""

    no: int
    name: str
    generation: int
    state: str
    opened_at: float
    ended_at: float | None
    items: int
    last_end: float | None
    is_open: bool
    is_pending: bool
    is_newest: bool


class Forgetting(Part):
    """The verbs that forget; what was accepted stays known."""

    _accepted: Accepted

    def prunable(self, before: float) -> tuple[list[Old], list[tuple[Old, str]]]:
        """Return the generations that ended before `before` (Unix time) and can be forgotten, and
        those that can't yet, each with the reason.

        Never one that holds something open or pending, nor the one that holds the newest claim,
        nor the newest of all: the numbers of tokens and generations grow from there, and name one
        thing for ever.
        """
        going: list[Old] = []
        staying: list[tuple[Old, str]] = []
        newest = self._store.row("select max(no) from claim")[0]
        for row in self._store.all(Old, _PRUNABLE, (newest, self._store.project)):
            if max(row.last_end or 0, row.ended_at or 0, row.opened_at) >= before:
                continue
            if row.is_open:
                staying.append((row, "items of it are open"))
            elif row.is_pending:
                staying.append((row, "reports of it are not in their files yet"))
            elif row.is_newest:
                staying.append((row, "the numbers of the next queue and claim count from it"))
            else:
                going.append(row)
        return going, staying

    def old_claims(self, before: float) -> int:
        """Return how many claims that ended before `before` can be forgotten in generations that
        stay: of items that ended well before it, and earlier ones of all that have none pending."""
        going = {row.no for row in self.prunable(before)[0]}
        rows = self._store.rows(
            f"select i.queue, count(*) {_OLD_CLAIMS} group by i.queue", self._old(before)
        )
        return sum(number for queue, number in rows.fetchall() if queue not in going)

    def _old(self, before: float) -> tuple[object, ...]:
        newest = self._store.row("select max(no) from claim")[0]
        return self._store.project, newest or 0, before, before

    def forget(self, before: float) -> list[Old]:
        """Remove what `prunable` returns, with all that hangs on it, and what `old_claims` counts;
        return the queues' rows."""
        with self._store.write(durable=True):
            going, _ = self.prunable(before)
            old = f"in (select c.no {_OLD_CLAIMS})", self._old(before)
            self._store.change(f"delete from refusal where claim {old[0]}", old[1])
            self._store.change(f"delete from claim where no {old[0]}", old[1])
            self._store.change(
                "update item set claim = null where claim is not null and turn is null "
                "and not exists (select 1 from claim where no = item.claim)"
            )
            for row in going:
                self._accepted.keep(row.no)
                for table, which in _PARTS:
                    self._store.change(f"delete from {table} where {which}", (row.no,))
        return going
