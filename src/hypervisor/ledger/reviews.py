"""What people say of accepted reports: samples of them, and verdicts, of which the first counts."""

from __future__ import annotations

import time

from hypervisor.ledger.findings import Reviewed, Sample
from hypervisor.ledger.part import Part
from hypervisor.ledger.proofs import JUDGED, REVIEWED
from hypervisor.ledger.reports import dumps
from hypervisor.ledger.rows import Item, columns, of
from hypervisor.ledger.schema import WAITING
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.text import one_line, shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hypervisor.ledger.ends import Ends
    from hypervisor.ledger.items import Items
    from hypervisor.ledger.options import Queue
    from hypervisor.ledger.queues import Queues

ACCEPTED, REJECTED = "accepted", "rejected"
# A question of a client's session about a report begins so; then come the queue and the item.
QUESTION = "hypervisor review "
_OF_ITEM = of("i", "no id path title payload format fingerprint state")
_NEITHER = {"claim": "c.no", "stratum": "null", "extra": "null"}
_REPORTS = f"select {columns(Reviewed, 'c', **_OF_ITEM, **_NEITHER)} from claim c join item i "
_OF_SAMPLE = {"claim": "c.no"} | of("s", "stratum extra")
_SAMPLED = (
    f"select {columns(Reviewed, 'c', **_OF_ITEM, **_OF_SAMPLE)} from sampled s "
    "join claim c on c.no = s.claim join item i on i.no = c.item "
    "where s.queue = ? and s.number = ? order by s.place"
)
_LONGEST_QUESTION = 1000


