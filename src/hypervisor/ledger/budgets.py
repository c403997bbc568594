"""What a queue may cost: the limits that its owner set, and what has been used of them."""

from __future__ import annotations

from hypervisor.ledger.sessions import Sessions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Budgets(Sessions):
    """The verbs around a queue's budget."""

    def set_budget(self, queue: str, tokens: int | None, ms: int | None) -> None:
        """Give a queue other budgets; None leaves one as it is, 0 takes it away."""
        with self.write():
            self._set_budget(self.queue_row(queue)["no"], tokens, ms)

    def tokens_used(self, queue: int) -> int | None:
        """Return the tokens that the agents of a queue are known to have used; None: of nobody."""
        used: int | None = self.row(
            "select sum(input_tokens + output_tokens + cache_read_tokens + cache_write_tokens) "
            "from agent where queue = ?",
            (queue,),
        )[0]
        return used

    def started_at(self, queue: Any) -> float | None:
        """Return when the first item of a queue (its row) was claimed, or None (Unix time)."""
        if queue["started_at"] is not None:
            return float(queue["started_at"])
        # Of items that came from an earlier generation, only what was held in this one counts.
        first: float | None = self.row(
            "select min(c.claimed_at) from claim c join item i on i.no = c.item "
            "where i.queue = ? and (c.ended_at is null or c.ended_at >= ?)",
            (queue["no"], queue["opened_at"]),
        )[0]
        if first is not None:
            # Found once by a look at all claims, and kept.
            first = max(first, queue["opened_at"])
            with self.write():
                self.change("update queue set started_at = ? where no = ?", (first, queue["no"]))
        return first

    def _set_budget(self, queue: int, tokens: int | None, ms: int | None) -> None:
        for column, value in (("budget_tokens", tokens), ("budget_ms", ms)):
            if value is not None:
                self.change(f"update queue set {column} = ? where no = ?", (value or None, queue))
