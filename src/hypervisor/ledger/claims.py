"""Claims: one worker holds one item under one token, until it ends the item or loses it."""

from __future__ import annotations

import os
import time

from hypervisor.ledger.claim import Claim, loads
from hypervisor.ledger.claim_ids import token_no
from hypervisor.ledger.ladder import on_rung, place, rungs
from hypervisor.ledger.overlaps import AT_WORK
from hypervisor.ledger.part import Part
from hypervisor.ledger.reports import prepared
from hypervisor.ledger.rows import Next, columns
from hypervisor.ledger.schema import LEASED, WAITING
from hypervisor.system import keys
from hypervisor.system.errors import NotOwner
from hypervisor.system.state import STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Protocol

    from hypervisor.ledger.claim_locks import ClaimLocks
    from hypervisor.ledger.ends import Ends
    from hypervisor.ledger.options import Queue
    from hypervisor.ledger.overlaps import FilesAtWork
    from hypervisor.ledger.pauses import Pauses
    from hypervisor.ledger.queues import Queues

    class Presence(Protocol):
        """Says of an item (its row) if it can be worked on here, and if another tool has locked
        it; `enough` of it, if none can be worked on."""

        def __call__(self, item: Next) -> bool: ...

        def locked(self, item: Next) -> bool: ...

        def enough(self) -> bool: ...


# Without i, l, o, 0, 1: a small model copies the token by eye.
_LETTERS = ("abcdefghjkmnpqrstuvwxyz23456789" * 9)[:256]
_BATCH = 200
# More attempts than an item can have.
_MANY = 1 << 30
_NEWEST = "select no from queue where project = ? and name = ? order by generation desc limit 1"
_LATE = f"(select min(l.turn) from item l where l.queue = ({_NEWEST}) and l.turn < 0) < ? "
_OTHERS = {"last_claim": "(select max(no) from claim)", "late": _LATE + "/*! + CLOCK */",
           "version": "(select version from queue where queue.no = item.queue)",
           "ladder": "(select ladder from queue where queue.no = item.queue)"}  # fmt: skip
