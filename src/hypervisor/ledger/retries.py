"""Second chances: ended items become ready again."""

from __future__ import annotations

from hypervisor.ledger.outcomes import OPEN_STATES
from hypervisor.ledger.reports import reason_of
from hypervisor.ledger.schema import ASIDE, WAITING
from hypervisor.system.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.ledger.items import Items
    from hypervisor.ledger.queues import Queues
    from hypervisor.ledger.store import Store


class Retries:
    """The verb that takes an end back."""

    def __init__(self, store: Store, queues: Queues, items: Items) -> None:
        self._store = store
        self._queues = queues
        self._items = items

    def retry(self, queue: str, ids: Iterable[str]) -> list[tuple[str, str]]:
        """Make ended items ready again, behind all others, with all their attempts afresh.

        Their claims and reports stay as history; what waits for them waits on. Returns (id, why)
        of those that were left as they are: still open, open in another queue, or with an end that
        is not in its file yet. Raises UsageError for a queue that was cancelled.
        """
        left = []
        with self._store.write(durable=True):
            self._queues.alone()
            row = self._queues.get(queue)
            if row.state not in ("open", "paused"):
                raise UsageError(f"queue {queue} was {row.state}", "open it again instead")
            elsewhere = self._items.all_open()
            for item_id in dict.fromkeys(ids):
                why = self._retry(row.no, item_id, elsewhere)
                if why is not None:
                    left.append((item_id, why))
        return left

    # -- inside a write transaction --

    def _retry(self, queue: int, item_id: str, elsewhere: dict[str, str]) -> str | None:
        item = self._store.row("select * from item where queue = ? and id = ?", (queue, item_id))
        if item is None:
            return "not in this queue"
        if item["state"] in OPEN_STATES:
            return f"it is {item['state']}"
        if item["pending"] == "merge":
            return "its branch is not merged yet: see hypervisor integrate"
        if item["pending"] is not None:
            return "its last report is not in its file yet: see hypervisor summary"
        if item_id in elsewhere:
            return f"it is open in queue {elsewhere[item_id]}"
        position = self._store.next_positions(1)
        # Whoever tries it again wants it.
        self._store.change(
            "delete from dependency where item = ? and after = ?", (item["no"], ASIDE)
        )
        waits = self._store.row("select count(*) from dependency where item = ?", (item["no"],))[0]
        self._store.change(
            "update item set state = ?, position = ?, turn = ?, waits = ?, attempts = 0, "
            "deaths = 0, releases = 0, claim = null, cause = ?, finished_at = null, "
            "finish_no = null, told_at = null, told_by = null where no = ?",
            (
                "waiting" if waits else "ready",
                position,
                position + WAITING if waits else position,
                waits,
                item["cause"] or self._reason(item["claim"]) or "no reason given",
                item["no"],
            ),
        )
        self._queues.note(queue, "retried", item_id)
        return None

    def _reason(self, claim: int | None) -> str | None:
        """Return what a claim's report gives as the reason, or None."""
        row = self._store.row("select report from claim where no = ?", (claim,))
        return reason_of(row["report"]) if row is not None else None
