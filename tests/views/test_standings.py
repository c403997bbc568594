"""At work, to be tried again and not attempted: three things, wherever a queue is told of."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger, NewItem, Options
from hypervisor.views import history, news, status, summary, summary_text
from hypervisor.views.page import render
from hypervisor.views.watch import screen

Run = Callable[..., "subprocess.CompletedProcess[str]"]
WHY = "no \x1b[31mnetwork"
SHOWN = "to be tried again (after: no \\u001b[31mnetwork)"


@pytest.fixture
def queue(project: Path) -> Path:
    """A queue of six: `a` done, `b` at work after a failure, `c` to be tried again, `d` and `e` not
    attempted, `f` waiting for `e` with a failure before."""
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem(name) for name in "abcdef"], Options(max_attempts=3))
        ledger.followers.follow("s", "q")

        def take(item: str) -> str:
            return ledger.claims.claim("q", "w", only=item)[0].token

        ledger.ends.finish(take("a"), "done", {"summary": "x"})
        for item in "bcf":
            ledger.ends.finish(take(item), "failed", {"reason": WHY})
        ledger.generations.open("q", [NewItem("f", after=("e",))])
        take("b")
    return project


def test_status_tells_them_apart_and_the_numbers_add_up(queue: Path, run_forked: Run) -> None:
    said = run_forked("status", "q").stdout.splitlines()
    assert said[0] == "q: open, 6 items: 2 ready, 2 to be tried again, 1 at work, 1 done"
    assert "  at work: b (after: no \\u001b[31mnetwork)" in said
    again = "c (after: no \\u001b[31mnetwork), f (after: no \\u001b[31mnetwork) (for e)"
    assert f"  to be tried again: {again}" in said
    assert "  ready: d, e" in said
    told = json.loads(run_forked("status", "q", "--json").stdout)
    assert told["to_be_tried_again"] == {"ready": 1, "waiting": 1}
    assert {one["id"]: (one["standing"], one["after"]) for one in told["left"]} == {
        "b": ("at_work", WHY), "c": ("to_be_tried_again", WHY), "f": ("to_be_tried_again", WHY),
        "d": ("not_attempted", None), "e": ("not_attempted", None),
    }  # fmt: skip


@pytest.mark.parametrize("paused", [False, True])
def test_a_summary_tells_the_reason_of_the_earlier_attempt(queue: Path, paused: bool) -> None:
    with Ledger.open(str(queue)) as ledger:
        if paused:
            ledger.pauses.pause("q", "rate limit")
        told = summary.summarize(ledger, "q")
    assert {name: count for name, count in told["counts"].items() if count} == {
        "success": 1, "at_work": 1, "to_be_tried_again": 2, "not_attempted": 2,
    }  # fmt: skip
    reasons = {one["task_id"]: one.get("reason") for one in told["workers"]}
    assert reasons["b"] == "at work (after: no \\u001b[31mnetwork)"
    assert reasons["c"] == SHOWN
    assert reasons["d"] == ("not tried: rate limit" if paused else "not tried yet")
    assert reasons["f"] == f"{SHOWN}; waits for another item"
    text = summary_text.lines(told)
    assert text[0].endswith("1 done, 1 at work, 2 to be tried again, 2 not attempted")
    assert f"  c: {SHOWN}" in text
    assert text.index("to be tried again (2):") < text.index("done (1):")


def test_the_page_and_the_live_view_show_them_apart(queue: Path) -> None:
    with Ledger.open(str(queue)) as ledger:
        page = render(ledger, "q")
        view = screen.View("/x")
        view.queues = [status.standing(ledger, ledger.queues.get("q"))]
    for count, name in ((1, "at work"), (2, "to be tried again"), (2, "not attempted")):
        assert f"<b>{count}</b> {name}</li>" in page
    assert f"<q>{SHOWN}</q>" in page
    drawn = "".join(map(str, screen.draw(view, 120, 20).renderables))
    assert "done 1  at work 1  to be tried again 2  not attempted 2" in drawn


def test_show_tells_how_an_item_stands(queue: Path, run_forked: Run) -> None:
    def head(item: str) -> str:
        lines = run_forked("show", item).stdout.splitlines()
        [line] = [line for line in lines if line.startswith("queue q, generation 1: ")]
        return line.removeprefix("queue q, generation 1: ")

    assert head("a") == "done"
    assert head("b") == "at work (after: no \\u001b[31mnetwork)"
    assert head("c") == head("f") == SHOWN
    assert head("d") == "ready, not attempted"
    assert json.loads(run_forked("show", "c", "--json").stdout)["queues"][0]["standing"] == (
        "to_be_tried_again"
    )


def test_the_news_tell_what_is_left_and_what_is_tried_again(queue: Path) -> None:
    with Ledger.open(str(queue)) as ledger:
        line = news.line(ledger, ledger.queues.get("q"), "working")
        told = (news.take(ledger, "s", by="test") or "").splitlines()
    assert line.endswith("; 2 ready, 2 to be tried again, 1 at work, 1 done")
    assert told[1] == "left: 1 at work, 2 to be tried again, 2 not attempted"
    assert "to be tried again: c: “no \\u001b[31mnetwork”" in told


def test_the_reason_stays_when_what_the_item_waits_for_is_done(queue: Path) -> None:
    with Ledger.open(str(queue)) as ledger:
        [held] = ledger.claims.claim("q", "w", only="e")
        ledger.ends.finish(held.token, "done", {"summary": "x"})
        assert ledger.items.find("q", "f").cause == WHY
        assert ledger.claims.claim("q", "w", only="f")[0].before == WHY


def test_what_was_set_aside_after_an_attempt_is_told_as_both(queue: Path) -> None:
    with Ledger.open(str(queue)) as ledger:
        ledger.narrowing.narrow("q", {"c", "d"}, "priority<=1")
        told = {one["task_id"]: one for one in summary.summarize(ledger, "q")["workers"]}
        line = status.line(status.standing(ledger, ledger.queues.get("q")))
    assert told["c"]["reason"] == f"{SHOWN}; set aside: not priority<=1"
    assert told["d"]["reason"] == "set aside: not priority<=1"
    assert line.endswith("1 ready, 1 to be tried again, 1 at work, 1 done, 2 set aside")


def test_a_failure_without_a_word_of_why_is_told_as_that(project: Path) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem("a")])
        worker.finish(ledger, ledger.claims.claim("q", "w")[0].token, "failed", {})
        assert summary.summarize(ledger, "q")["workers"][0]["reason"] == (
            "to be tried again (after: no reason given)"
        )
        assert history.item(ledger, "a")["queues"][0]["standing"] == "to_be_tried_again"


def test_what_was_given_back_at_no_cost_and_without_a_word_is_not_attempted(project: Path) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem("a"), NewItem("b")])
        for item, reason in (("a", ""), ("b", "rate limit")):
            [held] = ledger.claims.claim("q", "w", only=item)
            ledger.ends.release(held.token, free=True, reason=reason)
        line = status.line(status.standing(ledger, ledger.queues.get("q")))
        told = summary.summarize(ledger, "q")["workers"]
    assert line.endswith("2 items: 1 ready, 1 to be tried again")
    assert [one["reason"] for one in told] == [
        "not tried yet", "to be tried again (after: rate limit)",
    ]  # fmt: skip
