"""Where a queue stands: its pace, its workers and its problems, and the text of them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.test_shapes import check
from hypervisor.ledger import Ledger, NewItem, Options
from hypervisor.views import status

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def ledger(project: Path) -> Iterator[Ledger]:
    with Ledger.open(str(project), create=True) as ledger:
        yield ledger


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`clock(seconds)`: that much later."""
    now = [time.time()]
    monkeypatch.setattr(time, "time", lambda: now[0])

    def later(seconds: float) -> None:
        now[0] += seconds

    return later


def told(ledger: Ledger, queue: str = "q") -> dict[str, Any]:
    return status.standing(ledger, ledger.queues.get(queue))


def kinds(ledger: Ledger) -> list[str]:
    return [problem["kind"] for problem in told(ledger)["problems"]]


def work(ledger: Ledger, count: int, outcome: str = "done", **report: str) -> None:
    for claim in ledger.claims.claim("q", "w", count):
        ledger.ends.finish(claim.token, outcome, report)


def test_the_pace_is_that_of_the_last_items_and_tells_what_is_left(
    ledger: Ledger, clock: Callable[[float], None]
) -> None:
    ledger.generations.open("q", [NewItem(f"i{number}") for number in range(400)])
    assert (told(ledger)["per_minute"], told(ledger)["eta_seconds"]) == (None, None)
    clock(3600)
    [held] = ledger.claims.claim("q", "long")
    assert told(ledger)["per_minute"] is None, "nothing has ended yet"
    for _ in range(20):
        clock(30)
        work(ledger, 1)
    assert told(ledger)["per_minute"] == 2, "the hour before the first claim does not count"
    for _ in range(150):
        clock(6)
        work(ledger, 1)
    assert told(ledger)["per_minute"] == 10, "only the last ones count"
    assert told(ledger)["eta_seconds"] == (400 - 170) * 6
    ledger.pauses.pause("q")
    assert told(ledger)["eta_seconds"] is None
    clock(100_000)
    ledger.pauses.resume("q")
    clock(60)
    work(ledger, 5)
    assert told(ledger)["per_minute"] == 5, "a pause does not count"
    del held


def test_workers_are_told_with_what_they_hold_and_those_between_items_too(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem(name) for name in "abcd"])
    first, second = ledger.claims.claim("q", "w", 2, session="s")
    ledger.sessions.assign("s", "agent-1", [first.token, second.token])
    ledger.agents.join("agent-1", "s", 1, None)
    ledger.agents.join("agent-2", "s", 1, None)
    ledger.agents.join("agent-3", "s", 1, None)
    ledger.agents.note("agent-3", "s", how="stopped")
    ledger.agents.set_usage("agent-1", (1, 2, 3, 4), {}, complete=False)
    assert ledger.agents.saw_tool("agent-1", "Read: x.py")
    ledger.claims.claim("q", "by hand")
    one, three, two = told(ledger)["workers"]
    assert (one["worker"], [held["id"] for held in one["holds"]]) == ("agent-1", ["a", "b"])
    assert (one["last_tool"], one["tokens"]) == ("Read: x.py", 10)
    assert time.time() - one["seen_at"] < 60
    assert 890 < one["holds"][0]["lease_left_seconds"] <= 900 == one["holds"][0]["lease_seconds"]
    assert (three["worker"], three["tokens"], three["last_tool"]) == ("by hand", None, None)
    assert (two["worker"], two["holds"]) == ("agent-2", [])


