"""What people look at: who works on what, what ended last, and the history of items and queues."""

from __future__ import annotations

from hypervisor.ledger.claim import loads
from hypervisor.ledger.claim_ids import number_of
from hypervisor.ledger.outcomes import ODD, WORKED, sql
from hypervisor.ledger.rows import ClaimRow, InTree, KnownItem, columns
from hypervisor.ledger.schema import ASIDE, LEASED, WAITING
from hypervisor.system.text import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from hypervisor.ledger.queues import Queues
    from hypervisor.ledger.rows import Queue
    from hypervisor.ledger.store import Store

# Rows that are asked for by their numbers at once.
_AT_ONCE = 500
_WORKERS = (
    f"select i.id, i.path, i.turn - ({LEASED}) as lease_until, c.no, c.token, c.worker, c.agent, "
    "c.session, c.claimed_at, c.lease_ms, c.attempt from item i join claim c on c.no = i.claim "
    "where i.queue = ? and i.turn < 0 order by c.no"
)
_LAST = (
    "select * from (select finished_at, finish_no from item where queue = ? and state = '{}' "
    "and finish_no is not null order by finish_no desc limit ?) as {}"
)
# Each state's last ends come from the index; one list of them all would have to be sorted.
_LAST_ENDS = (
    f"{' union all '.join(_LAST.format(state, state) for state in WORKED)} "
    "order by finish_no desc limit ?"
)
_OF_OTHERS = {
    "id": "i.id",
    "queue_name": "q.name",
    "generation": "q.generation",
    "kept": "a.kept",
    "how": "a.how",
}
_OF_QUEUE = {
    "queue_name": "q.name",
    "generation": "q.generation",
    "queue_state": "q.state",
    "lock_dir": "q.lock_dir",
}
_CLAIMS = (
    f"select {columns(ClaimRow, 'c', **_OF_OTHERS)} from claim c "
    "join item i on i.no = c.item join queue q on q.no = i.queue "
    "left join agent a on a.id = c.agent "
)


