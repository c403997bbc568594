"""The arithmetic of the page: shares of time, places on the axis, room for texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.ledger.findings import Span
from hypervisor.views.page import cut, words
from hypervisor.views.page.axis import WIDTH, Axis
from hypervisor.views.page.shares import shares
from hypervisor.views.page.timeline import BINS, LANES, draw

TIMES = st.integers(0, 100_000).map(lambda tenth: tenth / 10)
SPANS = st.lists(st.tuples(TIMES, TIMES).map(lambda pair: (min(pair), max(pair))), min_size=1)


def claim(no: int, start: float, end: float | None, worker: str = "w", outcome: str = "done"):
    ended = {"claimed_at": start, "ended_at": end, "outcome": outcome if end is not None else None}
    return Span(no=no, item=no, worker=worker, **ended, tokens=None)


def union(spans: list[tuple[float, float]]) -> float:
    total, last = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, last))
        last = max(last, end)
    return total


@given(SPANS)
def test_the_shares_of_a_worker_add_up_to_the_time_it_held_anything(
    spans: list[tuple[float, float]],
) -> None:
    found = shares([claim(no, *span) for no, span in enumerate(spans)], 0.0)
    assert sum(found.values()) == pytest.approx(union(spans), abs=1e-6)
    assert all(-1e-9 <= found[no] <= end - start + 1e-6 for no, (start, end) in enumerate(spans))


def test_what_is_claimed_now_counts_until_now() -> None:
    assert shares([claim(1, 10.0, None), claim(2, 10.0, 14.0)], 18.0) == {1: 6.0, 2: 2.0}


@given(SPANS, st.lists(TIMES))
def test_later_is_never_drawn_before_earlier(
    spans: list[tuple[float, float]], times: list[float]
) -> None:
    axis = Axis(spans)
    places = [axis.place(at) for at in sorted([*times, *(at for span in spans for at in span)])]
    assert places == sorted(places)
    assert all(-1e-6 <= place <= WIDTH + 1e-6 for place in places)
    assert len(axis.ticks) <= 13


def test_a_night_without_work_is_folded_and_told() -> None:
    axis = Axis([(0, 600), (40_000, 40_600), (40_610, 41_000)])
    assert [idle for _, idle in axis.folds] == ["10 h 56 min"]
    assert axis.place(600) == pytest.approx(axis.place(300) * 2)
    assert 0 < axis.place(40_000) - axis.place(600) < 50


@given(st.lists(st.integers(0, 30_000)), st.integers(0, 1_000_000))
def test_texts_are_cut_no_more_than_they_must(sizes: list[int], room: int) -> None:
    level = cut.level(sizes, room)
    if level is None:
        assert sum(sizes) <= room
    elif level > cut.LEAST:
        taken = sum(min(size, level) for size in sizes)
        assert room - len(sizes) < taken <= room


@given(st.text(), st.integers(3, 200))
def test_a_cut_text_fits_and_is_the_start_of_the_whole(text: str, level: int) -> None:
    text = text.encode("utf-8", "replace").decode()
    found = cut.cut(text, level)
    assert cut.size(found) <= level
    assert found == text or text.startswith(found.removesuffix(cut.CUT))


def test_a_lane_takes_no_more_room_for_more_claims() -> None:
    outcomes = ("done", "failed", "blocked", None)
    claims = [
        claim(no, no / 7, no / 7 + 2, f"w{no % 80}", outcomes[no % 4] or "died")
        for no in range(20_000)
    ]
    drawn = draw([], claims, dict.fromkeys(range(20_000), 1.0), [], 0.0)
    assert drawn is not None
    assert len(drawn.lanes) == LANES and drawn.more == (30, 7500)
    assert max(len(path) for lane in drawn.lanes for _, path in lane.paths) < WIDTH * 20
    assert len(drawn.ends) <= BINS


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "–"),
        (0, "0 s"),
        (0.0421, "42 ms"),
        (0.9996, "1 s"),
        (4.25, "4.2 s"),
        (59.6, "1 min"),
        (192, "3 min 12 s"),
        (3600, "1 h"),
        (7260, "2 h 1 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_spans_are_told_in_the_two_units_that_matter(seconds: float | None, told: str) -> None:
    assert words.duration(seconds) == told
