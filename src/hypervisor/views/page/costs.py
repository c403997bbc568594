"""Time and tokens by outcome."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

from hypervisor.views.page.outcomes import MARKS, outcome


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


def costs(summary: dict[str, Any], seconds: dict[str, float], tries: dict[str, int]) -> list[Cost]:
    """Return a line per outcome that occurs; `seconds` and `tries` are by the item's id.

    What no worker ever had in hand costs nothing and has no line.
    """
    of_outcome: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for told in summary["workers"]:
        if told["task_id"] in seconds:
            of_outcome[outcome(told)].append(told)
    return [_cost(name, of_outcome[name], seconds, tries) for name in MARKS if name in of_outcome]


def _cost(
    name: str, items: list[dict[str, Any]], seconds: dict[str, float], tries: dict[str, int]
) -> Cost:
    times = sorted(seconds[told["task_id"]] for told in items)
    known = [sum(told["tokens"].values()) for told in items if told["tokens"]]
    return Cost(
        name,
        MARKS[name],
        len(items),
        sum(tries[told["task_id"]] for told in items),
        sum(times),
        quantile(times, 0.5),
        quantile(times, 0.95),
        sum(known) if known else None,
        len(known),
    )


def quantile(ordered: list[float], part: float) -> float:
    """Return the value of `ordered`, which is not empty, that `part` of them do not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
