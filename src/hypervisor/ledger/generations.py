"""Queues are opened, in a new generation where the last is over, added to, and ended."""

from __future__ import annotations

import time

from hypervisor.ledger.ends import REPLACED, WITHOUT
from hypervisor.ledger.items import Opened
from hypervisor.ledger.options import KEPT, LIMITS, USUAL, Options, check_name
from hypervisor.ledger.part import Part
from hypervisor.system.errors import UsageError
from hypervisor.system.text import count, listed, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from hypervisor.ledger.accepted import Accepted
    from hypervisor.ledger.claim_locks import ClaimLocks
    from hypervisor.ledger.ends import Ends
    from hypervisor.ledger.items import Items, NewItem
    from hypervisor.ledger.options import Queue
    from hypervisor.ledger.queues import Queues
    from hypervisor.ledger.retries import Retries
    from hypervisor.ledger.terms import Terms

MISSING = "its file is missing"


class Generations(Part):
    """The verbs that begin a generation of a queue, and end it."""

    _queues: Queues
    _terms: Terms
    _items: Items
    _ends: Ends
    _claim_locks: ClaimLocks
    _accepted: Accepted
    _retries: Retries

    def open(self, name: str, items: Iterable[NewItem], options: Options = USUAL) -> Opened:
        """Open the queue `name`, or add to it while it is still at work; adding twice is harmless.

        Of a queue at work, what has ended and is `over` by the options is tried again.

        A queue that has drained or was cancelled gets a new generation, and so does one whose
        `source` has changed. What was accepted in any generation, with the same content, is left
        out. Where nothing is to be added, the last generation stays the last, if it is one of work.
        A budget that is given to a queue at work replaces its earlier one. Limits and bounds that
        are named hold from then on, and so do instructions, as a version of their own. Raises
        UsageError if the queue is at work with another check, scope, commands or paths, or with
        instructions where none are given, or has accepted answers by another schema; where no
        schema, check, scope, commands or paths are named, those that it has stay.
        """
        check_name(name)
        wanted = list(items)
        with self._store.write(durable=True):
            self._queues.alone()
            self._ends.expire_late()
            queue = newest = self._queues.find(name)
            at_work = newest is not None and self._queues.at_work(newest, options.source)
            opened = Opened(name, queue.generation if queue is not None else 1)
            if options.again:
                at_work = False
            else:
                wanted = self._not_accepted(name, wanted, opened)
            if newest is not None:
                self._terms.check_answer(newest, options.answer)
                if not at_work and options.over is not None:
                    wanted = self._not_done_since(newest, wanted, options.over)
            wanted = self._items.free(newest, wanted, opened, anew=not at_work)
            goes_on = at_work
            if newest is not None and not at_work and _is_same(newest, options):
                if not wanted:
                    self._terms.put_sequence(newest.no, options.sequence)
                    return opened
                open_here = self._items.open_ids(newest.no)
                goes_on = all(item.id in open_here for item in wanted)
            if queue is None or not goes_on:
                queue = self._new_queue(name, options)
                if newest is not None:
                    self._terms.keep_tools(newest, queue)
                    self._store.change(
                        "update queue set branches = ?, commits = ?, answer = ?, notify = ? "
                        "where no = ?",
                        (newest.branches, newest.commits, newest.answer, newest.notify, queue.no),
                    )
                    kept = None if options.again else {item.id for item in wanted}
                    self._end_generation(newest, queue, kept)
                    queue = self._queues.get(name)
            elif at_work and (others := _others(queue, options)):
                raise UsageError(
                    f"queue {name} is at work with {listed(others, len(others), 40)}",
                    f"choose another name, or end it first: hypervisor cancel {name}",
                )
            self._put(queue.no, options.kept())
            if options.instructions is not None:
                self._terms.put_instructions(queue, options.instructions)
            self._terms.put_budget(queue.no, options.budget or {})
            limits = options.limits()
            if not goes_on:
                limits = {**(options.usual or {}), **limits}
            elif queue.item_ms is not None and queue.item_ms < limits.get("lease_ms", 0):
                # The time for an item never cuts a lease short.
                limits.setdefault("item_ms", limits["lease_ms"])
            self._terms.put_bounds(queue.no, limits)
            self._terms.note_folders(queue, options.folders)
            if options.verify is not None:
                self._terms.put_check(
                    queue.no, options.verify, options.check_env, options.check_base
                )
            self._terms.put_sequence(queue.no, options.sequence)
            opened.generation = queue.generation
            opened.is_new = not goes_on
            if goes_on:
                now = self._queues.get(name)
                opened.changed = {
                    column: (getattr(queue, column), getattr(now, column))
                    for column in (*limits, "budget_usd", "budget_tokens", "budget_ms")
                    if getattr(queue, column) != getattr(now, column)
                }
                ids = [item.id for item in wanted]
                opened.again = self._retries.again(queue, ids, options.over or ())
            self._items.add(queue, wanted, opened)
            opened.present -= opened.again
            if options.asked and (opened.added or not goes_on):
                self._queues.note(queue.no, "asked", options.asked)
            if opened.added:
                self._queues.note(queue.no, "added", count(opened.added, "item"))
        return opened

    def cancel(self, queue: str, reason: str = "") -> int:
        """End the queue: open items are cancelled, live claims are lost. Return how many items."""
        with self._store.write(durable=True):
            self._queues.alone()
            row = self._queues.get(queue)
            self._items.hold("queue = ?", [(row.no,)])
            now = time.time()
            held = self._store.rows(
                "select c.no as claim, c.token, i.id, q.lock_dir from item i "
                "join claim c on c.no = i.claim join queue q on q.no = i.queue "
                "where i.queue = ? and i.turn < 0",
                (row.no,),
            ).fetchall()
            for item in held:
                self._store.change(
                    "update claim set outcome = 'cancelled', ended_at = ? where no = ?",
                    (now, item["claim"]),
                )
                self._claim_locks.unlock_after_commit(item["lock_dir"], item["id"])
            count = self.cancel_items(row.no, reason or "cancelled", "turn is not null", now)
            self._store.change(
                "update queue set state = 'cancelled', reason = ?, ended_at = ? where no = ?",
                (reason, now, row.no),
            )
            self._queues.note(row.no, "cancelled", reason)
        return count

    def cancel_missing(self, queue: str, ids: Iterable[str]) -> int:
        """End these items, of those that nobody has in hand: their files are missing. Return how
        many ended."""
        ended = 0
        with self._store.write(durable=True):
            row = self._queues.get(queue)
            self._items.hold("queue = ?", [(row.no,)])
            for item_id in ids:
                found = self._store.row(
                    "select no from item where queue = ? and id = ? and turn >= 0",
                    (row.no, item_id),
                )
                if found is not None:
                    ended += self.cancel_items(row.no, MISSING, f"no = {found[0]}", time.time())
            self._queues.note(row.no, "ended", f"{count(ended, 'item')} whose files are missing")
        return ended

    def dependants(self, queue: str, ids: Iterable[str] | None = None) -> list[tuple[str, str]]:
        """Return (id, queue) of the items that wait for open items of `queue`, or for those with
        these ids; without ids, those of the queue itself are left out: they end with it."""
        row = self._queues.get(queue)
        found = self._store.rows(
            "select distinct w.id, q.name, i.id as awaited, w.queue from item i join dependency d "
            "on d.project = i.project and d.after = i.id join item w on w.no = d.item "
            "join queue q on q.no = w.queue where i.queue = ? and i.turn is not null "
            "order by q.name, w.id",
            (row.no,),
        ).fetchall()
        wanted = None if ids is None else set(ids)
        return list(
            dict.fromkeys(
                (one["id"], one["name"])
                for one in found
                if (one["queue"] != row.no if wanted is None else one["awaited"] in wanted)
            )
        )

    # -- inside a write transaction --

    def _new_queue(self, name: str, options: Options) -> Queue:
        last = self._queues.find(name)
        self._store.change(
            "insert into queue (project, name, generation, state, purpose, instructions, "
            f"{', '.join(LIMITS)}, lock_dir, opened_at) "
            f"values (?, ?, ?, 'open', ?, ?, {', '.join('?' * len(LIMITS))}, ?, ?)",
            (
                self._store.project,
                name,
                last.generation + 1 if last else 1,
                options.purpose,
                options.instructions,
                *LIMITS.values(),
                self._claim_locks.relative(options.lock_dir),
                time.time(),
            ),
        )
        queue = self._queues.get(name)
        self._queues.note(queue.no, "opened", "")
        return queue

    def _put(self, queue: int, kept: dict[str, object]) -> None:
        sets = ", ".join(f"{column} = ?" for column in kept)
        self._store.change(f"update queue set {sets} where no = ?", (*kept.values(), queue))
        self._queues.forget_known(queue)

    def _not_accepted(self, name: str, items: list[NewItem], opened: Opened) -> list[NewItem]:
        """Return the items without the rows and plain files that were done with this content."""
        if all(item.content is None or item.fingerprint is not None for item in items):
            return items
        done = self._accepted.of_queue(name)
        left = [
            item
            for item in items
            if item.fingerprint is not None
            or item.content not in done.get((item.id, item.path or ""), ())
        ]
        opened.accepted = len(items) - len(left)
        return left

    def _not_done_since(
        self, queue: Queue, items: list[NewItem], over: Container[tuple[int, int]]
    ) -> list[NewItem]:
        """Return the items without those that were done in the queue while sources were read. One
        whose report is not in its file yet stays: that it is open is told."""
        done = {
            item_id
            for no, item_id, finish_no in self._store.rows(
                "select no, id, finish_no from item where queue = ? and state = 'done' "
                "and pending is null",
                (queue.no,),
            )
            if (no, finish_no) not in over
        }
        return [item for item in items if item.id not in done]

    def _end_generation(self, old: Queue, new: Queue, wanted: set[str] | None) -> None:
        """Move what is still open and `wanted` (None: all) to the new generation, claims and all;
        cancel the rest but for live claims, which may still be reported."""
        self._items.hold("queue = ?", [(old.no,)])
        rows = self._store.rows(
            "select no, id from item where queue = ? and turn is not null", (old.no,)
        ).fetchall()
        now = time.time()
        moved = [(new.no, no) for no, id in rows if wanted is None or id in wanted]
        self._store.change_many("update item set queue = ? where no = ?", moved)
        self.cancel_items(old.no, REPLACED, "turn >= 0", now)
        if moved and old.state == "paused":
            # Whoever paused the work did not mean this one list of it.
            self._store.change(
                "update queue set state = 'paused', reason = ?, resume_at = ? where no = ?",
                (old.reason, old.resume_at, new.no),
            )
            self._queues.note(new.no, "paused", old.reason or "")
        self._store.change(
            "update queue set state = 'replaced', ended_at = ? where no = ?", (now, old.no)
        )

    def cancel_items(self, queue: int, cause: str, which: str, now: float) -> int:
        """Cancel open items of a generation; `which` is a condition on them."""
        awaited = self._store.rows(
            "select distinct d.project, d.after from dependency d join item i on i.id = d.after "
            f"and i.project = d.project where i.queue = ? and i.{which}",
            (queue,),
        ).fetchall()
        count = self._store.change(
            "update item set state = 'cancelled', cause = ?, finished_at = ?, finish_no = ?, "
            f"turn = null where queue = ? and {which}",
            (cause, now, self._store.engine.end_number(), queue),
        )
        for project, item_id in awaited:
            told = f"{WITHOUT}{one_line(item_id, 60)}, which was cancelled: {cause}"
            self._ends.satisfy(project, item_id, told)
        return count


def _is_same(queue: Queue, options: Options) -> bool:
    """True if a queue that is at work no more (its row) is over only where there is more to do."""
    same = options.source in (None, queue.source)
    return same and not options.again and queue.purpose != "triage"


def _others(queue: Queue, options: Options) -> list[str]:
    """Return in words which of these terms a queue at work (its row) has otherwise."""
    others = [
        f"another {KEPT[column]}"
        for column, value in options.kept().items()
        if KEPT[column] and value != getattr(queue, column)
    ]
    without = options.instructions is None and queue.instructions is not None
    return ["instructions", *others] if without else others
