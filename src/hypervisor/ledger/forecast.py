"""What is left will cost so much: Student's prediction interval from the items that have ended, and
wider where these differ more from one part to the next than chance would have it."""

from __future__ import annotations

from hypervisor.system.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Fewer ended items tell nothing, and fewer than these little.
LEAST, ROUGH = 3, 10
# Into so many parts, one after the other, what has ended is cut at most, and at least.
_PARTS, _FEWEST = 5, 3
# What a value of Student's distribution with 2, 3, … degrees of freedom stays below in 95 of 100.
_T95 = (
    2.9200, 2.3534, 2.1318, 2.0150, 1.9432, 1.8946, 1.8595, 1.8331, 1.8125, 1.7959, 1.7823, 1.7709,
    1.7613, 1.7531, 1.7459, 1.7396, 1.7341, 1.7291, 1.7247, 1.7207, 1.7171, 1.7139, 1.7109, 1.7081,
    1.7056, 1.7033, 1.7011, 1.6991,
)  # fmt: skip


class Forecast(NamedTuple):
    """The sum of what is to come: its expectation, and what it lies between in 9 of 10 cases if the
    items that are left are like those that ended."""

    expected: float
    low: float
    high: float


def of(seen: Sequence[float], left: int) -> Forecast | None:
    """Return the forecast of the sum of `left` more of what was `seen`, in the order in which it
    ended; None by less than LEAST."""
    count = len(seen)
    if count < LEAST:
        return None
    mean = sum(seen) / count
    # How far the sum may be off, squared, with the degrees of freedom of each reason.
    chance = _variance(seen) * (left + left * left / count), count - 1
    drift = _between_parts(seen)
    drifting = drift[0] * left * left, drift[1]
    off = chance[0] + drifting[0]
    reach = 0.0
    if off > 0:
        freedom = off * off / sum(one * one / free for one, free in (chance, drifting))
        reach = t95(int(freedom)) * off**0.5
    return Forecast(mean * left, max(0.0, mean * left - reach), mean * left + reach)


def _between_parts(seen: Sequence[float]) -> tuple[float, int]:
    """Return how far the mean of what is to come may be off, squared, since parts of what was seen
    differ more than the items in them explain; and the degrees of freedom."""
    parts = min(_PARTS, len(seen) // 2)
    if parts < _FEWEST:
        return 0.0, 2
    cuts = [at * len(seen) // parts for at in range(parts + 1)]
    those = [seen[cuts[at] : cuts[at + 1]] for at in range(parts)]
    within = sum(_variance(one) * (len(one) - 1) for one in those) / (len(seen) - parts)
    means = _variance([sum(one) / len(one) for one in those])
    return max(0.0, means - within * parts / len(seen)) * (1 + 1 / parts), parts - 1


def _variance(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((one - mean) ** 2 for one in values) / (len(values) - 1)


def t95(freedom: int) -> float:
    """Return what a value of Student's distribution with so many (2 or more) degrees of freedom
    stays below in 95 of 100 cases."""
    if freedom - 2 < len(_T95):
        return _T95[freedom - 2]
    # Of the normal distribution, with the first two terms of its expansion.
    return 1.64485 + 1.52377 / freedom + 1.42020 / freedom**2
