"""A queue's budget: when it is used up, nothing more is handed out and the rest stays untried."""

from __future__ import annotations

import time

from hypervisor.config import caller
from hypervisor.system.errors import UsageError
from hypervisor.system.spans import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from hypervisor.ledger import Ledger
    from hypervisor.ledger.rows import Queue

    class Budget(TypedDict):
        """A queue's budget, and what is used of it."""

        tokens: int | None
        tokens_used: int | None
        minutes: float | None
        minutes_used: float | None


def spent(ledger: Ledger, queue: Queue) -> Budget | None:
    """Return the budget of a queue (its row) and what is used of it, or None if it has none.

    `tokens_used` counts what is known of the queue's agents, of all kinds, and is None where
    nothing is; `minutes_used` counts from the first claim, pauses apart.
    """
    if queue.budget_tokens is None and queue.budget_ms is None:
        return None
    started = None if queue.budget_ms is None else ledger.terms.started_at(queue)
    used = None
    if started is not None:
        used = time.time() - started - ledger.terms.paused_seconds(queue.no, started)
    return {
        "tokens": queue.budget_tokens,
        "tokens_used": ledger.terms.tokens_used(queue.no),
        "minutes": None if queue.budget_ms is None else queue.budget_ms / 60_000,
        "minutes_used": None if used is None else round(used / 60, 2),
    }


def reached(ledger: Ledger, queue: Queue) -> str | None:
    """Return in words which budget of a queue (its row) is used up, or None."""
    told = spent(ledger, queue)
    if told is None:
        return None
    if told["tokens"] is not None and (told["tokens_used"] or 0) >= told["tokens"]:
        return f"its budget of {told['tokens']:,} tokens is used up: {told['tokens_used']:,}"
    if told["minutes"] is not None and (told["minutes_used"] or 0) >= told["minutes"]:
        return f"its budget of {span(told['minutes'] * 60)} is used up"
    return None


def stop(ledger: Ledger, queue: str) -> bool:
    """Pause a queue whose budget is used up; True if it is. Every claim asks this before."""
    row = ledger.queues.get(queue)
    why = reached(ledger, row)
    if why is not None and row.state == "open":
        try:
            ledger.pauses.pause(queue, why)
        except UsageError:
            # Somebody has ended it meanwhile: nothing is handed out either way.
            pass
    return why is not None


def more(queue: str) -> str:
    """Return the command that goes on with a queue whose budget is used up. In a session the user
    is asked about it."""
    given = f"{queue} --budget-tokens N --budget-minutes M"
    if caller.around() == "session":
        return f"hypervisor allow {given} (0: no limit), then hypervisor resume {queue}"
    return f"hypervisor resume {given} (0: no limit)"


def raised(queue: Queue, tokens: int | None, ms: int | None) -> bool:
    """True if these budgets would let a queue (its row) spend more than it may now."""
    pairs = ((queue.budget_tokens, tokens), (queue.budget_ms, ms))
    return any(
        now is not None and given is not None and not 0 < given <= now for now, given in pairs
    )


def limits(tokens: int | None, minutes: float | None) -> tuple[int | None, int | None]:
    """Return the tokens and the milliseconds that `--budget-…` options name; None: not given."""
    for name, value in (("tokens", tokens), ("minutes", minutes)):
        if value is not None and not 0 <= value < 1e12:
            raise UsageError(f"--budget-{name} takes a number from 0 up", "0 means no limit")
    return tokens, None if minutes is None else round(minutes * 60_000)
