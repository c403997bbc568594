"""Time and tokens by outcome."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from hypervisor.ledger.outcomes import STANDINGS, Standing
from hypervisor.views.page.seen import Seen


class Cost(NamedTuple):
    """What the items of one outcome took. Times are seconds; tokens are None where not known of
    any of them, `known` says of how many they are."""

    outcome: str
    mark: str
    items: int
    tries: int
    seconds: float
    median: float
    p95: float
    tokens: int | None
    known: int


def costs(items: Iterable[Seen]) -> list[Cost]:
    """Return a line per outcome that occurs.

    What no worker ever had in hand costs nothing and has no line.
    """
    of_standing: dict[str, list[Seen]] = defaultdict(list)
    for item in items:
        if item.seconds is not None:
            of_standing[item.standing].append(item)
    return [_cost(row, of_standing[row.word]) for row in STANDINGS if row.word in of_standing]


def _cost(row: Standing, items: list[Seen]) -> Cost:
    times = sorted(item.seconds for item in items if item.seconds is not None)
    known = [item.tokens for item in items if item.tokens is not None]
    return Cost(
        row.title,
        row.mark,
        len(items),
        sum(item.tries for item in items),
        sum(times),
        quantile(times, 0.5),
        quantile(times, 0.95),
        sum(known) if known else None,
        len(known),
    )


def quantile(ordered: list[float], part: float) -> float:
    """Return the value of `ordered`, which is not empty, that `part` of them do not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
