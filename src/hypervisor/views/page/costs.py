"""Time and tokens by outcome."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

from hypervisor.ledger.outcomes import STANDINGS, Standing


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
    of_standing: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for told in summary["workers"]:
        if told["task_id"] in seconds:
            of_standing[told["standing"]].append(told)
    return [
        _cost(row, of_standing[row.word], seconds, tries)
        for row in STANDINGS
        if row.word in of_standing
    ]


def _cost(
    row: Standing, items: list[dict[str, Any]], seconds: dict[str, float], tries: dict[str, int]
) -> Cost:
    times = sorted(seconds[told["task_id"]] for told in items)
    known = [sum(told["tokens"].values()) for told in items if told["tokens"]]
    return Cost(
        row.title,
        row.mark,
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
