"""How claims end: with a report, given back, or by death; and what that does to their items.

The token is the fence. It names one claim for ever, every write is conditioned on it, and a write
that meets no row means that the caller no longer owns the item.
"""

from __future__ import annotations

import time

from hypervisor.ledger.claim_ids import number_of, token_no
from hypervisor.ledger.outcomes import OUTCOME, SATISFYING
from hypervisor.ledger.part import Part
from hypervisor.ledger.pauses import LIMITS
from hypervisor.ledger.reports import End, dumps, prepared, reason_of
from hypervisor.ledger.rows import Ending, Holding, Lapsed, Lease, Reported, columns, of
from hypervisor.ledger.schema import ASIDE, LEASED, WAITING
from hypervisor.system import keys
from hypervisor.system.errors import NotOwner
from hypervisor.system.spans import span
from hypervisor.system.text import count, either, shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hypervisor.ledger.claim_locks import ClaimLocks
    from hypervisor.ledger.pauses import Pauses
    from hypervisor.ledger.rows import Branch
    from hypervisor.ledger.store import Rows, Store

REPLACED = "its queue was opened again without it"

_JOINED = "from claim c join item i on i.no = c.item join queue q on q.no = i.queue "
AWAITED = "exists (select 1 from dependency d where d.project = i.project and d.after = i.id)"
_OTHERS = (
    of("c", "token worker lease_ms ends_by claimed_at branch worktree base_commit session agent")
    | of("c", "handout process outcome attempt")
    | of("q", "max_attempts max_deaths max_releases max_lost item_ms lock_dir verify check_env")
    | of("q", "check_base checks max_refusals scope commits may_write instructions answer")
    | {"queue_name": "q.name", "queue_state": "q.state", "queue_reason": "q.reason"}
    | {"awaited": AWAITED, "claim": "c.no", "max_abrupt": "q.max_deaths"}
)
_HELD = f"select {columns(Ending, 'i', **_OTHERS)} {_JOINED}"
_HOLDING = f"select {columns(Holding, 'i', **_OTHERS)} {_JOINED}"
# What one token holds, leases that ran out left out: nobody need have noticed that yet.
_OWN = "where c.no = ? and c.token = ? and i.claim = c.no and i.turn < 0 "
_BY_TOKEN = f"{_OWN}and i.turn >= ? /*! + CLOCK */"
_HELD_BY_TOKEN = _HELD + _BY_TOKEN + " /*! for update of i */"
# What an accepted report needs to know; its queue is looked at only where that decides something.
_ENDING = f"select {columns(Reported, 'i', **_OTHERS)} from claim c join item i on i.no = c.item "
_ENDING_BY_TOKEN = f"{_ENDING}{_BY_TOKEN} /*! for update of i */"
# A row stands in the ledger whole.
_OWN_FILE = "case when i.payload is null or i.format is not null or i.fingerprint is not null " \
    "then i.path end"  # fmt: skip
# What one token held until its lease ran out, as long as nothing else has happened to that.
_LAPSED = (
    f"select {columns(Lapsed, 'i', **_OTHERS, path=_OWN_FILE)} {_JOINED}"
    "where c.no = ? and c.token = ? and q.state <> 'cancelled' and "
    "(i.claim = c.no and i.turn < 0 or i.lapsed = c.no and i.state = 'ready') "
    # Whoever ends it just now has written both.
    "/*! for update of i, c */"
)
# What is held by the one who has just spoken, by its other claims: the lease is used up by a third.
_BESIDE = (
    f"select {columns(Lease, 'i', **_OTHERS)} from item i join claim c on c.no = i.claim "
    "where i.queue = ? and i.turn < 0 "
    "and i.turn - c.lease_ms * 667 < ? /*! + CLOCK */ "
    "and (i.files is null or i.turn >= ? /*! + CLOCK */) "
    "and (c.handout = ? or c.session = ? and c.agent = ? or c.process = ?) "
    "/*! for update of i skip locked */"
)
# How an item is told, and who gets it, that what it waited for will not come.
WITHOUT = "it waited for "
# What an item waited for is no news once it is ready; why an earlier attempt ended stays.
EARLIER = (
    f"case when first_claimed_at is null and coalesce(cause, '') not like '{WITHOUT}%' "
    "then null else cause end"
)
_LIVE_CLAIM = "update claim set outcome = null, ended_at = null, report = null where no = ?"
_END_CLAIM = "update claim set outcome = ?, ended_at = ?, report = ? where no = ?"
_ANSWERED = "update claim set answer = ? where no = ?"
_ACCEPT = "update claim set outcome = ?, ended_at = ?, report = ?, proof = ? where no = ?"
_SAID_IN = "update claim set clone = ? where no = ?"
_END_ITEM = (
    "update item set state = ?, cause = ?, finished_at = ?, finish_no = ?, pending = ?, "
    "attempts = attempts + ?, turn = null where no = ?"
)
_LOCKED = " /*! order by i.queue, i.turn, i.no for update of i skip locked */"
# That it is below zero, too, tells the planner how few they are.
_LATE = "where i.claim = c.no and i.turn < 0 and i.turn < ? /*! + CLOCK */ "
_EXPIRED = f"{_HELD}{_LATE}and i.queue in (select no from queue)"
_OF_WORKER = (
    f"{_HELD}where i.claim = c.no and i.turn < 0 and i.queue in (select no from queue) "
    "and c.worker = ? /*! for update of i */"
)
_EXPIRED_IN = f"{_HELD}{_LATE}and i.queue = ?{_LOCKED}"


