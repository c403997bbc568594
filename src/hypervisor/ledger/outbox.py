"""Accepted ends that are still to be written where their items came from."""

from __future__ import annotations

import time

from hypervisor.ledger.claim_ids import number_of
from hypervisor.ledger.part import Part
from hypervisor.ledger.rows import Pending, columns
from hypervisor.ledger.schema import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.store import Store

# A clone that has not written a report for so long is gone, as far as anybody can tell.
_OWED_SECONDS = 7 * 86_400
_OF_OTHERS = {"queue_name": "q.name"} | {
    name: f"c.{name}"
    for name in ("token", "worker", "outcome", "attempt", "report", "branch", "merge")
}


def said_here(store: Store) -> tuple[str, tuple[object, ...]]:
    """Return what holds of a claim `c` whose report was said in this clone, with its values; "" for
    a project of which there is one clone."""
    clone = store.clone()
    if clone is None:
        return "", ()
    # A clone that was made anew in its place is as good as the one before.
    name, _, place = clone.partition(" ")
    at = len(name) + 1
    told = "c.clone is null or substr(c.clone, 1, ?) = ? or substr(c.clone, ?) = ?"
    return told, (at, f"{name} ", at, f" {place}")


class Outbox(Part):
    """The verbs of whoever writes them."""

    def pending(self, limit: int | None = 200) -> list[Pending]:
        """Return items whose accepted end still has to be written into their task file here, but
        for those whose branch is not merged yet, and those that another clone owes: that has the
        work, and this one gets both at its next pull. What that owes for a week is anybody's.

        At most `limit` of them: those that were not tried before, then the oldest.
        """
        owed, values = said_here(self._store)
        if owed:
            owed = f"and ({owed} or c.branch is not null or i.finished_at < ?) "
            values = (*values, time.time() - _OWED_SECONDS)
        return self._store.all(
            Pending,
            f"select {columns(Pending, 'i', **_OF_OTHERS)} "
            "from item i join queue q on q.no = i.queue join claim c on c.no = i.claim "
            f"where i.pending is not null and i.pending <> 'merge' and q.project = ? {owed}"
            "order by i.pending not in ('report', 'cause'), i.finish_no limit ?",
            (self._store.project, *values, NEVER if limit is None else limit),
        )

    def awaits_writing(self, token: str) -> bool:
        """True if the end that `token` brought is still to be written into the task file."""
        number = number_of(token)
        found = self._store.row(
            "select 1 from claim c join item i on i.no = c.item where c.no = ? and c.token = ? "
            "and i.claim = c.no and i.pending is not null",
            (number, token),
        )
        return found is not None

    def written(
        self, token: str, fingerprint: str | None = None, before: str | None = None
    ) -> None:
        """Note that the end that `token` brought stands in the task file, and how that looks now:
        what looks otherwise later was edited since. `before` is the digest of what it held."""
        self._set_pending(token, None, fingerprint, before)

    def write_again(self, items: list[int]) -> None:
        """Have the accepted ends of these items (their numbers) written once more."""
        with self._store.write():
            self._store.change_many(
                "update item set pending = 'report' where no = ? and state = 'done' "
                "and pending is null and claim is not null",
                [(item,) for item in items],
            )

    def unwritten(self, token: str, why: str) -> None:
        """Note why the end that `token` brought can't be written now; it stays pending."""
        self._set_pending(token, why)

    # -- inside a write transaction --

    def _set_pending(
        self,
        token: str,
        pending: str | None,
        fingerprint: str | None = None,
        before: str | None = None,
    ) -> None:
        number = number_of(token)
        with self._store.write():
            self._store.change(
                "update item set pending = ?, fingerprint = coalesce(?, fingerprint), "
                "content = coalesce(substr(content, 1, 64) || ' ' || ?, ?, content) "
                "where pending is not null and claim = ? "
                "and no = (select item from claim where no = ? and token = ?)",
                (pending, fingerprint, before, before, number, number, token),
            )
