"""What came out of queues, item by item: as many generations as there are, told as one."""

from __future__ import annotations

from hypervisor.ledger.agents import DOLLARS
from hypervisor.ledger.claim import loads
from hypervisor.ledger.findings import Answer
from hypervisor.ledger.outcomes import REPORTED
from hypervisor.ledger.part import Part
from hypervisor.ledger.queries import ACCEPTED, OF_RESULT, USED
from hypervisor.ledger.rows import columns, of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# What checks say stands in the report by this name.
_CHECKED = "c.report like '%\"checks\":%'"
# The row of a source that an item was made from: triage keeps what it knows of a task there, too.
_ROW = "case when i.format is null and i.fingerprint is null then i.payload end"
_OF_ANSWER = OF_RESULT | of("c", "attempt") | {"payload": _ROW}
# So many items with what came out of them: each may have an answer of a quarter of a megabyte.
_ANSWERS_AT_ONCE = 100


class Outputs(Part):
    """The questions about that; none of them writes."""

    def newest(self, queues: Sequence[int]) -> list[int]:
        """Return the numbers of the items of some generations, oldest first, each id once: its
        newest that is done, else its newest that has a report, else its newest. They stand in their
        source's order as it was last opened; what was not in it then comes first."""
        marks = ", ".join("?" * len(queues))
        rank = dict.fromkeys(REPORTED, 1) | {"done": 2}
        found: dict[str, int] = {}
        ranked: dict[str, int] = {}
        for no, item_id, state in self._store.rows(
            f"select no, id, state from item where queue in ({marks}) order by no", queues
        ):
            if (now := rank.get(state, 0)) >= ranked.get(item_id, 0):
                found[item_id], ranked[item_id] = no, now
        last = self._store.row(
            f"select ids from source_order where queue in ({marks}) order by queue desc limit 1",
            queues,
        )
        if last is not None:
            last_opened = [found.pop(one) for one in loads(last[0]) if one in found]
            return [*found.values(), *last_opened]
        return list(found.values())

    def accepted_answers(self, queues: Sequence[int]) -> Iterator[str]:
        """Yield the answers (JSON) that were accepted in some generations."""
        where = f"c.answer is not null and {ACCEPTED}"
        return self._each("c.answer", "item i join claim c on c.no = i.claim", queues, where)

    def payloads(self, queues: Sequence[int]) -> Iterator[str | None]:
        """Yield the row of a source, as JSON, that each item of some generations was made from;
        None for a file or a part of one."""
        return self._each(_ROW, "item i", queues)

    def kept_by_checks(self, queues: Sequence[int]) -> Iterator[str]:
        """Yield the reports (JSON) of some generations that keep what checks have said."""
        where = f"{_CHECKED} and {ACCEPTED}"
        return self._each("c.report", "item i join claim c on c.no = i.claim", queues, where)

    def _each(
        self, column: str, tables: str, queues: Sequence[int], where: str = "1 = 1"
    ) -> Iterator[str]:
        marks = ", ".join("?" * len(queues))
        rows = self._store.rows(
            f"select {column} from {tables} where i.queue in ({marks}) and {where} order by i.no",
            queues,
        )
        return (value for (value,) in rows)

    def used(self, queues: Sequence[int]) -> dict[int, tuple[int, float | None]]:
        """Return the tokens of the items of some generations, where they are known, and the dollars
        (None: not known), by number."""
        marks = ", ".join("?" * len(queues))
        found = self._store.rows(
            f"select c.item, sum({USED}), {DOLLARS} from claim c join item i on i.no = c.item "
            f"where i.queue in ({marks}) and c.input_tokens is not null group by c.item",
            queues,
        )
        return {item: (tokens, usd) for item, tokens, usd in found}

    def answers(self, numbers: Sequence[int]) -> Iterator[list[Answer]]:
        """Yield the items with these numbers, in that order, some at a time."""
        for start in range(0, len(numbers), _ANSWERS_AT_ONCE):
            some = numbers[start : start + _ANSWERS_AT_ONCE]
            rows = self._store.all(
                Answer,
                f"select {columns(Answer, 'i', **_OF_ANSWER)} from item i "
                f"left join claim c on c.no = i.claim where i.no in ({', '.join('?' * len(some))})",
                some,
            )
            found = {row.no: row for row in rows}
            yield [found[no] for no in some if no in found]
