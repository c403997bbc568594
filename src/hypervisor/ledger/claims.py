"""Claims: one worker holds one item under one token, until it ends the item or loses it."""

from __future__ import annotations

import os
import time

from hypervisor import encode, locks
from hypervisor.ledger.ends import Ends, number_of, token_no
from hypervisor.ledger.schema import LEASED, WAITING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

__all__ = ["Claim", "Claims", "number_of", "token_no"]

# Without i, l, o, 0, 1: a small model copies the token by eye.
_LETTERS = ("abcdefghjkmnpqrstuvwxyz23456789" * 9)[:256]
_BATCH = 200
_ITEM = (
    "select no, id, path, title, payload, fingerprint, plan, attempts, deaths, turn, "
    "(select max(no) from claim) as last_claim, exists (select 1 from item l "
    "where l.queue = ? and l.turn < ?) as late from item where queue = ? "
)
_READY = _ITEM + "and turn > ? and turn < ? order by turn limit ?"
_READY_ONE = _ITEM + "and id = ? and state = 'ready'"


class Claim:
    """One item in one worker's hands. `attempt` counts from 1; `lease_seconds` is how long the
    claim stands without a heartbeat; `plan` is what an earlier, dead claim had stored; `renewed`
    is false where no hook renews the lease while the worker works."""

    __slots__ = (
        "attempt", "deaths", "fingerprint", "id", "instructions", "lease_seconds", "path",
        "payload", "plan", "queue", "renewed", "title", "token", "verify",
    )  # fmt: skip

    def __init__(self, token: str, queue: Any, item: Any, lease_ms: int) -> None:
        self.token = token
        self.queue: str = queue["name"]
        self.instructions: str | None = queue["instructions"]
        self.verify: str | None = queue["verify"]
        self.id: str = item["id"]
        self.path: str | None = item["path"]
        self.title: str | None = item["title"]
        self.payload: Any = _loads(item["payload"]) if item["payload"] else None
        self.fingerprint: str | None = item["fingerprint"]
        self.attempt: int = item["attempts"] + 1
        self.deaths: int = item["deaths"]
        self.plan: str | None = item["plan"]
        self.lease_seconds: float = lease_ms / 1000
        self.renewed = True


