"""The rate that a sample tells: its interval is exact, and holds the truth as often as it says."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from hypervisor.views.acceptance import interval
from hypervisor.worker.review import draw


# By scipy.stats.binomtest(good, reviewed).proportion_ci(0.95, "exact").
@pytest.mark.parametrize(
    ("good", "reviewed", "low", "high"),
    [
        (0, 10, 0.0, 0.3084971078),
        (1, 1, 0.025, 1.0),
        (5, 10, 0.1870860284, 0.8129139716),
        (9, 10, 0.554983883, 0.9974714215),
        (18, 20, 0.683017286, 0.9876514728),
        (57, 60, 0.8607567533, 0.9895676704),
        (300, 400, 0.7045582814, 0.7916984933),
        (1999, 2000, 0.9972173602, 0.9999873412),
    ],
)
def test_the_interval_is_that_of_clopper_and_pearson(
    good: int, reviewed: int, low: float, high: float
) -> None:
    told = interval(good, reviewed)
    assert told == pytest.approx((low, high), abs=1e-9)


def test_without_a_verdict_nothing_is_known() -> None:
    assert interval(0, 0) == (0.0, 1.0)


def test_the_interval_holds_the_truth_in_940_of_1000_samples() -> None:
    # Faults are planted unevenly: most in the small groups, where one more is drawn of each.
    sizes = {"a": 120, "b": 24, "c": 3, "d": 2, "e": 1}
    faulty = {"a": 6, "b": 12, "c": 3, "d": 2, "e": 1}
    names = [name for name, size in sizes.items() for _ in range(size)]
    reports = list(enumerate(names))
    bad = {
        number
        for name, count in faulty.items()
        for number in [number for number, of in reports if of == name][:count]
    }
    truth = 1 - len(bad) / len(reports)
    known = [interval(good, 30) for good in range(31)]
    held = 0
    for seed in range(1000):
        drawn = [one for one in draw(reports, 30, random.Random(str(seed))) if not one[2]]
        good = sum(number not in bad for number, _, _ in drawn)
        low, high = known[good]
        held += low <= truth <= high
    assert held >= 940


def test_a_sample_is_in_proportion_with_one_of_each_and_the_same_for_a_seed() -> None:
    reports = [(number, "big" if number < 90 else f"small {number}") for number in range(100)]
    drawn = draw(reports, 20, random.Random("7"))
    assert drawn == draw(reports, 20, random.Random("7")) != draw(reports, 20, random.Random("8"))
    assert len({number for number, _, _ in drawn}) == len(drawn)
    groups = Counter(stratum for _, stratum, _ in drawn)
    assert groups["big"] == 18 and len(groups) == 11
    assert sum(not extra for _, _, extra in drawn) == 20