_ITEM = (
    f"select {columns(Next, 'item', **_OTHERS)} from item where queue = ({_NEWEST}) "
    "and (select state from queue where queue.no = item.queue) = 'open' "
)
# Most that overlap name the very same files: these need not even be read.
_FREE = f"and (files is null or files not in ({AT_WORK})) "
_ALONE = "/*! for update skip locked */"
_READY = f"{_ITEM}and turn > ? and turn < ? {_FREE}order by turn limit ? {_ALONE}"
_READY_ON = (
    f"{_ITEM}and turn > ? and turn < ? and attempts - forgiven between ? and ? {_FREE}"
    f"order by turn limit ? {_ALONE}"
)
_READY_ONE = f"{_ITEM}and id = ? and state = 'ready' {_ALONE}"
_HOLD = (
    "update item set state = 'claimed', claim = ?, turn = ?, "
    "first_claimed_at = coalesce(first_claimed_at, ?), lapsed = null where no = ?"
)
_NEW_CLAIM = (
    "insert into claim (no, token, item, worker, lease_ms, attempt, claimed_at, session, agent, "
    "process, base_commit, ends_by, handout, version, model, rung) "
    "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


# What a Claim is made of, outside the write transaction.
_Held = tuple[str, "Queue", Next, int, "str | None"]


class Claims(Part):
    """The verbs of workers."""

    _queues: Queues
    _pauses: Pauses
    _claim_locks: ClaimLocks
    _ends: Ends

    def claim(
        self,
        queue: str,
        worker: str,
        n: int = 1,
        *,
        lease_seconds: float | None = None,
        only: str | None = None,
        session: str | None = None,
        agent: str | None = None,
        process: str | None = None,
        base_commit: str | None = None,
        there: Presence | None = None,
        model: str | None = None,
    ) -> list[Claim]:
        """Claim up to `n` ready items of `queue` (only the item `only`, if given), in order.

        An item whose lock another tool holds is passed over and tried again later. A paused or
        cancelled queue hands out nothing. Expired leases are ended first. `session` is the
        client's session that the worker runs in, `agent` its name in there where that is known,
        `process` the process that it is where it is none of a client's (see `caller.process`);
        `base_commit` is the commit at which the tasks stand. What is not `there` keeps its place.
        `model` is that of the worker, which on a queue with a ladder is a rung of it.
        """
        with self._store.write():
            self._claim_locks.last_lock.clear()
            held = self._claim(
                queue, worker, n, lease_seconds, only, session, agent, process, base_commit, there,
                model,
            )  # fmt: skip
        return [Claim(*one) for one in held]

    def finish_and_claim(
        self,
        ends: Sequence[tuple[str, str, Mapping[str, object]]],
        queue: str,
        worker: str,
        n: int = 1,
        *,
        pending: bool = False,
        lease_seconds: float | None = None,
        session: str | None = None,
        agent: str | None = None,
        process: str | None = None,
        base_commit: str | None = None,
        there: Presence | None = None,
        model: str | None = None,
    ) -> tuple[list[str | None], list[Claim]]:
        """End items as `finish_many` does and claim the next ones, in one durable commit.

        Nothing is claimed if none of `ends` was accepted.
        """
        told = prepared(ends)
        with self._store.write(durable=True):
            self._ask_ahead(queue, n)
            try:
                states = self._ends.finish_all(told, pending)
                held: list[_Held] = []
                if any(states):
                    held = self._claim(
                        queue, worker, n, lease_seconds, None, session, agent, process,
                        base_commit, there, model,
                    )  # fmt: skip
            finally:
                # What was not claimed is locked no longer: others may have it by the next claim.
                self._ends.ahead = None
        return states, [Claim(*one) for one in held]

    def heartbeat(self, tokens: Iterable[str]) -> list[str]:
        """Renew the leases of `tokens`, and of what their workers hold beside them, as far as their
        time for an item goes; return those that are still held. See `Ends.speaks`."""
        with self._store.write():
            return [token for token in tokens if self._ends.renew(token)]

    def keep(self, token: str) -> None:
        """Renew the lease of `token` in the midst of a step that takes long. Raises NotOwner once
        it is lost."""
        if not self.heartbeat([token]):
            raise NotOwner(*self._ends.lost(token))

    def store_plans(self, plans: dict[str, str]) -> list[str]:
        """Keep each token's plan with its item; return the tokens that were still held."""
        held = []
        with self._store.write(durable=True):
            for token, plan in plans.items():
                row = self._ends.held(token)
                if row is not None:
                    self._store.change("update item set plan = ? where no = ?", (plan, row.no))
                    held.append(token)
        return held

    def waiting_for_files(self, queue: int) -> int:
        """Return how many ready items of a generation name a file that is in work."""
        named = self._store.rows(
            "select files from item where queue = ? and turn >= 0 and turn < ? "
            "and files is not null",
            (queue, WAITING),
        ).fetchall()
        if not named:
            return 0
        at_work = self._files_at_work()
        return sum(at_work.meet_text(files) for (files,) in named)

    def meets_work(self, files: str | None) -> bool:
        """True if one of an item's `files` (as its row tells them) is in work."""
        return files is not None and self._files_at_work().meet_text(files)

    def place_of(self, token: str) -> tuple[str, str, bool, str | None, str | None]:
        """Return the queue and the worker of a claim that exists or existed, whether it has a
        branch, the folder that it worked in if that was its worker's own worktree, and the rung of
        the queue's ladder on which its worker stands."""
        row = self._store.row(
            "select q.name, c.worker, c.branch, c.worktree, q.ladder, c.rung from claim c "
            "join item i on i.no = c.item join queue q on q.no = i.queue where c.no = ?",
            (token_no(token),),
        )
        place: str = row["worktree"] or ""
        own = place.startswith(f"{STATE}/worktrees/{token}")
        here = os.path.join(self._store.root, place) if place and not own else None
        known = rungs(row["ladder"]) if row["ladder"] and row["rung"] is not None else []
        rung = known[row["rung"]].word if known else None
        return row["name"], row["worker"], row["branch"] is not None, here, rung

    def follows(self, token: str) -> bool:
        """True if the agent or the process that has the claim `token` had one of its queue before;
        of a name that several may share, nothing is known."""
        row = self._store.row(
            "select 1 from claim c join item i on i.no = c.item "
            "join claim e on e.no < c.no and (e.agent = c.agent or e.process = c.process) "
            "join item j on j.no = e.item and j.queue = i.queue "
            "where c.no = ? and c.token = ? limit 1",
            (token_no(token), token),
        )
        return row is not None

    def live_tokens(self) -> dict[str, str]:
        """Return the item's id of each live claim, by its token."""
        return dict(
            self._store.rows(
                "select c.token, i.id from queue q join item i on i.queue = q.no "
                "join claim c on c.no = i.claim where q.project = ? and i.turn < 0",
                (self._store.project,),
            ).fetchall()
        )

    def may_come_back(self, token: str) -> bool:
        """True if the lease of `token` ran out and nothing has happened to its item since."""
        row = self._store.row(
            "select 1 from claim c join item i on i.no = c.item where c.no = ? and c.token = ? "
            "and i.lapsed = c.no and i.state = 'ready'",
            (token_no(token), token),
        )
        return row is not None

    # -- inside a write transaction --

    def _claim(
        self,
        queue: str,
        worker: str,
        n: int,
        lease_seconds: float | None,
        only: str | None,
        session: str | None,
        agent: str | None,
        process: str | None,
        base_commit: str | None,
        there: Presence | None,
        model: str | None,
    ) -> list[_Held]:
        found, passed = self._lock_ready(queue, n, only, there, model)
        self._ends.put_behind(passed)
        if not found:
            row = self._queues.get(queue)
            if row.state == "paused" and row.resume_at is not None and self._pauses.reopen_due():
                found, passed = self._lock_ready(queue, n, only, there, model)
                self._ends.put_behind(passed)
            elif row.state == "open" and not passed and not self._any_claimed(row.no):
                self._claim_locks.sweep(self._claim_locks.folder_of(row))
        if not found:
            return []
        known = self._queues.known(found[0][2].queue)
        if known.version != found[0][2].version:
            self._queues.forget_known(known.no)
            known = self._queues.known(known.no)
        lease_ms = known.lease_ms if lease_seconds is None else round(lease_seconds * 1000)
        now, clock = time.time(), self._store.engine.lease_clock()
        ends_by = None
        if known.item_ms is not None and agent is None:
            # An agent that is named at once is a pool's, which bounds the time of its agents.
            ends_by = clock + known.item_ms * 1000
            lease_ms = min(lease_ms, known.item_ms)
        until = LEASED + clock + lease_ms * 1000
        handout = found[0][0] if len(found) > 1 else None
        rung = None if known.ladder is None else place(known.ladder, model)
        self._store.change_many(_HOLD, [(number, until, now, item.no) for number, _, item in found])
        self._store.change_many(
            _NEW_CLAIM,
            [
                (number, token, item.no, worker, lease_ms, item.attempts + 1, now, session,
                 agent, process, base_commit, ends_by, handout, known.version, model, rung)
                for number, token, item in found
            ],
        )  # fmt: skip
        self._store.proven_by("select 1 from claim where no = ? and token = ?", *found[0][:2])
        return [(token, known, item, lease_ms, base_commit) for _, token, item in found]

    def _lock_ready(
        self, queue: str, n: int, only: str | None, there: Presence | None, model: str | None
    ) -> tuple[list[tuple[int, str, Next]], list[int]]:
        """Lock up to `n` ready items; return their (claim, token, row), and those passed over."""
        found: list[tuple[int, str, Next]] = []
        passed: list[int] = []
        made: list[str] = []
        looked = False
        at_work = None
        for item in self._ready(queue, n, only, model):
            if there is not None and not there(item):
                if there.enough():
                    break
                continue
            if item.files is not None:
                if at_work is None:
                    from hypervisor.ledger.overlaps import files_at_work

                    at_work = files_at_work(self._store, self._ends.late())
                if at_work.meet_text(item.files):
                    # It keeps its place: it is next when they are free.
                    continue
            if not looked:
                looked = True
                self._store.after_rollback(self._claim_locks.drop_all, item.queue, made)
            number = self._store.engine.claim_number(item.last_claim, len(found))
            token = f"{number}-{''.join([_LETTERS[byte] for byte in os.urandom(4)])}"
            key = keys.key(item.id)
            free = there is None or not there.locked(item)
            if free and self._claim_locks.take(item.queue, key, token, made):
                made.append(key)
                if at_work is not None and item.files is not None:
                    at_work.add(loads(item.files))
                found.append((number, token, item))
                if len(found) >= n:
                    break
            else:
                passed.append(item.no)
        return found, passed

    def _ready(self, queue: str, n: int, only: str | None, model: str | None) -> Iterable[Next]:
        """End late claims, then yield the ready items in order, each at most once: on a ladder
        those of the worker's rung, then those of lower ones."""
        newest = (self._store.project, queue)
        late = self._ends.late()
        if only is not None:
            self._ends.expire_late(self._queues.get(queue).no)
            for item in self._store.all(Next, _READY_ONE, (*newest, late, *newest, only)):
                failed = item.attempts - item.forgiven
                if item.ladder is None or on_rung(item.ladder, failed) <= place(item.ladder, model):
                    yield item
            return
        after, size = -1, n
        while size > 0:
            values = self._ready_values(newest, late, after, min(size, _BATCH))
            batch = self._asked(values)
            late_ones = after < 0 and (not batch or batch[0].late)
            if late_ones and self._ends.expire_late(self._queues.get(queue).no):
                batch = self._store.all(Next, _READY, values)
            if batch and batch[0].ladder is not None:
                yield from self._ready_on(newest, late, batch[0].ladder, model)
                return
            yield from batch
            if len(batch) < min(size, _BATCH):
                return
            after, size = batch[-1].turn, _BATCH

    def _ready_on(
        self, newest: tuple[str, str], late: int, ladder: str, model: str | None
    ) -> Iterable[Next]:
        rung = place(ladder, model)
        highest = on_rung(ladder, _MANY)
        for low, high in ((rung, _MANY if rung == highest else rung), (0, rung - 1)):
            after = -1
            while low <= high:
                values = (*newest, late, *newest, after, WAITING, low, high,
                          self._store.project, late, _BATCH)  # fmt: skip
                found = self._store.all(Next, _READY_ON, values)
                yield from found
                if len(found) < _BATCH:
                    break
                after = found[-1].turn

    def _ready_values(
        self, newest: tuple[str, str], late: int, after: int, size: int
    ) -> tuple[object, ...]:
        return (*newest, late, *newest, after, WAITING, self._store.project, late, size)

    def _ask_ahead(self, queue: str, n: int) -> None:
        """Ask for the next ready items before it is known that they are wanted: on PostgreSQL
        the answer comes with that to the next question."""
        if self._store.is_shared and n > 0:
            newest = (self._store.project, queue)
            values = self._ready_values(newest, self._ends.late(), -1, min(n, _BATCH))
            self._ends.ahead = values, self._store.rows(_READY, values)

    def _asked(self, values: tuple[object, ...]) -> list[Next]:
        """Return the ready items; what was asked ahead counts if it is all that was wanted."""
        ahead, self._ends.ahead = self._ends.ahead, None
        if ahead and ahead[0] == values:
            found = [Next._make(row) for row in ahead[1].fetchall()]
            if len(found) == values[-1]:
                return found
        return self._store.all(Next, _READY, values)

    def _files_at_work(self) -> FilesAtWork:
        from hypervisor.ledger.overlaps import files_now

        return files_now(self._store, self._ends.late())

    def _any_claimed(self, queue: int) -> bool:
        found = self._store.row(
            "select 1 from item where queue = ? and turn < 0 order by turn limit 1", (queue,)
        )
        return found is not None


def keep_every(lease_seconds: float) -> float:
    """Return how often a lease is to be renewed meanwhile, in seconds."""
    return min(30.0, lease_seconds / 3)
