"""How much of what was accepted is right, told from a sample of it: a rate and its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from hypervisor.ledger.findings import Reviewed
from hypervisor.ledger.reviews import ACCEPTED
from hypervisor.views.shapes import Rate

# Half of what an interval of 95 % leaves out.
_TAIL = 0.025
_STEPS = 60


def interval(good: int, reviewed: int) -> tuple[float, float]:
    """Return the exact interval (Clopper and Pearson) that holds the true rate with 95 %, where
    `good` of `reviewed` were found right; without any, all is possible."""
    if not reviewed:
        return 0.0, 1.0
    return _low(good, reviewed), 1.0 - _low(reviewed - good, reviewed)


def _low(good: int, reviewed: int) -> float:
    """Return the rate at which so many good ones or more come up in one of 40 samples."""
    if not good:
        return 0.0
    counts = range(good, reviewed + 1)
    ways = [math.log(math.comb(reviewed, count)) for count in counts]
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        rate = (low + high) / 2
        yes, no = math.log(rate), math.log1p(-rate)
        likely = math.fsum(
            math.exp(way + count * yes + (reviewed - count) * no)
            for way, count in zip(ways, counts, strict=True)
        )
        low, high = (rate, high) if likely < _TAIL else (low, rate)
    return (low + high) / 2


def rate(name: str, reports: Iterable[Reviewed]) -> Rate:
    """Return how many of the reports that have a verdict were accepted."""
    judged = [report.verdict for report in reports if report.verdict is not None]
    good = judged.count(ACCEPTED)
    low, high = interval(good, len(judged))
    return {
        "name": name,
        "accepted": good,
        "reviewed": len(judged),
        "rate": good / len(judged) if judged else None,
        "low": low,
        "high": high,
    }


def rates(sampled: list[Reviewed]) -> dict[str, list[Rate]]:
    """Return the rates of a sample, in `all` and by `group`, `worker` and `model`, the lowest
    first; where all are of one kind, its list is empty.

    Those that stand for a group which the sample had none of count for that group alone: in all
    they would count for more than they are.
    """
    drawn = [report for report in sampled if not report.extra]
    return {
        "all": [rate("all", drawn)],
        "group": _by(sampled, lambda report: report.stratum or ""),
        "worker": _by(drawn, lambda report: report.worker),
        "model": _by(drawn, lambda report: report.model or ""),
    }


def _by(reports: list[Reviewed], of: Callable[[Reviewed], str]) -> list[Rate]:
    kinds: dict[str, list[Reviewed]] = {}
    for report in reports:
        kinds.setdefault(of(report), []).append(report)
    if len(kinds) < 2:
        return []
    told = [rate(name, some) for name, some in kinds.items()]
    return sorted(told, key=lambda one: (one["rate"] is None, one["rate"], -one["reviewed"]))


def told(one: Rate) -> str:
    """Return a rate in words."""
    if one["rate"] is None:
        return "none reviewed yet"
    share = f"{100 * one['rate']:.3g} %"
    between = f"{100 * one['low']:.3g} to {100 * one['high']:.3g} %"
    return f"{one['accepted']} of {one['reviewed']} accepted: {share} (95 %: {between})"