def test_each_problem_is_told_the_most_pressing_first(
    ledger: Ledger, clock: Callable[[float], None]
) -> None:
    items = [NewItem(name) for name in "abcdefgh"]
    ledger.generations.open("q", [*items, NewItem("z", after=["a"])], Options(max_attempts=1))
    assert kinds(ledger) == []
    work(ledger, 1, "failed", reason="no\nnetwork")
    work(ledger, 1, "blocked", reason="no rights")
    first, second = told(ledger)["problems"]
    assert (first["kind"], first["text"]) == ("failed", "failed a: no / network")
    assert first["fix"] == "hypervisor retry q --failed"
    assert (second["kind"], second["fix"]) == ("blocked", "hypervisor retry q --blocked")
    clock(130)
    assert kinds(ledger) == ["still", "failed", "blocked"]
    assert told(ledger)["problems"][0]["text"] == "6 items left, and nobody at work for 2 min"
    ledger.claims.claim("q", "w", lease_seconds=900)
    assert kinds(ledger) == ["failed", "blocked"]
    ledger.claims.claim("q", "w-2", lease_seconds=0.5)
    time.sleep(0.4)
    assert kinds(ledger) == ["silent", "failed", "blocked"]
    ledger.agents.note_permission(1, "a", "call", "Bash(npm:*)")
    ledger.pauses.pause("q", "tired")
    assert kinds(ledger) == ["paused", "silent", "failed", "blocked"]
    ledger.pauses.resume("q")
    assert kinds(ledger) == ["permissions", "silent", "failed", "blocked"]
    ledger.agents.forget_permissions("q")
    for claim in ledger.claims.live_tokens():
        ledger.ends.finish(claim, "done", {}, pending=True)
    work(ledger, 9)
    assert kinds(ledger) == ["failed", "blocked", "waiting", "pending"]
    assert told(ledger)["state"] == "drained"


def test_an_agent_that_says_nothing_for_long_is_a_problem(
    ledger: Ledger, clock: Callable[[float], None]
) -> None:
    ledger.generations.open("q", [NewItem("a")])
    [claim] = ledger.claims.claim("q", "w", session="s", lease_seconds=36000)
    ledger.sessions.assign("s", "agent-1", [claim.token])
    ledger.agents.join("agent-1", "s", 1, None)
    ledger.agents.saw_tool("agent-1", "Bash: sleep")
    clock(status.SILENT_SECONDS - 1)
    assert kinds(ledger) == []
    clock(2)
    assert (
        "agent-1 on a, silent for 10 min: its lease ends in" in told(ledger)["problems"][0]["text"]
    )


def test_counts_come_from_indexes_alone(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem(f"i{number}") for number in range(50)])
    work(ledger, 10)
    statements: list[str] = []
    ledger.store.connection.set_trace_callback(statements.append)
    ledger.queues.counts(1)
    ledger.queries.last_ends(1, 10)
    ledger.store.connection.set_trace_callback(None)
    counts, ends = statements
    steps = [row["detail"] for row in ledger.store.rows(f"explain query plan {counts}")]
    assert [step for step in steps if "COVERING INDEX" in step and "SEARCH item" in step]
    assert not [step for step in steps if step.startswith("SCAN") or "TEMP" in step]
    assert sum("COVERING INDEX" in step for step in steps) == 4
    plan = [row["detail"] for row in ledger.store.rows(f"explain query plan {ends}")]
    assert sum("INDEX item_ended (queue=? AND state=? AND " in step for step in plan) == 3


def test_the_text_of_a_status_is_bounded_at_50_workers_and_many_queues(
    ledger: Ledger, run_hypervisor: Run
) -> None:
    long = "x" * 500
    ledger.generations.open(
        "q", [NewItem(f"{number}{long}") for number in range(300)], Options(max_attempts=1)
    )
    for number in range(50):
        ledger.claims.claim("q", f"worker-{number}-{long}")
    for claim in ledger.claims.claim("q", "w", 100):
        ledger.ends.finish(claim.token, "failed", {"reason": long})
    text = run_hypervisor("status").stdout
    assert len(text.splitlines()) == 1 + 7 + 1 + 6 + 1
    assert max(map(len, text.splitlines())) < 300
    assert "… and 44 more workers" in text
    for number in range(40):
        ledger.generations.open(f"other-{number}", [])
        ledger.generations.open(f"open-{number}", [NewItem(f"o{number}")])
    text = run_hypervisor("status").stdout
    assert len(text.splitlines()) < 100
    assert "… and 20 queues that ended before (--json lists all)" in text
    told_all = json.loads(run_hypervisor("status", "--json").stdout)["queues"]
    assert len(told_all) == 81
    for one in told_all:
        check("status", one)
    assert len(told_all[0]["workers"]) == 50


def test_branches_that_wait_to_be_merged_are_told_and_not_retried(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem("a")])
    work(ledger, 1)
    with ledger.store.write():
        ledger.store.change("update item set pending = 'merge' where id = 'a'")
    [problem] = told(ledger)["problems"]
    assert (problem["kind"], problem["fix"]) == ("unmerged", "hypervisor integrate q")
    assert ledger.retries.retry("q", ["a"]) == [
        ("a", "its branch is not merged yet: hypervisor integrate q")
    ]
