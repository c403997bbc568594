"""What a queue may cost in dollars, tokens and time: once that is used up, nothing more is handed
out, and the rest stays untried."""

from __future__ import annotations

import time

from hypervisor.config import caller
from hypervisor.ledger.usage import dollars
from hypervisor.system.errors import UsageError
from hypervisor.system.spans import span
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypedDict

    from hypervisor.ledger import Ledger
    from hypervisor.ledger.options import Queue

    class Budget(TypedDict):
        """A queue's budget, and what is used of it."""

        usd: float | None
        usd_used: float | None
        tokens: int | None
        tokens_used: int | None
        minutes: float | None
        minutes_used: float | None


# The units that people write: the column that an amount belongs to, and what one is there.
_UNITS = {
    "usd": ("usd", 1.0), "$": ("usd", 1.0),
    "tok": ("tokens", 1), "ktok": ("tokens", 1e3), "mtok": ("tokens", 1e6),
    "s": ("ms", 1e3), "min": ("ms", 6e4), "h": ("ms", 36e5),
}  # fmt: skip
_EXAMPLE = "write dollars, tokens and time: 5usd,2Mtok,30min; 0usd takes a limit of dollars away"


def spent(ledger: Ledger, queue: Queue) -> Budget | None:
    """Return the budget of a queue (its row) and what is used of it, or None if it has none.

    `usd_used` and `tokens_used` count what is known of the queue's agents, of all kinds, and are
    None where nothing is; `minutes_used` counts from the first claim, pauses apart.
    """
    if queue.budget_usd is None and queue.budget_tokens is None and queue.budget_ms is None:
        return None
    started = None if queue.budget_ms is None else ledger.terms.started_at(queue)
    used = None
    if started is not None:
        used = time.time() - started - ledger.terms.paused_seconds(queue.no, started)
    return {
        "usd": queue.budget_usd,
        "usd_used": ledger.terms.usd_used(queue.no)[0],
        "tokens": queue.budget_tokens,
        "tokens_used": ledger.terms.tokens_used(queue.no),
        "minutes": None if queue.budget_ms is None else queue.budget_ms / 60_000,
        "minutes_used": None if used is None else round(used / 60, 2),
    }


def overspent(ledger: Ledger, queue: Queue) -> str | None:
    """Return in words that what the agents of a queue (its row) may use is used up, or that nobody
    knows; None where neither is so."""
    if queue.budget_usd is not None:
        usd, without = ledger.terms.usd_used(queue.no)
        if without:
            return (
                f"its budget of {dollars(queue.budget_usd)} can't be kept: {_priceless(without[0])}"
            )
        if (usd or 0) >= queue.budget_usd:
            return f"its budget of {dollars(queue.budget_usd)} is used up: {dollars(usd)}"
    if queue.budget_tokens is not None:
        tokens = ledger.terms.tokens_used(queue.no) or 0
        if tokens >= queue.budget_tokens:
            return f"its budget of {queue.budget_tokens:,} tokens is used up: {tokens:,}"
    return None


def reached(ledger: Ledger, queue: Queue) -> str | None:
    """Return in words which budget of a queue (its row) is used up, or None."""
    if why := overspent(ledger, queue):
        return why
    if queue.budget_ms is not None:
        told = spent(ledger, queue)
        if told and (told["minutes_used"] or 0) >= queue.budget_ms / 60_000:
            return f"its budget of {span(queue.budget_ms / 1000)} is used up"
    return None


def check_price(queue: str, model: str | None, client: str) -> None:
    """Raise UsageError if nobody knows what a `model` of a `client` costs; None: nor which it is.
    The queue has a limit in dollars."""
    from hypervisor.config import prices

    if model is None:
        raise UsageError(
            f"queue {queue} has a budget in dollars, and what {client} will cost is not known",
            f"name a model with --model, or take it away: hypervisor resume {queue} --budget 0usd",
        )
    if not prices.may_be_priced(model):
        raise UsageError(
            f"queue {queue} has a budget in dollars: {_priceless(model)}", prices.line(model)
        )


