"""What is left will cost so much: Student's prediction interval from the items that have ended."""

from __future__ import annotations

from hypervisor.system.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Fewer ended items tell nothing, and fewer than these little.
LEAST, ROUGH = 3, 10
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
    """Return the forecast of the sum of `left` more of what was `seen`, None by less than LEAST."""
    count = len(seen)
    if count < LEAST:
        return None
    mean = sum(seen) / count
    variance = sum((one - mean) ** 2 for one in seen) / (count - 1)
    reach = t95(count - 1) * (variance * (left + left * left / count)) ** 0.5
    return Forecast(mean * left, max(0.0, mean * left - reach), mean * left + reach)


def t95(freedom: int) -> float:
    """Return what a value of Student's distribution with so many (2 or more) degrees of freedom
    stays below in 95 of 100 cases."""
    if freedom - 2 < len(_T95):
        return _T95[freedom - 2]
    # Of the normal distribution, with the first two terms of its expansion.
    return 1.64485 + 1.52377 / freedom + 1.42020 / freedom**2