def overtime(ms: int) -> str:
    """Return the cause of an end by the bound on an item's time."""
    return f"it took longer than the {span(ms / 1000)} that an item may take"


class Ends(Part):
    """The verbs that end a claim."""

    _pauses: Pauses
    _claim_locks: ClaimLocks

    def __init__(self, store: Store, others: dict[str, Part]) -> None:
        super().__init__(store, others)
        # The next ready items, asked for ahead of time: good while no other becomes ready.
        self.ahead: tuple[tuple[object, ...], Rows] | None = None

    def finish(
        self, token: str, outcome: str, report: Mapping[str, object], *, pending: bool = False
    ) -> str:
        """End the item of `token` with `outcome` and return the state that it is in now.

        `outcome` is done, blocked, failed or skipped; failed with attempts left makes the item
        ready again. `pending` notes that the report still has to be written into the task file.
        The same token saying the same outcome again is accepted and changes nothing.
        Raises NotOwner, with nothing written, if the token names no live claim.
        """
        state = self.finish_many([(token, outcome, report)], pending=pending)[0]
        if state is None:
            raise NotOwner(*self.lost(token))
        return state

    def finish_many(
        self, ends: Sequence[tuple[str, str, Mapping[str, object]]], *, pending: bool = False
    ) -> list[str | None]:
        """End many items in one durable commit; None stands for a token that owns nothing."""
        told = prepared(ends)
        with self._store.write(durable=True):
            return self.finish_all(told, pending)

    def release(self, token: str, *, free: bool = False, reason: str = "") -> str:
        """Give the item back and return its state; `free` ends cost nothing.

        A release by a worker is counted, and the last one that the queue allows fails the item; it
        is a word as any other (`speaks`). Raises NotOwner.
        """
        with self._store.write(durable=True):
            row = self.held(token) if free else self.speaks(token)
            if row is None:
                raise NotOwner(*self.lost(token))
            return self._give_back(row, "freed" if free else "released", reason)

    def end(self, token: str, how: str, cause: str = "") -> str:
        """End a claim without a report of its worker and return the item's state.

        `how` is freed (costs nothing), released, died (a crash, a turn limit, an API error), gone
        (its pool or session went down with it), unreported or refused (both cost an attempt).
        Raises NotOwner.
        """
        with self._store.write(durable=True):
            row = self.held(token)
            if row is None:
                raise NotOwner(*self.lost(token))
            return self._give_back(row, how, cause, lapsed=how == "gone")

    def end_worker(self, worker: str, how: str, cause: str = "") -> list[str]:
        """End all claims of `worker` as `end` does; return the items' ids."""
        with self._store.write(durable=True):
            rows = self._store.all(Ending, _OF_WORKER, (worker,))
            for row in rows:
                self._give_back(row, how, cause)
        return [row.id for row in rows]

    def expire(self) -> int:
        """End the claims whose lease, or whose time for an item, has run out; return how many.

        Queues whose limit has ended are open again."""
        with self._store.write():
            self._pauses.reopen_due()
            return self.expire_late()

    def holding(self, token: str) -> Holding:
        """Return the item that `token` holds, with its queue's options; see `come_back`. Raises
        NotOwner."""
        late = self.late()
        found = _HOLDING + _BY_TOKEN, (token_no(token), token, late)
        row = self._store.one(Holding, *found)
        if row is None:
            with self._store.write():
                came_back = self.come_back(token)
            row = self._store.one(Holding, *found) if came_back else None
        if row is None:
            raise NotOwner(*self.lost(token))
        return row

    def said(self, token: str) -> str | None:
        """Return the outcome that `token` has ended with, or None."""
        row = self._store.row(
            "select outcome from claim where no = ? and token = ?", (token_no(token), token)
        )
        return row["outcome"] if row else None

    def lost(self, token: str) -> tuple[str, str]:
        """Return what to tell the bearer of a token that owns nothing: the fact and the mend."""
        row = self._store.row(
            f"select c.no, c.outcome, i.id, i.state, i.claim, q.name {_JOINED} "
            "where c.no = ? and c.token = ?",
            (token_no(token), token),
        )
        if row is None:
            return f"{token} names no claim", "copy it from the line 'claim TOKEN'"
        # Nobody need have noticed yet that its lease ran out.
        how = OUTCOME[row["outcome"] or "expired"].lost
        state = row["state"]
        if state == "claimed":
            state = "still without a worker" if row["claim"] == row["no"] else "another's now"
        again = f" --id {shell(row['id'])}" if row["state"] == "ready" else ""
        return (
            f"you no longer own this: claim {token} {how}, and its item is {state}; "
            "nothing was written",
            f"continue with: hypervisor next {row['name']}{again}",
        )

    # -- inside a write transaction --

    def late(self) -> int:
        """Return below which `turn` a lease has run out; PostgreSQL adds its clock by itself."""
        return LEASED if self._store.is_shared else LEASED + self._store.engine.lease_clock()

    def held(self, token: str) -> Ending | None:
        """Return the item that `token` holds now, or None."""
        late = self.late()
        return self._store.one(Ending, _HELD_BY_TOKEN, (number_of(token), token, late))

    def speaks(self, token: str) -> Ending | None:
        """Return the item that `token` holds, or None: its worker speaks, so that a lease that ran
        out is taken back (`come_back`), and what else it holds is renewed (`renew_beside`)."""
        row = self.held(token)
        if row is None and self.come_back(token):
            row = self._store.one(Ending, _HELD + _OWN, (number_of(token), token))
        if row is not None:
            self.renew_beside([row])
        return row

    def renew(self, token: str) -> bool:
        """Renew the lease of `token`, whose worker speaks (`speaks`); False if it holds nothing."""
        row = self.speaks(token)
        if row is not None:
            self._renew(Lease(row.no, row.claim, row.lease_ms, row.ends_by))
        return row is not None

    def come_back(self, token: str) -> bool:
        """Give an item back to the worker whose lease on it ran out and who speaks all the same:
        True if nothing has happened to it since, no other tool has locked it, and nobody works on
        the files that it names."""
        number = number_of(token)
        row = self._store.one(Lapsed, _LAPSED, (number, token))
        if row is None:
            return False
        ends_by = row.ends_by
        if self._store.engine.is_of_earlier_boot(ends_by or 0):
            # How much of its time is left, nobody knows.
            self._store.change("update claim set ends_by = null where no = ?", (number,))
            ends_by = None
        if ends_by is not None and ends_by <= self._store.engine.lease_clock():
            return False
        if row.files is not None:
            from hypervisor.ledger.overlaps import files_at_work

            if files_at_work(self._store, self.late()).meet_text(row.files):
                return False
        if self._is_locked(row):
            return False
        # A shared store makes no locks: one that stands there now is another's.
        if row.lapsed is not None or self._store.is_shared:
            key = keys.key(row.id)
            if not self._claim_locks.take(row.queue, key, token, []):
                return False
            self._store.after_rollback(self._claim_locks.drop_all, row.queue, (key,))
        if row.lapsed is not None:
            self.ahead = None
            self._store.change(_LIVE_CLAIM, (number,))
            column = OUTCOME[row.outcome or "expired"].costs
            back = f", {column} = {column} - 1" if column else ""
            self._store.change(
                "update item set state = 'claimed', claim = lapsed, lapsed = null, turn = ?"
                f"{back} where no = ?",
                (LEASED, row.no),
            )
        self._renew(Lease(row.no, row.claim, row.lease_ms, ends_by))
        return True

    def _is_locked(self, row: Lapsed) -> bool:
        """True if another tool has locked the item, in whatever folder pre-flight looks into."""
        from hypervisor.config.lock_folders import lock_folders
        from hypervisor.ledger.lock_view import LockView

        root = self._store.root
        view = LockView(root, lock_folders(root), self._store.ledger_id, once=True)
        return view.find(row.id, None if row.path is None else f"{root}/{row.path}") is not None

    def renew_beside(self, rows: Sequence[Ending | Reported]) -> None:
        """Renew what else of their queue is held by the workers of these claims: of the same call,
        the same agent or the same process; a name that several may share renews nothing."""
        late, clock = self.late(), self._store.engine.lease_clock()
        for queue, *who in {
            (row.queue, row.handout, row.session, row.agent, row.process) for row in rows
        }:
            handout, _, agent, process = who
            if handout is None and agent is None and process is None:
                continue
            for lease in self._store.all(Lease, _BESIDE, (queue, late, late, *who)):
                if lease.ends_by is None or lease.ends_by > clock:
                    self._renew(lease)

    def _renew(self, lease: Lease) -> None:
        """Renew a lease as far as the time for an item goes."""
        until = self._store.engine.lease_clock() + lease.lease_ms * 1000
        if lease.ends_by is not None:
            until = min(until, lease.ends_by)
        self._store.change(
            "update item set turn = ? where no = ? and claim = ? and turn < 0",
            (LEASED + until, lease.no, lease.claim),
        )

    def finish_all(self, ends: Sequence[End], pending: bool) -> list[str | None]:
        now, mark = time.time(), "report" if pending else None
        states: list[str | None] = []
        claims: list[tuple[object, ...]] = []
        answers: list[tuple[object, ...]] = []
        items: list[tuple[object, ...]] = []
        said: dict[int, tuple[str, str]] = {}
        spoke: list[Reported] = []
        late = self.late()
        found = self._store.look(
            Reported, _ENDING_BY_TOKEN, [(end[0], end[1], late) for end in ends]
        )
        for (number, token, outcome, text, proof, answer), row in zip(ends, found, strict=True):
            if number in said:
                # Twice in one call: nothing is written before its end.
                states.append(said[number][1] if said[number][0] == outcome else None)
                continue
            if row is None:
                before = self._said_before(number, token, outcome)
                if before is None and self.come_back(token):
                    row = self._store.one(Reported, _ENDING + _OWN, (number, token))
            if row is None:
                states.append(before)
                continue
            state = outcome
            if outcome == "failed" and self._may_try_again(row):
                self._ready_again(row.no, "attempts", reason_of(text))
                state = "ready"
            else:
                # What was done on a branch is told, and satisfies others, once it is merged.
                merged = not row.branch or state != "done"
                told = mark if merged or not mark else "merge"
                number_of_end = self._store.engine.end_number()
                counted = int(state == "failed")
                items.append((state, None, now, number_of_end, told, counted, row.no))
                # Where others write too, what was waited for with the row is not in it.
                awaited = row.awaited or self._store.is_shared
                if awaited and merged and state in SATISFYING:
                    self.satisfy(row.project, row.id)
            claims.append((outcome, now, text, proof, number))
            if answer is not None:
                answers.append((answer, number))
            if not self._store.is_shared:
                folder = self._claim_locks.path_of(row.queue)
                self._store.after_commit(self._claim_locks.unlock, folder, keys.key(row.id))
            said[number] = outcome, state
            states.append(state)
            spoke.append(row)
        self._store.change_many(_ACCEPT, claims)
        if answers:
            self._store.change_many(_ANSWERED, answers)
        self._store.change_many(_END_ITEM, items)
        clone = self._store.clone() if pending else None
        if clone is not None:
            self._store.change_many(_SAID_IN, [(clone, claim[-1]) for claim in claims])
        if claims:
            self._store.engine.count_ends(len(claims))
            self.renew_beside(spoke)
        return states

    def _said_before(self, number: int, token: str, outcome: str) -> str | None:
        """Return the state of an item whose claim has ended with `outcome` before, or None."""
        told = self._store.row(
            "select c.outcome, i.state from claim c join item i on i.no = c.item "
            "where c.no = ? and c.token = ?",
            (number, token),
        )
        return told["state"] if told and told["outcome"] == outcome else None

    def _may_try_again(self, row: Reported) -> bool:
        """True if an item that failed has attempts left."""
        state, most = self._store.row(
            "select state, max_attempts from queue where no = ?", (row.queue,)
        )
        return state != "replaced" and row.attempts - row.forgiven + 1 < int(most)

    def final(
        self,
        row: Ending | Branch,
        state: str,
        cause: str | None,
        now: float,
        pending: str | None,
    ) -> None:
        """End an item that no report of a worker ends; `cause` says why."""
        self._store.change(
            _END_ITEM, (state, cause, now, self._store.engine.end_number(), pending, 0, row.no)
        )
        # Where others write too, somebody may have begun to wait since the row was read.
        if state in SATISFYING and (row.awaited or self._store.is_shared):
            self.satisfy(row.project, row.id)

    def satisfy(self, project: str, item_id: str, without: str | None = None) -> None:
        """Make ready what waited for this item alone, in whichever queue; `without` tells what was
        not tried yet that this did not come to a good end."""
        if item_id == ASIDE:
            # A file may call its item so; what is set aside comes back on request alone.
            return
        self.ahead = None
        waiting = self._store.rows(
            "select item from dependency where project = ? and after = ?", (project, item_id)
        ).fetchall()
        self._store.change(
            "insert into met (project, after, item) select project, after, item from dependency "
            "where project = ? and after = ? on conflict do nothing",
            (project, item_id),
        )
        self._store.change(
            "delete from dependency where project = ? and after = ?", (project, item_id)
        )
        for (item,) in waiting:
            self._store.change(
                "update item set waits = waits - 1, cause = case when first_claimed_at is null "
                "and state = 'waiting' then coalesce(?, cause) else cause end where no = ?",
                (without, item),
            )
            self._store.change(
                f"update item set state = 'ready', turn = position, cause = {EARLIER} "
                "where no = ? and state = 'waiting' and waits <= 0",
                (item,),
            )

    def _give_back(self, row: Ending, how: str, cause: str, *, lapsed: bool = False) -> str:
        """End a live claim without an accepted report; the item is ready again, or failed. A claim
        that has `lapsed` may come back."""
        now = time.time()
        told = dumps({"cause": cause}) if cause else None
        self._store.change(_END_CLAIM, (how, now, told, row.claim))
        self._store.proven_by("select 1 from claim where no = ? and outcome = ?", row.claim, how)
        self._claim_locks.unlock_after_commit(row.lock_dir, row.id)
        outcome = OUTCOME[how]
        column, text = outcome.costs, outcome.spent
        most: int = getattr(row, f"max_{column}") if column is not None else 0
        spent = getattr(row, column) + 1 if column is not None else 0
        if column == "attempts":
            spent -= row.forgiven
        if column is not None and text is not None and spent >= most:
            they, their = either(most, "it", "they"), either(most, "its", "their")
            why = text.format(workers=count(most, "worker"), they=they, their=their)
            why += f"; the last: {cause}" if cause else ""
            self._store.change(f"update item set {column} = {column} + 1 where no = ?", (row.no,))
            self.final(row, "failed", why, now, "cause" if row.path else None)
            return "failed"
        if row.queue_state == "replaced":
            self.final(row, "cancelled", REPLACED, now, None)
            return "cancelled"
        self._ready_again(row.no, column, cause or None, row.claim if lapsed else None)
        return "ready"

    def _ready_again(
        self, item: int, column: str | None, cause: str | None, lapsed: int | None = None
    ) -> None:
        """Make an item (its number) ready; what cost it something goes behind all others. `lapsed`
        is a claim that may come back."""
        self.ahead = None
        # While it was held, it may have been set aside.
        self._store.change(
            "update item set state = case when waits > 0 then 'waiting' else 'ready' end, "
            "turn = position + case when waits > 0 then ? else 0 end, claim = null, lapsed = ?, "
            "cause = coalesce(?, cause) where no = ?",
            (WAITING, lapsed, cause, item),
        )
        if column is not None:
            self._store.change(f"update item set {column} = {column} + 1 where no = ?", (item,))
            self.put_behind([item])

    def put_behind(self, items: list[int]) -> None:
        """Put ready items behind all others, so that no claim tries them again first."""
        if items:
            first = self._store.engine.next_positions(len(items))
            self._store.change_many(
                "update item set position = ?, turn = ? + case when waits > 0 then ? else 0 end "
                "where no = ?",
                [(first + place, first + place, WAITING, item) for place, item in enumerate(items)],
            )

    def expire_late(self, queue: int | None = None) -> int:
        """End the late claims of one generation, or of all: as lost leases, or as attempts where an
        item's time was over."""
        self._store.engine.mind_clock()
        late = self.late()
        if queue is None:
            rows = self._store.all(Ending, _EXPIRED + _LOCKED, (late,))
        else:
            rows = self._store.all(Ending, _EXPIRED_IN, (late, queue))
        clock = self._store.engine.lease_clock() if rows else 0
        for row in rows:
            if self._store.engine.is_of_earlier_boot(row.turn - LEASED):
                self._give_back(row, "expired", "the machine was restarted", lapsed=True)
            elif row.ends_by is not None and row.ends_by <= clock:
                self._give_back(row, "unreported", overtime(row.item_ms or 0))
            elif row.queue_state == "paused" and (row.queue_reason or "").startswith(LIMITS):
                # Its worker waits for the service, or was ended by the same limit.
                cause = "its lease ran out while the service refused work"
                self._give_back(row, "freed", cause, lapsed=True)
            else:
                self._give_back(
                    row, "expired", "its lease ran out without a heartbeat", lapsed=True
                )
        return len(rows)
