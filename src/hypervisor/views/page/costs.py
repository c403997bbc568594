"""Time and tokens by outcome."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from hypervisor.views.page.outcomes import MARKS
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
    of_outcome: dict[str, list[Seen]] = defaultdict(list)
    for item in items:
        if item.seconds is not None:
            of_outcome[item.outcome].append(item)
    return [_cost(name, of_outcome[name]) for name in MARKS if name in of_outcome]


def _cost(name: str, items: list[Seen]) -> Cost:
    times = sorted(item.seconds for item in items if item.seconds is not None)
    known = [item.tokens for item in items if item.tokens is not None]
    return Cost(
        name,
        MARKS[name],
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
