"""What is left is foretold from what has ended, with how far off that may be."""

from __future__ import annotations

import random

import pytest

from hypervisor.ledger import forecast


def test_fewer_than_three_tell_nothing() -> None:
    assert forecast.of([1.0, 2.0], 5) is None


def test_equal_items_leave_no_doubt_and_doubt_grows_with_what_is_left() -> None:
    assert forecast.of([2.0] * 3, 5) == (10, 10, 10)
    some, more = forecast.of([1, 2, 3], 2), forecast.of([1, 2, 3], 20)
    assert some is not None and more is not None
    # By hand: mean 2, variance 1, Student's 2.92 with 2 degrees of freedom.
    assert some.high == pytest.approx(4 + 2.92 * (2 + 4 / 3) ** 0.5)
    assert some.low == 0 and more.high - more.expected > some.high - some.expected


def test_student_s_values_are_those_of_the_tables_and_go_over_into_the_normal_ones() -> None:
    known = {2: 2.9200, 9: 1.8331, 29: 1.6991, 30: 1.6973, 60: 1.6706, 120: 1.6577, 10**6: 1.6449}
    for freedom, value in known.items():
        assert forecast.t95(freedom) == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize("seen", [3, 10, 30])
def test_in_nine_of_ten_cases_the_truth_lies_in_between(seen: int) -> None:
    chance, held = random.Random(1), 0
    for _ in range(1000):
        costs = [chance.gauss(100, 20) for _ in range(seen + 50)]
        told = forecast.of(costs[:seen], 50)
        assert told is not None
        held += told.low <= sum(costs[seen:]) <= told.high
    assert 870 <= held <= 950


def test_items_that_get_dearer_from_part_to_part_leave_more_doubt_than_the_same_mixed() -> None:
    dearer = [1.0 + number // 6 + number % 2 for number in range(30)]
    mixed = [dearer[number * 7 % 30] for number in range(30)]
    told, alike = forecast.of(dearer, 50), forecast.of(mixed, 50)
    assert told is not None and alike is not None and told.expected == alike.expected
    assert told.high - told.low > 2 * (alike.high - alike.low)
    # They may go on as the last ones did.
    assert told.low <= 50 * sum(dearer[-6:]) / 6 <= told.high
