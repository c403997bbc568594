"""How claims end: with a report, given back, or by death; and what that does to their items.

The token is the fence. It names one claim for ever, every write is conditioned on it, and a write
that meets no row means that the caller no longer owns the item.
"""

from __future__ import annotations

import time

from hypervisor import encode, locks
from hypervisor.errors import NotOwner
from hypervisor.ledger.schema import LEASED
from hypervisor.ledger.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

FINAL = ("done", "blocked", "failed", "skipped")
SATISFYING = ("done", "skipped", "cancelled")
REPLACED = "its queue was opened anew without it"

_JOINED = "from claim c join item i on i.no = c.item join queue q on q.no = i.queue "
_LIMITS = (
    "q.name as queue_name, q.state as queue_state, q.max_attempts, q.max_deaths, q.max_releases"
)
_HELD = (
    "select i.no, i.project, i.id, i.path, i.attempts, i.deaths, i.releases, c.no as claim, "
    f"c.token, c.lease_ms, {_LIMITS}, q.lock_dir, exists (select 1 from dependency d "
    f"where d.project = i.project and d.after = i.id) as awaited {_JOINED}"
)
_HOLDING = (
    f"select i.*, c.token, c.worker, c.lease_ms, i.turn - ({LEASED}) as lease_until, {_LIMITS}, "
    f"q.verify {_JOINED}"
)
# What one token holds, leases that ran out left out: nobody need have noticed that yet.
_BY_TOKEN = "where c.no = ? and c.token = ? and i.claim = c.no and i.turn >= ? and i.turn < 0"
_HELD_BY_TOKEN = _HELD + _BY_TOKEN
_EXPIRED = _HELD + "where i.claim = c.no and i.turn < ? and i.queue in (select no from queue)"
_EXPIRED_IN = _HELD + "where i.claim = c.no and i.turn < ? and i.queue = ?"
_encode: Callable[[object], str] | None = None
_COST = {
    "released": ("releases", "max_releases", "{n} workers gave it back"),
    "died": ("deaths", "max_deaths", "{n} workers died while they held it"),
    "expired": ("deaths", "max_deaths", "{n} workers died while they held it"),
    "unreported": ("attempts", "max_attempts", "{n} workers stopped without a report"),
}
_HOW = {
    None: "ran out of its lease",
    "expired": "ran out of its lease",
    "died": "was ended: its worker was taken for dead",
    "released": "was given back",
    "freed": "was given back",
    "unreported": "was ended without a report",
    "cancelled": "ended when the queue was cancelled",
}


def token_no(token: str) -> int:
    """Return the number of a token like `17-x7q2`. Raises NotOwner if it has none."""
    number = number_of(token)
    if number < 0:
        raise NotOwner(f"{token[:40]!r} is not a token", "copy it from the line 'claim TOKEN'")
    return number


def number_of(token: str) -> int:
    """Return the number of a token, or -1 for what is none: it names no claim."""
    number, dash, letters = token.partition("-")
    if not dash or not letters or not number.isdecimal() or len(number) > 15:
        return -1
    return int(number)