class Reviews(Part):
    _queues: Queues
    _items: Items
    _ends: Ends

    def reports(self, queue: int) -> list[Reviewed]:
        """Return the reports of a generation (its number) that are accepted as done now, in the
        order of its items."""
        return self._store.all(
            Reviewed,
            f"{_REPORTS}on i.claim = c.no where i.queue = ? and i.state = 'done' order by i.no",
            (queue,),
        )

    def verdicts(self, queue: int) -> dict[str, int]:
        """Return how many reports of a generation (its number) have which verdict."""
        rows = self._store.rows(
            "select c.verdict, count(*) from item i join claim c on c.item = i.no "
            "where i.queue = ? and c.verdict is not null group by c.verdict",
            (queue,),
        )
        return dict.fromkeys((ACCEPTED, REJECTED), 0) | dict(rows.fetchall())

    def sample(self, queue: int) -> Sample | None:
        """Return the newest sample of a generation (its number), None without one."""
        return self._store.one(
            Sample,
            f"select {columns(Sample, 's')} from sample s where queue = ? "
            "order by number desc limit 1",
            (queue,),
        )

    def sampled(self, sample: Sample) -> list[Reviewed]:
        """Return the reports of a sample, in the order in which they were drawn."""
        return self._store.all(Reviewed, _SAMPLED, (sample.queue, sample.number))

    def keep(self, sample: Sample, drawn: Sequence[tuple[int, str, bool]]) -> None:
        """Keep a sample: of each report the claim's number, its stratum, and whether it stands for
        one that had none."""
        with self._store.write():
            self._store.change(
                "insert into sample (queue, number, at, asked, seed, strata, population) "
                "values (?, ?, ?, ?, ?, ?, ?)",
                sample,
            )
            self._store.change_many(
                "insert into sampled (queue, number, place, claim, stratum, extra) "
                "values (?, ?, ?, ?, ?, ?)",
                [
                    (sample.queue, sample.number, place, claim, stratum, int(extra))
                    for place, (claim, stratum, extra) in enumerate(drawn)
                ],
            )
            self._queues.note(sample.queue, "sampled", f"{sample.asked}, seed {sample.seed}")

    def accept(self, queue: str, item_id: str, by: str) -> None:
        """Accept the report on an item. Raises UsageError, and HypervisorError where there is no
        report to judge, or somebody has judged it before."""
        with self._store.write(durable=True):
            row = self._queues.get(queue)
            item = self._judged(row, item_id)
            self._judge(row, item, ACCEPTED, by, None)
            self._store.change(f"update claim set proof = '{REVIEWED}' where no = ?", (item.claim,))

    def reject(
        self,
        queue: str,
        item_id: str,
        by: str,
        note: str,
        take_back: Callable[[Item], str | None],
        *,
        person: bool = True,
    ) -> tuple[str, list[tuple[str, str, str]]]:
        """Reject the report on an item, which is ready again with one attempt used, or failed after
        the last; a queue that was cancelled is open again with it. What waited for it and was not
        taken up yet waits again.

        `take_back` takes the end out of the item's file and returns its path, and raises where it
        can't: then nothing is written. Returns the item's state, and of what went on by that end
        and has run: id, queue and state. What no `person` says is not a verdict. Raises as `accept`
        does.
        """
        with self._store.write(durable=True):
            self._queues.alone()
            row = self._queues.get(queue)
            item = self._judged(row, item_id)
            shown = one_line(item_id, 80)
            if item.pending is not None:
                verb = "integrate" if item.pending == "merge" else "summary"
                raise HypervisorError(
                    f"{shown}: its end is not written yet", f"first: hypervisor {verb} {row.name}"
                )
            place = self._items.open_place(item_id)
            if place is not None:
                raise HypervisorError(
                    f"{shown} is open in queue {place.queue_name}",
                    "end it there first",
                )
            path = take_back(item)
            self._store.change("update item set path = ? where no = ?", (path, item.no))
            if person:
                self._judge(row, item, REJECTED, by, note)
            state = self._ready_again(row, item, f"rejected by {by}: {note}", note)
            return state, self._wait_again(item)

    def judge(self, claim: int, told: Mapping[str, object], *, passes: bool) -> None:
        """Keep what a second model says of a report (by its claim's number): a pass is a proof,
        unless there is a better one."""
        better = f"case when proof = '{REVIEWED}' then proof else '{JUDGED}' end"
        proof = better if passes else "proof"
        with self._store.write():
            self._store.change(
                f"update claim set judged = ?, proof = {proof} where no = ?", (dumps(told), claim)
            )

    def clicked(self, session: str, question: str, answer: str) -> None:
        """Keep what the user of a session has answered to a question of the review."""
        with self._store.write():
            self._store.change(
                "insert into clicked (session, question, answer) values (?, ?, ?) "
                "on conflict (session, question) do update set answer = excluded.answer",
                (session, question[:_LONGEST_QUESTION], answer),
            )

    def clicks(self, session: str) -> dict[str, str]:
        """Return the answers that the user of a session has given, by their questions."""
        rows = self._store.rows(
            "select question, answer from clicked where session = ?", (session,)
        )
        return dict(rows.fetchall())

    def spend_click(self, session: str, question: str) -> None:
        """Forget an answer: it counts once."""
        with self._store.write():
            self._store.change(
                "delete from clicked where session = ? and question = ?", (session, question)
            )

    # -- inside a write transaction --

    def _judged(self, queue: Queue, item_id: str) -> Item:
        """Return an item whose report may be judged."""
        item = self._store.one(
            Item,
            f"select {columns(Item, 'i')} from item i where queue = ? and id = ? /*! for update */",
            (queue.no, item_id),
        )
        shown = one_line(item_id, 80)
        if item is None:
            raise UsageError(
                f"queue {queue.name} has no item '{shown}'", f"hypervisor review {queue.name}"
            )
        before = self._store.row(
            "select verdict, reviewer from claim where item = ? order by no desc limit 1",
            (item.no,),
        )
        if before is not None and before["verdict"] is not None:
            raise HypervisorError(
                f"{shown} was {before['verdict']} by {one_line(before['reviewer'], 60)} already",
                "the first verdict counts",
            )
        if item.state != "done" or item.claim is None:
            raise HypervisorError(
                f"{shown} is {item.state}: it has no accepted report to judge",
                f"hypervisor show {shell(item.id)}",
            )
        return item

    def _judge(self, queue: Queue, item: Item, verdict: str, by: str, note: str | None) -> None:
        self._store.change(
            "update claim set verdict = ?, reviewer = ?, verdict_at = ?, verdict_note = ? "
            "where no = ?",
            (verdict, by, time.time(), note, item.claim),
        )
        self._store.proven_by(
            "select 1 from claim where no = ? and verdict = ?", item.claim, verdict
        )
        self._queues.note(queue.no, verdict, item.id)

    def _ready_again(self, queue: Queue, item: Item, cause: str, note: str) -> str:
        """Make an item ready again at the price of an attempt, or failed after the last."""
        self._ends.ahead = None
        spent = self._store.row("select attempts - forgiven from item where no = ?", (item.no,))[0]
        if spent + 1 >= queue.max_attempts:
            # Nothing is owed to its file: the report stands there as rejected.
            self._store.change(
                "update item set state = 'failed', attempts = attempts + 1, cause = ?, note = ?, "
                "finished_at = ?, finish_no = ?, told_at = null, told_by = null where no = ?",
                (cause, note, time.time(), self._store.engine.end_number(), item.no),
            )
            return "failed"
        self._store.change(
            "update item set state = 'ready', turn = position, attempts = attempts + 1, cause = ?, "
            "note = ?, claim = null, lapsed = null, finished_at = null, finish_no = null, "
            "told_at = null, told_by = null where no = ?",
            (cause, note, item.no),
        )
        # What it went on by may be open work again, too.
        for (other,) in self._store.rows(
            "select distinct m.after from met m join item i on i.project = m.project "
            "and i.id = m.after where m.item = ? and i.turn is not null",
            (item.no,),
        ).fetchall():
            self._wait(item.project, other, [item.no])
        self._ends.put_behind([item.no])
        if queue.state == "cancelled":
            self._store.change(
                "update queue set state = 'open', reason = '', ended_at = null where no = ?",
                (queue.no,),
            )
            self._queues.note(queue.no, "open", "")
        return str(self._store.row("select state from item where no = ?", (item.no,))[0])

    def _wait_again(self, item: Item) -> list[tuple[str, str, str]]:
        """Have what went on by the end of an item wait for it again; return what has run."""
        rows = self._store.rows(
            "select i.no, i.id, q.name, i.state, i.turn from met m join item i on i.no = m.item "
            "join queue q on q.no = i.queue where m.project = ? and m.after = ? "
            "and i.state <> 'cancelled' order by i.no /*! for update of i */",
            (item.project, item.id),
        ).fetchall()
        waiting = [row["no"] for row in rows if row["turn"] is not None and row["turn"] >= 0]
        self._wait(item.project, item.id, waiting)
        return [(row["id"], row["name"], row["state"]) for row in rows if row["no"] not in waiting]

    def _wait(self, project: str, other: str, numbers: list[int]) -> None:
        """Have ready and waiting items (their numbers) wait for `other` once more."""
        self._store.change_many(
            "delete from met where project = ? and after = ? and item = ?",
            [(project, other, number) for number in numbers],
        )
        self._store.change_many(
            "insert into dependency (project, after, item) values (?, ?, ?) on conflict do nothing",
            [(project, other, number) for number in numbers],
        )
        self._store.change_many(
            "update item set waits = waits + 1, state = 'waiting', turn = position + ?, lapsed = "
            "null, cause = case when first_claimed_at is null then ? else cause end where no = ?",
            [(WAITING, f"waits for {other}", number) for number in numbers],
        )