class Claims(Ends):
    """The verbs of workers."""

    def claim(
        self,
        queue: str,
        worker: str,
        n: int = 1,
        *,
        lease_seconds: float | None = None,
        only: str | None = None,
        session: str | None = None,
    ) -> list[Claim]:
        """Claim up to `n` ready items of `queue` (only the item `only`, if given), in order.

        An item whose lock another tool holds is passed over and tried again later. A paused or
        cancelled queue hands out nothing. Expired leases are ended first. `session` is the
        client's session that the worker runs in.
        """
        with self.write():
            return self._claim(self.queue_row(queue), worker, n, lease_seconds, only, session)

    def finish_and_claim(
        self,
        ends: Sequence[tuple[str, str, dict[str, Any]]],
        queue: str,
        worker: str,
        n: int = 1,
        *,
        pending: bool = False,
        lease_seconds: float | None = None,
        session: str | None = None,
    ) -> tuple[list[str | None], list[Claim]]:
        """End items as `finish_many` does and claim the next ones, in one durable commit.

        Nothing is claimed if none of `ends` was accepted.
        """
        with self.write(durable=True):
            states = self._finish_all(ends, pending)
            if not any(states):
                return states, []
            row = self.queue_row(queue)
            return states, self._claim(row, worker, n, lease_seconds, None, session)

    def heartbeat(self, tokens: Iterable[str]) -> list[str]:
        """Renew the leases of `tokens` and return those that are still held."""
        held = []
        with self.write():
            until = LEASED + self.lease_clock()
            for token in tokens:
                row = self._held(token)
                if row is not None:
                    self.change(
                        "update item set turn = ? where no = ?",
                        (until + row["lease_ms"] * 1000, row["no"]),
                    )
                    held.append(token)
        return held

    def store_plans(self, plans: dict[str, str]) -> list[str]:
        """Keep each token's plan with its item; return the tokens that were still held."""
        held = []
        with self.write(durable=True):
            for token, plan in plans.items():
                row = self._held(token)
                if row is not None:
                    self.change("update item set plan = ? where no = ?", (plan, row["no"]))
                    held.append(token)
        return held

    # -- inside a write transaction --

    def queue_row(self, queue: str) -> Any:
        """Return the row of the newest generation of `queue`."""
        raise NotImplementedError

    def _claim(
        self,
        queue: Any,
        worker: str,
        n: int,
        lease_seconds: float | None,
        only: str | None,
        session: str | None,
    ) -> list[Claim]:
        if queue["state"] != "open":
            self._expire(queue["no"])
            return []
        found, passed = self._lock_ready(queue, n, only)
        self._send_back(passed)
        if not found:
            if not passed and not self._any_claimed(queue["no"]):
                self._sweep(self.lock_folder(queue))
            return []
        lease_ms = queue["lease_ms"] if lease_seconds is None else round(lease_seconds * 1000)
        now, until = time.time(), LEASED + self.lease_clock() + lease_ms * 1000
        self.change_many(
            "update item set state = 'claimed', claim = ?, turn = ?, "
            "first_claimed_at = coalesce(first_claimed_at, ?) where no = ?",
            [(number, until, now, item["no"]) for number, _, item in found],
        )
        self.change_many(
            "insert into claim (no, token, item, worker, lease_ms, attempt, claimed_at, session) "
            "values (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (number, token, item["no"], worker, lease_ms, item["attempts"] + 1, now, session)
                for number, token, item in found
            ],
        )
        return [Claim(token, queue, item, lease_ms) for _, token, item in found]

    def _lock_ready(
        self, queue: Any, n: int, only: str | None
    ) -> tuple[list[tuple[int, str, Any]], list[int]]:
        """Lock up to `n` ready items; return their (claim, token, row), and those passed over."""
        folder = self.lock_folder(queue)
        found: list[tuple[int, str, Any]] = []
        passed: list[int] = []
        made: list[str] = []
        owner = ""
        self.after_rollback(self._drop_all, folder, made)
        for item in self._ready(queue["no"], n, only):
            number = (item["last_claim"] or 0) + len(found) + 1
            one, two, three, four = os.urandom(4)
            letters = _LETTERS[one] + _LETTERS[two] + _LETTERS[three] + _LETTERS[four]
            token = f"{number}-{letters}"
            key = encode.key(item["id"])
            owner = owner if made else f"{token}@{self._mark}"
            if self._take(folder, key, owner, made):
                made.append(key)
                found.append((number, token, item))
                if len(found) >= n:
                    break
            else:
                passed.append(item["no"])
        return found, passed

    def _ready(self, queue: int, n: int, only: str | None) -> Iterable[Any]:
        """End late claims, then yield the ready items in order, each at most once."""
        late = LEASED + self.lease_clock()
        if only is not None:
            self._expire(queue)
            yield from self.rows(_READY_ONE, (queue, late, queue, only)).fetchall()
            return
        after, size = -1, n
        while size > 0:
            values = (queue, late, queue, after, WAITING, min(size, _BATCH))
            batch = self.rows(_READY, values).fetchall()
            if after < 0 and (not batch or batch[0]["late"]) and self._expire(queue):
                batch = self.rows(_READY, values).fetchall()
            yield from batch
            if len(batch) < min(size, _BATCH):
                return
            after, size = batch[-1]["turn"], _BATCH

    def _take(self, folder: str, key: str, owner: str, made: list[str]) -> bool:
        """Take the lock, clearing away what a crash of this ledger's own left of that name."""
        if locks.take(folder, key, owner, made[0] if made else None):
            return True
        stands = locks.holder(folder, key)
        if stands is None or locks.maker_of(stands.owner) != self.ledger_id:
            return False
        # The item is ready; a disk may know its lock by another item's name in other case.
        if key.casefold() in self._live_keys() | {one.casefold() for one in made}:
            return False
        locks.drop(folder, key, self.ledger_id)
        # The lock of a claim that ended in this transaction: its name is the new claim's now.
        self.not_after_commit(locks.drop, folder, key, self.ledger_id)
        return locks.take(folder, key, owner)

    def _drop_all(self, folder: str, keys: list[str]) -> None:
        for key in keys:
            locks.drop(folder, key, self.ledger_id)

    def _live_keys(self) -> set[str]:
        """Return the names of the locks of all live claims, in lower case."""
        live = self.rows(
            "select id from item where queue in (select no from queue) and turn < 0"
        ).fetchall()
        return {encode.key(item_id).casefold() for (item_id,) in live}

    def _sweep(self, folder: str) -> int:
        """Remove the locks that crashes of this ledger's own processes left; return how many."""
        try:
            names = os.listdir(folder)
        except OSError:
            return 0
        live = self._live_keys()
        return sum(
            locks.drop(folder, name, self.ledger_id)
            for name in names
            if name.casefold() not in live
        )

    def _any_claimed(self, queue: int) -> bool:
        found = self.row("select 1 from item where queue = ? and turn < 0 limit 1", (queue,))
        return found is not None


def _loads(text: str) -> Any:
    # Costs more to import than a claim takes, and few items are rows.
    import json

    return json.loads(text)
