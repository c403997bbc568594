"""Spans of time as people read them."""

from __future__ import annotations

import pytest

from hypervisor.system.spans import narrow, span


@pytest.mark.parametrize(
    ("seconds", "shown", "narrowed"),
    [
        (-3, "0 s", "0 s"),
        (0, "0 s", "0 s"),
        (0.0421, "42 ms", "0 s"),
        (0.9996, "1 s", "1 s"),
        (4.25, "4.2 s", "4 s"),
        (9.96, "10 s", "10 s"),
        (45, "45 s", "45 s"),
        (59.6, "1 min", "60 s"),
        (90, "1 min 30 s", "90 s"),
        (125, "2 min 5 s", "2 min"),
        (3600, "1 h", "60 min"),
        (3869, "1 h 4 min", "64 min"),
        (7260, "2 h 1 min", "2 h"),
        (86_399.6, "1 d", "24 h"),
        (200_000, "2 d 7 h", "2 d"),
        (266_400, "3 d 2 h", "3 d"),
    ],
)
def test_a_span_has_the_two_units_that_matter_and_on_a_live_screen_one(
    seconds: float, shown: str, narrowed: str
) -> None:
    assert (span(seconds), narrow(seconds)) == (shown, narrowed)
