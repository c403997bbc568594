"""The drawing of the live view: it fits at any size, and what is there is seen."""

from __future__ import annotations

import time
from typing import Any
from unicodedata import category

from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from hypervisor.ledger import STATES
from hypervisor.views.watch import screen
from hypervisor.views.watch.screen import View

NUMBERS = st.lists(st.integers(0, 100_000), min_size=7, max_size=7)
WORDS = st.text(max_size=30)


def queue(name: str = "q", **changes: Any) -> dict[str, Any]:
    told = {
        "queue": name, "state": "open", "reason": None, "total": 0, "per_minute": 1.5,
        "counts": dict.fromkeys(STATES, 0), "eta_seconds": 100, "tokens": 12,
        "to_be_tried_again": {"ready": 0, "waiting": 0}, "tokens_exact": True, "budget": None,
        "workers": [], "problems": [],
    }  # fmt: skip
    told |= changes
    told["total"] = sum(told["counts"].values())
    return told


def worker(name: str, item: str, tool: str, title: str | None = None) -> dict[str, Any]:
    held = {"id": item, "title": title, "token": "1-aaaa", "claimed_at": time.time() - 100}
    held |= {"lease_seconds": 900.0, "lease_left_seconds": 800.0}
    return {
        "worker": name, "session": None, "holds": [held], "last_tool": tool,
        "seen_at": time.time() - 5, "tokens": 12_345,
    }  # fmt: skip


def lines(view: View, width: int, height: int) -> list[str]:
    return [str(line) for line in screen.draw(view, width, height).renderables]


@given(NUMBERS, st.integers(8, 200))
@example([0] * 7, 8)
@example([1, 1, 1, 1, 1, 1, 100_000], 8)
def test_a_bar_is_as_wide_as_it_should_be_and_shows_all_that_there_is(
    numbers: list[int], width: int
) -> None:
    cells = screen._shares(numbers, width)
    assert sum(cells) == width
    if any(numbers):
        assert all((cell > 0) == (number > 0) for cell, number in zip(cells, numbers, strict=True))


@given(
    st.integers(1, 200), st.integers(1, 60), st.lists(NUMBERS, max_size=6), WORDS, WORDS, WORDS,
    st.integers(0, 60),
)  # fmt: skip
def test_a_screen_fits_whatever_its_size_and_its_words(
    width: int, height: int, counts: list[list[int]], name: str, item: str, tool: str, workers: int
) -> None:
    view = View("/some/where/" + name)
    view.at = time.time()
    problem = {"kind": "failed", "text": "failed x: y", "fix": "hypervisor retry q"}
    view.queues = [
        queue(
            f"q{number}",
            counts=dict(zip(STATES, [*some, 0], strict=True)),
            workers=[worker(f"{name}{place}", item, tool, name) for place in range(workers)],
            problems=[problem] * number,
        )
        for number, some in enumerate(counts)
    ]
    drawn = lines(view, width, height)
    assert len(drawn) == height
    assert all(cell_len(line) <= width for line in drawn), drawn
    assert not any(category(sign) == "Cc" for line in drawn for sign in line)


def test_what_does_not_fit_is_counted() -> None:
    view = View("/x")
    view.at = time.time()
    held = [worker(f"w{number}", f"item-{number}", "Read: x") for number in range(50)]
    problems = [{"kind": "failed", "text": f"failed {n}", "fix": None} for n in range(9)]
    view.queues = [queue(counts=dict.fromkeys(STATES, 50), workers=held, problems=problems)]
    drawn = lines(view, 100, 30)
    assert sum(line.startswith("! ") for line in drawn) + _more(drawn, "problems") == 9
    assert sum("item-" in line for line in drawn) + _more(drawn, "workers") == 50


def _more(drawn: list[str], what: str) -> int:
    [line] = [line for line in drawn if line.endswith(f"more {what}")]
    return int(line.split()[1])


def test_the_most_pressing_problem_of_all_queues_comes_first() -> None:
    view = View("/x")
    one = {"kind": "failed", "text": "failed a", "fix": None}
    two = {"kind": "paused", "text": "paused", "fix": None}
    view.queues = [queue("a", problems=[one]), queue("b", problems=[two])]
    view.error = "a hook failed"
    shown = [line for line in lines(view, 80, 24) if line.startswith("!")]
    assert shown == ["! a hook failed", "! b: paused", "! a: failed a"]


@given(st.integers(50, 200))
@example(50)
@example(200)
def test_a_reason_is_cut_before_what_mends_it(width: int) -> None:
    view = View("/x")
    fix = "hypervisor retry q --failed"
    why = {"kind": "failed", "text": f"failed a: {'no such table ' * 20}", "fix": fix}
    view.queues = [queue(problems=[why])]
    [shown] = [line for line in lines(view, width, 24) if line.startswith("!")]
    assert shown.startswith("! q: failed a") and shown.endswith(f"…  {fix}")
    assert cell_len(shown) == width


def test_titles_stand_beside_ids_and_workers_are_shown_by_what_tells_them_apart() -> None:
    view = View("/x")
    view.at = time.time()
    names = [f"command-of-the-night-70445124-{number}" for number in range(12)]
    held = [worker(name, "t-1", "Bash: x" * 20, "Rename the parser") for name in names]
    view.queues = [queue(workers=held)]
    for width in (50, 80, 120, 200):
        shown = [line for line in lines(view, width, 30) if "t-1" in line]
        assert len({line.split()[0] for line in shown}) == 12
        assert all("t-1  Rename" in line for line in shown)
    assert "t-1  Rename the parser  " in shown[0]


def test_a_fast_pace_is_a_plain_number_and_bars_stand_apart_and_below_each_other() -> None:
    view = View("/r")
    view.queues = [
        queue("a", counts=dict.fromkeys(STATES, 1), per_minute=2054.36),
        queue("b", counts=dict.fromkeys(STATES, 1), state="cancelled"),
    ]
    first, pace, *rest = lines(view, 100, 20)[1:]
    assert "2,054/min" in pace
    [other] = [line for line in rest if "cancelled" in line]
    assert other[first.index("█") - 1 :].startswith(" █")