class Ends(Store):
    """The verbs that end a claim."""

    def finish(
        self, token: str, outcome: str, report: dict[str, Any], *, pending: bool = False
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
        self, ends: Sequence[tuple[str, str, dict[str, Any]]], *, pending: bool = False
    ) -> list[str | None]:
        """End many items in one durable commit; None stands for a token that owns nothing."""
        with self.write(durable=True):
            return self._finish_all(ends, pending)

    def release(self, token: str, *, free: bool = False, reason: str = "") -> str:
        """Give the item back and return its state; `free` ends cost nothing.

        A release by a worker is counted, and the last one that the queue allows fails the item.
        Raises NotOwner.
        """
        return self.end(token, "freed" if free else "released", reason)

    def end(self, token: str, how: str, cause: str = "") -> str:
        """End a claim without a report of its worker and return the item's state.

        `how` is freed (costs nothing), released, died (a crash, a turn limit, an API error) or
        unreported (costs an attempt). Raises NotOwner.
        """
        with self.write(durable=True):
            row = self._held(token)
            if row is None:
                raise NotOwner(*self.lost(token))
            return self._give_back(row, how, cause)

    def end_worker(self, worker: str, how: str, cause: str = "") -> list[str]:
        """End all claims of `worker` as `end` does; return the items' ids."""
        with self.write(durable=True):
            rows = self.rows(_EXPIRED + " and c.worker = ?", (0, worker)).fetchall()
            for row in rows:
                self._give_back(row, how, cause)
        return [row["id"] for row in rows]

    def expire(self) -> int:
        """End the claims whose lease has run out, as deaths, and return how many."""
        with self.write():
            return self._expire()

    def holding(self, token: str) -> Any:
        """Return the row of the item that `token` holds, with its queue's options.

        Raises NotOwner, also when the lease has run out and nobody has noticed yet.
        """
        late = LEASED + self.lease_clock()
        row = self.row(_HOLDING + _BY_TOKEN, (token_no(token), token, late))
        if row is None:
            raise NotOwner(*self.lost(token))
        return row

    def said(self, token: str) -> str | None:
        """Return the outcome that `token` has ended with, or None."""
        row = self.row(
            "select outcome from claim where no = ? and token = ?", (token_no(token), token)
        )
        return row["outcome"] if row else None

    def lost(self, token: str) -> tuple[str, str]:
        """Return what to tell the bearer of a token that owns nothing: the fact and the mend."""
        row = self.row(
            f"select c.no, c.outcome, i.state, i.claim, q.name {_JOINED} "
            "where c.no = ? and c.token = ?",
            (token_no(token), token),
        )
        if row is None:
            return f"{token} names no claim", "copy it from the line 'claim TOKEN'"
        how = _HOW.get(row["outcome"], f"was reported {row['outcome']}")
        state = row["state"]
        if state == "claimed":
            state = "still without a worker" if row["claim"] == row["no"] else "another's now"
        again = " --id ID" if row["state"] == "ready" else ""
        return (
            f"you no longer own this: claim {token} {how}, and its item is {state}",
            f"nothing was written; go on with: hypervisor next {row['name']}{again}",
        )

    # -- inside a write transaction --

    def _held(self, token: str) -> Any:
        """Return the item that `token` holds now, or None."""
        late = LEASED + self.lease_clock()
        return self.row(_HELD_BY_TOKEN, (number_of(token), token, late))

    def _finish_all(
        self, ends: Sequence[tuple[str, str, dict[str, Any]]], pending: bool
    ) -> list[str | None]:
        for _, outcome, _ in ends:
            if outcome not in FINAL:
                raise ValueError(f"{outcome!r} is none of {FINAL}")
        return [self._finish(token, outcome, told, pending) for token, outcome, told in ends]

    def _finish(
        self, token: str, outcome: str, report: dict[str, Any], pending: bool
    ) -> str | None:
        row = self._held(token)
        if row is None:
            told = self.row(
                "select c.outcome, i.state from claim c join item i on i.no = c.item "
                "where c.no = ? and c.token = ?",
                (number_of(token), token),
            )
            return told["state"] if told and told["outcome"] == outcome else None
        now = time.time()
        text = _dumps(report)
        self.change(
            "update claim set outcome = ?, ended_at = ?, report = ? where no = ?",
            (outcome, now, text, row["claim"]),
        )
        self._unlock_after_commit(row)
        if (
            outcome == "failed"
            and row["attempts"] + 1 < row["max_attempts"]
            and row["queue_state"] != "replaced"
        ):
            self._ready_again(row, "attempts", None)
            return "ready"
        self._final(row, outcome, None, now, "report" if pending else None)
        return outcome

    def _final(
        self, row: Any, state: str, cause: str | None, now: float, pending: str | None
    ) -> None:
        attempts = int(state == "failed" and cause is None)
        self.change(
            "update item set state = ?, cause = ?, finished_at = ?, finish_no = ?, pending = ?, "
            "attempts = attempts + ?, turn = null where no = ?",
            (state, cause, now, self.lease_clock(), pending, attempts, row["no"]),
        )
        if state in SATISFYING and row["awaited"]:
            self._satisfy(row["project"], row["id"])

    def _satisfy(self, project: str, item_id: str) -> None:
        """Make ready what waited for this item alone, in whichever queue."""
        waiting = self.rows(
            "select item from dependency where project = ? and after = ?", (project, item_id)
        ).fetchall()
        self.change("delete from dependency where project = ? and after = ?", (project, item_id))
        for (item,) in waiting:
            self.change("update item set waits = waits - 1 where no = ?", (item,))
            self.change(
                "update item set state = 'ready', turn = position, cause = null "
                "where no = ? and state = 'waiting' and waits <= 0",
                (item,),
            )

    def _give_back(self, row: Any, how: str, cause: str) -> str:
        """End a live claim without an accepted report; the item is ready again, or failed."""
        now = time.time()
        self.change(
            "update claim set outcome = ?, ended_at = ?, report = ? where no = ?",
            (how, now, _dumps({"cause": cause}) if cause else None, row["claim"]),
        )
        self._unlock_after_commit(row)
        column, limit, text = _COST.get(how, (None, None, ""))
        if column is not None and limit is not None and row[column] + 1 >= row[limit]:
            why = text.format(n=row[limit]) + (f"; the last: {cause}" if cause else "")
            self.change(f"update item set {column} = {column} + 1 where no = ?", (row["no"],))
            self._final(row, "failed", why, now, "cause" if row["path"] else None)
            return "failed"
        if row["queue_state"] == "replaced":
            self._final(row, "cancelled", REPLACED, now, None)
            return "cancelled"
        self._ready_again(row, column, cause or None)
        return "ready"

    def _ready_again(self, row: Any, column: str | None, cause: str | None) -> None:
        """Make an item ready; what cost it something goes behind all others."""
        self.change(
            "update item set state = 'ready', turn = position, claim = null, cause = ? "
            "where no = ?",
            (cause, row["no"]),
        )
        if column is not None:
            self.change(f"update item set {column} = {column} + 1 where no = ?", (row["no"],))
            self._send_back([row["no"]])

    def _send_back(self, items: list[int]) -> None:
        """Put ready items behind all others, so that no claim tries them again first."""
        if items:
            first = self.next_positions(len(items))
            self.change_many(
                "update item set position = ?, turn = ? where no = ?",
                [(first + place, first + place, item) for place, item in enumerate(items)],
            )

    def _expire(self, queue: int | None = None) -> int:
        """End the late claims of one generation, or of all."""
        late = LEASED + self.lease_clock()
        if queue is None:
            rows = self.rows(_EXPIRED, (late,)).fetchall()
        else:
            rows = self.rows(_EXPIRED_IN, (late, queue)).fetchall()
        for row in rows:
            self._give_back(row, "expired", "its lease ran out without a word")
        return len(rows)

    def _unlock_after_commit(self, row: Any) -> None:
        """Have the lock of a held item removed when the transaction has been committed."""
        folder, key = self.lock_folder(row), encode.key(row["id"])
        self.after_commit(locks.drop, folder, key, self.ledger_id)

    def lock_folder(self, queue: Any) -> str:
        """Return the folder that holds the locks of a queue, given its row."""
        folder: str = queue["lock_dir"]
        return folder if folder[0] == "/" else f"{self.root}/{folder}"


def _dumps(report: dict[str, Any]) -> str:
    # Imported at the first end: a claim does without. A report is never refused for bytes that
    # are no text: they came out of some tool.
    global _encode
    if _encode is None:
        import json

        _encode = json.JSONEncoder(ensure_ascii=False).encode
    return _encode(report).encode("utf-8", "replace").decode()