def _priceless(model: str) -> str:
    return f"no price of {one_line(model, 80) or 'its model'} is known"


def stop(ledger: Ledger, queue: str, *, spending: bool = False) -> str | None:
    """Pause a queue whose budget is used up, and return why; None if it is not. Every claim asks
    this before, and a pool when its agents use more (`spending`): then time does not count."""
    row = ledger.queues.get(queue)
    why = overspent(ledger, row) if spending else reached(ledger, row)
    if why is not None and row.state == "open":
        try:
            ledger.pauses.pause(queue, why)
        except UsageError:
            # Somebody has ended it meanwhile: nothing is handed out either way.
            pass
    return why


def more(ledger: Ledger, queue: Queue) -> str:
    """Return the command that goes on with a queue (its row) whose budget is used up, with twice as
    much, and with none in dollars where nobody knows a price. In a session the user is asked about
    it."""
    told = spent(ledger, queue)
    twice: dict[str, float] = {}
    if told is not None:
        now = (
            ("usd", told["usd"], told["usd_used"]),
            ("tokens", told["tokens"], told["tokens_used"]),
            ("ms", queue.budget_ms, (told["minutes_used"] or 0) * 60_000),
        )
        for name, most, used in now:
            if most is not None:
                twice[name] = 2 * (most if 2 * most > (used or 0) else used or 0)
        if "usd" in twice and ledger.terms.usd_used(queue.no)[1]:
            twice["usd"] = 0
    limits = words(twice or {"usd": 0})
    if caller.around() == "session":
        return (
            f"hypervisor allow {queue.name} --budget {limits}, then hypervisor resume {queue.name}"
        )
    return f"hypervisor resume {queue.name} --budget {limits}"


def goes_on(ledger: Ledger, queue: Queue) -> str:
    """Return the command that goes on with a paused queue (its row), whatever has paused it."""
    return more(ledger, queue) if reached(ledger, queue) else f"hypervisor resume {queue.name}"


def raised(queue: Queue, budget: Mapping[str, float]) -> bool:
    """True if these limits would let a queue (its row) spend more than it may now."""
    pairs = [(getattr(queue, f"budget_{name}"), given) for name, given in budget.items()]
    return any(now is not None and not 0 < given <= now for now, given in pairs)


def words(limits: Mapping[str, float]) -> str:
    """Return limits as `--budget` takes them."""
    shown = {"usd": "{:g}usd", "tokens": "{:.0f}tok", "ms": "{:g}min"}
    return ",".join(
        shown[name].format(value / 6e4 if name == "ms" else value) for name, value in limits.items()
    )


def limits(told: str | None, option: str = "--budget") -> dict[str, float]:
    """Return the limits that an option names: dollars (`usd`), `tokens` and milliseconds (`ms`); 0
    takes one away. Raises UsageError."""
    found: dict[str, float] = {}
    for part in (told or "").split(",") if told is not None else ():
        amount = part.strip().lower()
        number = amount.removeprefix("$").rstrip("abcdefghijklmnopqrstuvwxyz$ ")
        unit = "$" if amount.startswith("$") else amount[len(number) :].strip()
        name, one = _UNITS.get(unit, ("", 0))
        value = float(number) * one if number.replace(".", "", 1).isdecimal() else -1.0
        if not name or name in found or not 0 <= value < 1e15:
            raise UsageError(f"{option} {one_line(told, 60)} is not a budget", _EXAMPLE)
        # What is given is a limit, however small.
        found[name] = value if name == "usd" else max(1, round(value)) if value else 0
    return found


def earlier(tokens: int | None, minutes: float | None) -> dict[str, float]:
    """Return the same of the options before `--budget`; None: not given."""
    found: dict[str, float] = {}
    for option, name, value, one in (
        ("tokens", "tokens", tokens, 1), ("minutes", "ms", minutes, 60_000)
    ):  # fmt: skip
        if value is not None:
            if not 0 <= value < 1e12:
                raise UsageError(f"--budget-{option} must be 0 or more", "0 means no limit")
            found[name] = round(value * one)
    return found
