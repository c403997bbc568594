"""What people look at: who works on what, what ended last, and the history of items and queues."""

from __future__ import annotations

from hypervisor.ledger.claim import loads
from hypervisor.ledger.claim_ids import number_of
from hypervisor.ledger.findings import (
    AtWork,
    ClaimRow,
    Event,
    Happened,
    InTree,
    KnownItem,
    Named,
    Result,
    Span,
)
from hypervisor.ledger.outcomes import ODD, WORKED, sql
from hypervisor.ledger.part import Part
from hypervisor.ledger.proofs import PROOFS
from hypervisor.ledger.rows import Brief, columns, of
from hypervisor.ledger.schema import ASIDE, LEASED, WAITING
from hypervisor.system.text import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hypervisor.ledger.options import Queue
    from hypervisor.ledger.queues import Queues

# Rows that are asked for by their numbers at once.
_AT_ONCE = 500
_LEASE = f"i.turn - ({LEASED})"
_WORKERS = (
    f"select {columns(AtWork, 'c', id='i.id', title='i.title', lease_until=_LEASE)} "
    "from item i join claim c on c.no = i.claim where i.queue = ? and i.turn < 0 order by c.no"
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
_OF_OTHERS = of("i", "id") | of("q", "generation") | of("a", "kept") | {"queue_name": "q.name"}
_OF_QUEUE = of("q", "generation lock_dir") | {"queue_name": "q.name", "queue_state": "q.state"}
_OF_CLAIM = of("c", "token worker outcome claimed_at ended_at report clone model proof answer")
# What was rejected after its last attempt has failed: nothing that it brought is accepted.
ACCEPTED = "(c.outcome <> 'done' or i.state <> 'failed')"
OF_RESULT = _OF_CLAIM | {
    name: f"case when {ACCEPTED} then c.{name} end" for name in ("proof", "answer")
}
_EVENTS = f"select {columns(Event, 'e')} from event e"
USED = (
    "c.input_tokens + coalesce(c.output_tokens, 0) + coalesce(c.cache_read_tokens, 0) "
    "+ coalesce(c.cache_write_tokens, 0)"
)
_CLAIMS = (
    f"select {columns(ClaimRow, 'c', **_OF_OTHERS)} from claim c "
    "join item i on i.no = c.item join queue q on q.no = i.queue "
    "left join agent a on a.id = c.agent "
)


class Queries(Part):
    """The questions of people; none of them writes."""

    _queues: Queues

    def workers(self, queue: int) -> list[AtWork]:
        """Return the live claims of a queue, in the order in which they were made."""
        return self._store.all(AtWork, _WORKERS, (queue,))

    def last_ends(self, queue: int, limit: int) -> list[float]:
        """Return when the last `limit` items of real work ended, newest first (Unix time)."""
        values = (queue, limit) * len(WORKED)
        return [row["finished_at"] for row in self._store.rows(_LAST_ENDS, (*values, limit))]

    def at_work_since(self, queue: int) -> float:
        """Return when the queue was last set going: opened, added to, resumed or retried."""
        found = self._store.row(
            "select max(at) from event where queue = ? "
            "and kind in ('opened', 'added', 'open', 'retried', 'rejected')",
            (queue,),
        )
        return found[0] or 0.0

    def troubled(self, queue: int, state: str, limit: int) -> list[Brief]:
        """Return the newest `limit` items that ended as `state`."""
        return self._store.all(
            Brief,
            f"select {columns(Brief, 'i', report='c.report')} from item i "
            "left join claim c on c.no = i.claim "
            "where i.queue = ? and i.state = ? and i.finish_no is not null "
            "order by i.finish_no desc limit ?",
            (queue, state, limit),
        )

    def not_done(self, queue: int, limit: int) -> list[Brief]:
        """Return up to `limit` items that were tried and are not done: those that ended as blocked
        or failed, and those with an attempt used up."""
        last = (
            "(select c.report from claim c where c.item = i.no and c.ended_at is not null "
            "order by c.no desc limit 1)"
        )
        return self._store.all(
            Brief,
            f"select {columns(Brief, 'i', report=last)} from item i "
            f"where i.queue = ? and (i.state in {sql(ODD)} "
            "or (i.state = 'ready' and i.attempts > i.forgiven)) order by i.no limit ?",
            (queue, limit),
        )

    def tried_before(self, queue: int) -> list[Brief]:
        """Return the items of a generation that are to be tried again, ready or waiting, without
        those that are set aside, in order."""
        return self._store.all(
            Brief,
            f"select {columns(Brief, 'i', report='null')} from item i where i.queue = ? "
            "and i.turn >= 0 and i.first_claimed_at is not null and (i.cause is not null "
            "or i.attempts + i.deaths + i.releases + i.lost + i.abrupt > 0) "
            "and not exists (select 1 from dependency d where d.project = i.project "
            "and d.after = ? and d.item = i.no) order by i.turn",
            (queue, ASIDE),
        )

    def again(self, queue: int) -> dict[str, int]:
        """Return how many of the items that `tried_before` returns are waiting, and how many are
        ready."""
        states = [row.state for row in self.tried_before(queue)]
        return {state: states.count(state) for state in ("waiting", "ready")}

    def tried(self, queue: Queue) -> int:
        """Return how many claims of a queue (its row) were made since its trial began and have
        ended, those left out that turned out to need no worker."""
        found: int = self._store.row(
            "select count(*) from claim c join item i on i.no = c.item where i.queue = ? "
            "and c.claimed_at >= ? and c.ended_at is not null and c.outcome <> 'skipped'",
            (queue.no, queue.trial_at),
        )[0]
        return found

    def pending_of(self, queue: int) -> list[tuple[str, str]]:
        """Return the items of a queue whose accepted ends are not in their files yet: (id, why);
        "merge" stands for a branch that is not merged yet."""
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

    def ids_at(self, path: str) -> list[str]:
        """Return the ids of all items whose file this was when one was opened of it last."""
        rows = self._store.rows(
            "select id from item where path = ? and queue = "
            "(select max(queue) from item where path = ?) order by no",
            (path, path),
        )
        return [item_id for (item_id,) in rows]

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

    def columns(self, queue: str) -> Iterator[dict[str, object]]:
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

    def waiting_for(self, item_id: str) -> list[tuple[str, str, str]]:
        """Return the items that wait for an id: (id, name of the queue, state)."""
        return self._store.rows(
            "select i.id, q.name, i.state from dependency d "
            "join item i on i.no = d.item join queue q on q.no = i.queue "
            "where d.project = ? and d.after = ? order by i.no",
            (self._store.project, item_id),
        ).fetchall()

    def events_after(self, queues: Sequence[int], number: int) -> list[Event]:
        """Return the events of these queues whose number is above `number`, in order."""
        marks = ", ".join("?" * len(queues))
        return self._store.all(
            Event,
            f"{_EVENTS} where e.queue in ({marks}) and e.no > ? order by e.no",
            (*queues, number),
        )

    def asked(self, queue: int) -> list[str]:
        """Return what a generation was filled from, as the user named it each time, in order."""
        rows = self._store.rows(
            "select detail from event where queue = ? and kind = 'asked' order by no", (queue,)
        )
        return [detail for (detail,) in rows]

    def story(
        self, queues: Sequence[int], after: tuple[int, int, int], held: Sequence[int]
    ) -> list[Iterator[Happened]]:
        """Return what has happened in these queues behind the event, the claim and the refusal with
        these numbers, and the ends of the claims `held` by then. Each of what is returned is in the
        order in which it happened, however the wall clock was set meanwhile, but for ends that are
        not an item's last."""
        marks, event, claim, refusal = ", ".join("?" * len(queues)), *after
        of_item = f"from claim c join item i on i.no = c.item where i.queue in ({marks}) "
        ended = (
            f"select c.ended_at, 1, c.no, 1, c.no {of_item}and c.ended_at is not null "
            "and c.outcome is not null "
            f"and (c.no > ? or c.no in ({', '.join('?' * len(held)) or 'null'})) and "
        )
        shows = "(i.claim = c.no and i.state = c.outcome and i.finish_no is not null)"
        # The ends first: each one's claim is then among those that are found.
        return [
            map(Happened._make, self._store.rows(sql, (*queues, *values)))
            for sql, values in (
                (f"{ended}{shows} order by i.finish_no", (claim, *held)),
                (f"{ended}not {shows} order by c.ended_at, c.no", (claim, *held)),
                (
                    "select r.at, 2, r.no, 0, c.no from refusal r join claim c on c.no = r.claim "
                    f"join item i on i.no = c.item where i.queue in ({marks}) and r.no > ? "
                    "order by r.no",
                    (refusal,),
                ),
                (
                    f"select c.claimed_at, 1, c.no, 0, 0 {of_item}and c.no > ? order by c.no",
                    (claim,),
                ),
                (
                    f"select at, 0, no, 0, 0 from event where queue in ({marks}) and no > ? "
                    "order by no",
                    (event,),
                ),
            )
        ]

    def spans(self, queue: int) -> list[Span]:
        """Return each claim in a queue, in order; what is the same in many is kept once."""
        same: dict[str, str] = {}
        return [
            Span._make(same.setdefault(one, one) if type(one) is str else one for one in row)
            for row in self._store.rows(
                f"select {columns(Span, 'c', tokens=USED)} "
                "from claim c join item i on i.no = c.item where i.queue = ? order by c.no",
                (queue,),
            )
        ]

    def events_called(self, numbers: Sequence[int]) -> list[Event]:
        """Return the events with these numbers."""
        marks = ", ".join("?" * len(numbers)) or "null"
        return self._store.all(Event, f"{_EVENTS} where e.no in ({marks})", numbers)

    def claims_called(self, numbers: Sequence[int]) -> list[ClaimRow]:
        """Return the claims with these numbers, as they are now."""
        marks = ", ".join("?" * len(numbers)) or "null"
        return self._store.all(ClaimRow, f"{_CLAIMS}where c.no in ({marks})", numbers)

    def claim_of(self, token: str) -> ClaimRow | None:
        return self._store.one(
            ClaimRow, _CLAIMS + "where c.no = ? and c.token = ?", (number_of(token), token)
        )

    def claim_now(self, number: int) -> ClaimRow:
        """Return a claim as it is now."""
        [found] = self._store.all(ClaimRow, _CLAIMS + "where c.no = ?", (number,))
        return found

    def held_since(self, at: float) -> list[Named]:
        """Return the items that were in somebody's hands at `at` (Unix time) or later."""
        return self._store.all(
            Named,
            f"select distinct {columns(Named, 'i', instructions='q.instructions')} from claim c "
            "join item i on i.no = c.item join queue q on q.no = i.queue "
            "where c.ended_at is null or c.ended_at >= ?",
            (at,),
        )

    def in_this_tree(self, since: float) -> list[InTree]:
        """Return the claims that were held at `since` (Unix time) or later, without a branch, on
        items of which any file is known: `no` is the item's."""
        return self._store.all(
            InTree,
            f"select {columns(InTree, 'i', **_OF_CLAIM)} from claim c "
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

    def results(self, queue: str, since: int = 0) -> Iterator[Result]:
        """Yield the items of `queue`, in order, each with its accepted report if it has one.

        With `since`, only those that ended after that `finish_no`, in the order of their end.
        """
        number = self._queues.get(queue).no
        if since:
            which = "where i.queue = ? and i.finish_no > ? and i.finish_no < ? order by i.finish_no"
            return self._results(which, (number, since, self._store.engine.settled_before()))
        return self.results_in(number)

    def results_in(self, queue: int) -> Iterator[Result]:
        """Yield the items of a generation (its number), in order, as `results` does."""
        return self._results("where i.queue = ? order by i.no", (queue,))

    def results_of(self, numbers: Sequence[int]) -> Iterator[Result]:
        """Yield the items with these numbers, in order, as `results` does."""
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            yield from self._results(f"where i.no in ({marks}) order by i.no", some)

    def proofs(self, queue: int) -> dict[str, int]:
        """Return how many items of a queue are done, by the proof of that; those that need none
        are left out."""
        found = self._store.rows(
            "select c.proof, count(*) from item i join claim c on c.no = i.claim "
            "where i.queue = ? and i.state = 'done' and i.finish_no is not null "
            "and c.proof is not null group by c.proof",
            (queue,),
        )
        return dict.fromkeys(PROOFS, 0) | dict(found.fetchall())

    def _results(self, which: str, values: Sequence[object]) -> Iterator[Result]:
        from hypervisor.system.quick_json import loads

        found = self._store.rows(
            f"select {columns(Result, 'i', **OF_RESULT)} "
            f"from item i left join claim c on c.no = i.claim {which}",
            values,
        )
        return (
            Result._make((*columns, loads(report) if report else None))
            for *columns, report in found
        )