class Queries:
    """The questions of people; none of them writes."""

    def __init__(self, store: Store, queues: Queues) -> None:
        self._store = store
        self._queues = queues

    def workers(self, queue: int) -> list[Any]:
        """Return the live claims of a queue, in the order in which they were made."""
        return self._store.rows(_WORKERS, (queue,)).fetchall()

    def last_ends(self, queue: int, limit: int) -> list[float]:
        """Return when the last `limit` items of real work ended, newest first (Unix time)."""
        values = (queue, limit) * len(WORKED)
        return [row["finished_at"] for row in self._store.rows(_LAST_ENDS, (*values, limit))]

    def at_work_since(self, queue: int) -> float:
        """Return when the queue was last set going: opened, added to, resumed or retried."""
        found = self._store.row(
            "select max(at) from event where queue = ? "
            "and kind in ('opened', 'added', 'open', 'retried')",
            (queue,),
        )
        return found[0] or 0.0

    def troubled(self, queue: int, state: str, limit: int) -> list[Any]:
        """Return the newest `limit` items that ended as `state`, each with `cause` and `report`."""
        return self._store.rows(
            "select i.id, i.state, i.cause, c.report from item i "
            "left join claim c on c.no = i.claim "
            "where i.queue = ? and i.state = ? and i.finish_no is not null "
            "order by i.finish_no desc limit ?",
            (queue, state, limit),
        ).fetchall()

    def not_done(self, queue: int, limit: int) -> list[Any]:
        """Return up to `limit` items that were tried and are not done, each with `state`, `cause`
        and `report`: those that ended as blocked or failed, and those with an attempt used up."""
        return self._store.rows(
            "select i.id, i.state, i.cause, (select c.report from claim c where c.item = i.no "
            "and c.ended_at is not null order by c.no desc limit 1) as report from item i "
            f"where i.queue = ? and (i.state in {sql(ODD)} "
            "or (i.state = 'ready' and i.attempts > i.forgiven)) order by i.no limit ?",
            (queue, limit),
        ).fetchall()

    def tried_before(self, queue: int) -> list[Any]:
        """Return the items of a generation that are to be tried again, without those that are set
        aside, in order: `id`, `state` (ready or waiting), and why the last attempt ended (`cause`).
        """
        return self._store.rows(
            "select i.id, i.state, i.cause from item i where i.queue = ? "
            "and i.turn >= 0 and i.first_claimed_at is not null and (i.cause is not null "
            "or i.attempts + i.deaths + i.releases > 0) and not exists (select 1 "
            "from dependency d where d.project = i.project and d.after = ? and d.item = i.no) "
            "order by i.turn",
            (queue, ASIDE),
        ).fetchall()

    def tried(self, queue: Queue) -> int:
        """Return how many claims of a queue (its row) were made since its trial began and have
        ended, those left out that turned out to need no worker."""
        found: int = self._store.row(
            "select count(*) from claim c join item i on i.no = c.item where i.queue = ? "
            "and c.claimed_at >= ? and c.ended_at is not null and c.outcome <> 'skipped'",
            (queue.no, queue.trial_at),
        )[0]
        return found

    def pending_of(self, queue: int) -> list[Any]:
        """Return the items of a queue whose accepted ends are not in their files yet: `id`, and in
        `pending` why; "merge" stands for a branch that is not merged yet."""
        return self._store.rows(
            "select id, pending from item where queue = ? and pending is not null", (queue,)
        ).fetchall()

    def items_called(self, item_id: str) -> list[KnownItem]:
        """Return what each generation of each queue holds under an id, oldest first."""
        return self._store.all(
            KnownItem,
            f"select {columns(KnownItem, 'i', **_OF_QUEUE)} from queue q "
            "join item i on i.queue = q.no where q.project = ? and i.id = ? order by i.no",
            (self._store.project, item_id),
        )

    def id_of(self, word: str) -> str | None:
        """Return the id of the item that a claim's token or a file's path stands for, or None."""
        if whole(word) != word:
            # The name of a file that no item has: one that is not UTF-8 is never taken in.
            return None
        row = self._store.row(
            "select i.id from claim c join item i on i.no = c.item where c.no = ? and c.token = ?",
            (number_of(word), word),
        ) or self._store.row("select id from item where path = ? order by no desc limit 1", (word,))
        return row["id"] if row else None

    def ids_like(self, start: str, queue: str | None, limit: int) -> list[str]:
        """Return ids that begin with `start`, of one queue or of all, at most `limit`."""
        known = [row for row in self._queues.all() if queue in (None, row.name)]
        found: dict[str, None] = {}
        for row in known:
            ids = self._store.rows(
                "select id from item where queue = ? and id >= ? and id < ? order by id limit ?",
                (row.no, start, start + chr(0x10FFFF), limit),
            )
            found.update(dict.fromkeys(item_id for (item_id,) in ids))
        return list(found)[:limit]

    def columns(self, queue: str) -> Iterator[dict[str, Any]]:
        """Yield the rows that a queue was made from, as its workers get them, read as they are
        asked for. Raises UsageError for an unknown queue."""
        import json  # no `next` has need of it

        number, after = self._queues.get(queue).no, 0
        while True:
            found = self._store.rows(
                "select no, payload from item where queue = ? and no > ? and payload is not null "
                "order by no limit 200",
                (number, after),
            ).fetchall()
            for row in found:
                row_told = json.loads(row["payload"])
                if isinstance(row_told, dict):
                    yield row_told
            if not found:
                return
            after = found[-1]["no"]

    def named_ahead(self, queue: int, limit: int) -> list[list[str]]:
        """Return the files that each of the next `limit` open items names in its text, in the order
        in which they are handed out: those in work first, those that wait for others last."""
        rows = self._store.rows(
            "select named from item where queue = ? and turn is not null order by turn limit ?",
            (queue, limit),
        ).fetchall()
        return [loads(row["named"]) if row["named"] else [] for row in rows]

    def claims_on(self, item: int) -> list[ClaimRow]:
        """Return all claims that an item ever had, oldest first, each with its agent's `kept`."""
        return self._store.all(ClaimRow, _CLAIMS + "where c.item = ? order by c.no", (item,))

    def waits_for(self, item: int) -> list[str]:
        """Return the ids that an item still waits for."""
        rows = self._store.rows(
            "select after from dependency where item = ? order by after", (item,)
        )
        return [row["after"] for row in rows if row["after"] != ASIDE]

    def waits_in(self, queue: int) -> dict[int, list[str]]:
        """Return the ids that each waiting item of a generation (its number) waits for, by the
        number of the item."""
        found: dict[int, list[str]] = {}
        rows = self._store.rows(
            "select d.item, d.after from item i join dependency d on d.item = i.no "
            "where i.queue = ? and i.turn >= ? and d.after <> ? order by d.item, d.after",
            (queue, WAITING, ASIDE),
        )
        for item, other in rows.fetchall():
            found.setdefault(item, []).append(other)
        return found

    def waiting_for(self, item_id: str) -> list[Any]:
        """Return the items that wait for an id: `id`, `queue_name`, `state`."""
        return self._store.rows(
            "select i.id, i.state, q.name as queue_name from dependency d "
            "join item i on i.no = d.item join queue q on q.no = i.queue "
            "where d.project = ? and d.after = ? order by i.no",
            (self._store.project, item_id),
        ).fetchall()

    def events_after(self, queues: Sequence[int], number: int) -> list[Any]:
        """Return the events of these queues whose number is above `number`, in order."""
        marks = ", ".join("?" * len(queues))
        return self._store.rows(
            f"select * from event where queue in ({marks}) and no > ? order by no",
            (*queues, number),
        ).fetchall()

    def claims_after(self, queues: Sequence[int], number: int) -> list[ClaimRow]:
        """Return the claims in these queues whose number is above `number`, in order."""
        marks = ", ".join("?" * len(queues))
        return self._store.all(
            ClaimRow,
            f"{_CLAIMS}where c.no > ? and i.queue in ({marks}) order by c.no",
            (number, *queues),
        )

    def story(self, queues: Sequence[int]) -> Iterator[tuple[float, int, int, int]]:
        """Yield what has happened in these queues by the time at which it did: (Unix time, 0 for
        an event and 1 for a claim, its number, 1 for the end of a claim)."""
        marks = ", ".join("?" * len(queues))
        claims = f"from claim c join item i on i.no = c.item where i.queue in ({marks})"
        found = self._store.rows(
            f"select at, 0, no, 0 from event where queue in ({marks}) "
            f"union all select c.claimed_at, 1, c.no, 0 {claims} "
            f"union all select c.ended_at, 1, c.no, 1 {claims} and c.ended_at is not null "
            "and c.outcome is not null order by 1, 2, 3, 4",
            (*queues, *queues, *queues),
        )
        # No generator: one that is left in the middle would go on when the store is closed.
        return iter(found)

    def spans(self, queue: int) -> Iterator[Any]:
        """Yield of each claim in a queue, in order, when it was whose and how it ended: `no`,
        `item` (its number), `worker`, `claimed_at`, `ended_at`, `outcome`, `tokens`."""
        yield from self._store.rows(
            "select c.no, c.item, c.worker, c.claimed_at, c.ended_at, c.outcome, c.input_tokens "
            "+ coalesce(c.output_tokens, 0) + coalesce(c.cache_read_tokens, 0) "
            "+ coalesce(c.cache_write_tokens, 0) as tokens "
            "from claim c join item i on i.no = c.item where i.queue = ? order by c.no",
            (queue,),
        )

    def events_called(self, numbers: Sequence[int]) -> list[Any]:
        """Return the events with these numbers."""
        marks = ", ".join("?" * len(numbers)) or "null"
        return self._store.rows(f"select * from event where no in ({marks})", numbers).fetchall()

    def claims_called(self, numbers: Sequence[int]) -> list[ClaimRow]:
        """Return the claims with these numbers, as they are now."""
        marks = ", ".join("?" * len(numbers)) or "null"
        return self._store.all(ClaimRow, f"{_CLAIMS}where c.no in ({marks})", numbers)

    def claim_of(self, token: str) -> ClaimRow | None:
        """Return the claim that a token names, or None."""
        return self._store.one(
            ClaimRow, _CLAIMS + "where c.no = ? and c.token = ?", (number_of(token), token)
        )

    def claim_now(self, number: int) -> ClaimRow:
        """Return a claim as it is now."""
        [found] = self._store.all(ClaimRow, _CLAIMS + "where c.no = ?", (number,))
        return found

    def held_since(self, at: float) -> list[Any]:
        """Return the items that were in somebody's hands at `at` (Unix time) or later."""
        return self._store.rows(
            "select distinct i.id, i.path, i.payload, i.files, q.instructions from claim c "
            "join item i on i.no = c.item join queue q on q.no = i.queue "
            "where c.ended_at is null or c.ended_at >= ?",
            (at,),
        ).fetchall()

    def in_this_tree(self, since: float) -> list[InTree]:
        """Return the claims that were held at `since` (Unix time) or later, without a branch, on
        items of which any file is known: `no` is the item's."""
        return self._store.all(
            InTree,
            "select i.no, i.id, i.named, i.files, c.token, c.claimed_at, c.outcome from claim c "
            "join item i on i.no = c.item where i.project = ? and c.branch is null "
            "and (c.ended_at is null or c.ended_at >= ?) "
            "and (i.named is not null or i.files is not null) "
            "and coalesce(c.outcome, '') <> 'skipped' order by c.no",
            (self._store.project, since),
        )

    def tokens_over(self) -> list[str]:
        """Return the tokens of all claims on items that have ended, where workers commit."""
        rows = self._store.rows(
            "select c.token from queue q join item i on i.queue = q.no join claim c "
            "on c.item = i.no where q.project = ? and q.commits = 1 and i.turn is null",
            (self._store.project,),
        )
        return [row["token"] for row in rows.fetchall()]

    def results(self, queue: str, since: int = 0) -> Iterator[Any]:
        """Yield the items of `queue`, in order, each with its accepted report if it has one.

        With `since`, only those that ended after that `finish_no`, in the order of their end.
        The columns are those of `item`, and `token`, `worker`, `outcome`, `report` (a dict or
        None), `claimed_at`, `ended_at` of the claim that was accepted or is live.
        """
        number = self._queues.get(queue).no
        if since:
            which = "where i.queue = ? and i.finish_no > ? and i.finish_no < ? order by i.finish_no"
            return self._results(which, (number, since, self._store.engine.settled_before()))
        return self.results_in(number)

    def results_in(self, queue: int) -> Iterator[Any]:
        """Yield the items of a generation (its number), in order, as `results` does."""
        return self._results("where i.queue = ? order by i.no", (queue,))

    def results_of(self, numbers: Sequence[int]) -> Iterator[Any]:
        """Yield the items with these numbers, in order, as `results` does."""
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            yield from self._results(f"where i.no in ({marks}) order by i.no", some)

    def _results(self, which: str, values: Sequence[object]) -> Iterator[Any]:
        from hypervisor.system.quick_json import loads

        found = self._store.rows(
            "select i.*, c.token, c.worker, c.outcome, c.report as report_text, c.claimed_at, "
            f"c.ended_at from item i left join claim c on c.no = i.claim {which}",
            values,
        )
        return (
            dict(row) | {"report": loads(row["report_text"]) if row["report_text"] else None}
            for row in found
        )
