"""Budgets: when one is used up nothing more is handed out, and everybody is told why."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger, NewItem, Options
from hypervisor.ledger.usage import Cost
from worker.support import states, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]
USED_UP = "its budget of 1,000 tokens is used up: 1,234"


@pytest.fixture
def tasks(project: Path) -> Path:
    for name in "abc":
        write_task(project, name)
    return project


def uses(root: Path, tokens: int, queue: str = "q", agent: str = "agent-1") -> None:
    """Note what an agent of the queue has used."""
    with Ledger.open(str(root)) as ledger:
        ledger.agents.join(agent, "s", ledger.queues.get(queue).no, None)
        ledger.agents.set_usage(agent, (0, tokens, 0, 0), {}, complete=False)


def test_used_up_tokens_stop_the_hand_out_and_the_rest_stays_not_attempted(
    tasks: Path, run_forked: Run
) -> None:
    opened = run_forked("open", "q", "tasks", "--budget-tokens", "1000")
    assert opened.returncode == 0, opened.stderr
    token = run_forked("next", "q").stdout.split()[1]
    uses(tasks, 999)
    other = run_forked("next", "q").stdout.split()[1]
    uses(tasks, 1234)
    refused = run_forked("next", "q")
    assert refused.returncode == 0
    assert refused.stdout == (
        f"queue paused ({USED_UP}): stop here; hypervisor resume q --budget 2000tok continues it\n"
    )
    ended = run_forked("done", token, "--summary", "x", "--next")
    assert ended.returncode == 0 and "queue paused (" in ended.stdout
    assert run_forked("done", other, "--summary", "x").returncode == 0
    assert f"q: paused ({USED_UP}), 3 items: 1 ready, 2 done\n" in run_forked("status").stdout
    told = json.loads(run_forked("summary", "q", "--json").stdout)
    assert told["counts"]["not_attempted"] == 1
    [left] = [one for one in told["workers"] if one["status"] == "not_attempted"]
    assert left["reason"] == f"not tried: {USED_UP}"
    assert f"queue q: paused ({USED_UP}), 3 items" in run_forked("summary", "q").stdout
    assert USED_UP in run_forked("log", "q").stdout
    plan = json.loads(run_forked("plan", "q", "--json").stdout)
    assert (plan["step"], plan["reason"]) == ("paused", USED_UP)


def test_a_queue_goes_on_with_a_larger_budget_or_none(tasks: Path, run_forked: Run) -> None:
    run_forked("open", "q", "tasks", "--budget-tokens", "1000")
    uses(tasks, 1234)
    run_forked("next", "q")
    refused = run_forked("resume", "q")
    assert refused.returncode == 2
    assert f"queue q: {USED_UP}\nhint: give it more: hypervisor resume q --budget" in refused.stderr
    assert run_forked("resume", "q", "--budget-tokens", "2000").returncode == 0
    assert run_forked("next", "q").stdout.startswith("claim ")
    uses(tasks, 5000)
    assert run_forked("next", "q").stdout.startswith("queue paused (")
    assert run_forked("resume", "q", "--budget-tokens", "0").returncode == 0
    assert run_forked("next", "q").stdout.startswith("claim ")


def test_minutes_count_from_the_first_claim(
    tasks: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    assert run("open", "q", "tasks", "--budget-minutes", "1.5").returncode == 0
    monkeypatch.setattr(time, "time", lambda: now)
    now += 1000
    assert run("next", "q").stdout.startswith("claim ")
    now += 80
    assert run("next", "q").stdout.startswith("claim ")
    now += 11
    assert "queue paused (its budget of 1 min 30 s is used up)" in run("next", "q").stdout
    assert states(tasks) == {"a": "claimed", "b": "claimed", "c": "ready"}
    assert run("resume", "q", "--budget-minutes", "10").returncode == 0
    assert run("next", "q").stdout.startswith("claim ")


def test_the_time_of_a_pause_is_not_spent(
    tasks: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    run("open", "q", "tasks", "--budget-minutes", "1.5")
    monkeypatch.setattr(time, "time", lambda: now)
    assert run("next", "q").stdout.startswith("claim ")
    now += 60
    run("pause", "q", "--reason", "lunch")
    now += 3600
    assert run("resume", "q").returncode == 0
    now += 20
    assert run("next", "q").stdout.startswith("claim ")
    now += 11
    assert "its budget of 1 min 30 s is used up" in run("next", "q").stdout


def test_a_pause_that_a_new_generation_takes_over_is_not_spent(project: Path) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        items = [NewItem("a"), NewItem("b")]
        ledger.generations.open("q", items, Options(source="one"))
        ledger.claims.claim("q", "w")
        ledger.pauses.pause("q", "lunch")
        ledger.generations.open("q", items, Options(source="two", budget={"ms": 60_000}))
        assert ledger.queues.get("q").state == "paused"
        begun = time.time()
        time.sleep(0.3)
        number = ledger.queues.get("q").no
        assert ledger.terms.paused_seconds(number, begun) >= 0.3


def test_tokens_that_nobody_knows_stop_nothing_and_other_queues_go_on(
    tasks: Path, run: Run
) -> None:
    run("open", "q", "tasks/a.md", "tasks/b.md", "--budget-tokens", "1000")
    run("open", "other", "tasks/c.md")
    with Ledger.open(str(tasks)) as ledger:
        ledger.agents.join("agent-1", "s", 1, None)
        ledger.agents.set_usage("agent-1", None, {}, complete=True)
    told = json.loads(run("status", "q", "--json").stdout)
    assert (told["tokens"], told["budget"]["tokens_used"]) == (None, None)
    assert run("next", "q").stdout.startswith("claim ")
    uses(tasks, 5000)
    assert run("next", "q").stdout.startswith("queue paused ")
    assert run("next", "other").stdout.startswith("claim ")


def test_a_budget_is_shown_before_anybody_has_asked_for_more(tasks: Path, run: Run) -> None:
    run("open", "q", "tasks", "--budget-tokens", "1000")
    uses(tasks, 1234)
    told = json.loads(run("status", "q", "--json").stdout)
    assert told["state"] == "open"
    assert told["problems"][0]["kind"] == "budget"
    assert told["problems"][0]["text"] == f"{USED_UP}; 3 items stay untried"


def test_opening_again_changes_the_budget_and_a_new_generation_starts_without(
    tasks: Path, run: Run
) -> None:
    def budget() -> tuple[int | None, int | None]:
        with Ledger.open(str(tasks)) as ledger:
            row = ledger.queues.get("q")
            return row.budget_tokens, row.budget_ms

    run("open", "q", "tasks/a.md", "--budget-tokens", "1000")
    run("open", "q", "tasks/b.md", "--budget-minutes", "2")
    assert budget() == (1000, 120_000)
    run("cancel", "q")
    run("open", "q", "tasks/c.md")
    assert budget() == (None, None)


@pytest.mark.parametrize("line", ["tokens -1", "tokens x", "minutes -1", "minutes nan"])
def test_odd_budgets_are_refused(tasks: Path, run: Run, line: str) -> None:
    name, value = line.split()
    assert run("open", "q", "tasks", f"--budget-{name}", value).returncode == 2


@pytest.mark.parametrize("told", ["", "5", "5eur", "-1usd", "1usd,2usd", "1.2.3usd", "usd"])
def test_odd_limits_are_refused(tasks: Path, run: Run, told: str) -> None:
    for option in ("--budget", "--item-budget"):
        assert run("open", "q", "tasks", f"{option}={told}").returncode == 2


def test_one_option_names_dollars_tokens_and_time(tasks: Path, run: Run) -> None:
    opened = run("open", "q", "tasks", "--budget", "$5,2Mtok,30min", "--item-budget", "0.1usd,10m")
    assert opened.returncode == 2
    opened = run("open", "q", "tasks", "--budget", "$5,2Mtok,30min", "--item-budget", "0.1usd,2min")
    assert opened.returncode == 0, opened.stderr
    with Ledger.open(str(tasks)) as ledger:
        row = ledger.queues.get("q")
    assert (row.budget_usd, row.budget_tokens, row.budget_ms) == (5, 2_000_000, 1_800_000)
    assert (row.item_usd, row.item_ms) == (0.1, 120_000)
    told = json.loads(run("status", "q", "--json").stdout)["budget"]
    assert (told["usd"], told["usd_used"]) == (5, None)


def test_dollars_that_are_used_up_stop_the_hand_out_and_so_do_those_that_nobody_knows(
    tasks: Path, run: Run
) -> None:
    run("open", "q", "tasks", "--budget", "1usd")
    figures = {"tokens": {}, "usd": None}
    with Ledger.open(str(tasks)) as ledger:
        ledger.agents.join("a", "s", ledger.queues.get("q").no, None)
        ledger.agents.set_usage(
            "a", (1, 1, 1, 1), {}, complete=False, cost=Cost(0.99, {}, {}, False)
        )
        assert run("next", "q").stdout.startswith("claim ")
        ledger.agents.set_usage(
            "a", (1, 1, 1, 1), {}, complete=False, cost=Cost(1.2, {}, {}, False)
        )
        told = run("next", "q").stdout
        assert "(its budget of $1.00 is used up: $1.20)" in told
        assert "hypervisor resume q --budget 2usd" in told
        unknown = Cost(None, {"new-model": figures}, {}, False)
        ledger.agents.set_usage("a", (1, 1, 1, 1), {}, complete=True, cost=unknown)
    refused = run("resume", "q")
    assert refused.returncode == 2 and "no price of new-model is known" in refused.stderr
    assert run("resume", "q", "--budget", "0usd").returncode == 0


@pytest.mark.parametrize(
    "words", [["--agent", "command", "--", "true"], ["--agent", "claude", "--model", "new-model"]]
)
def test_a_pool_whose_price_nobody_knows_does_not_start_on_a_budget_in_dollars(
    tasks: Path, run: Run, words: list[str]
) -> None:
    run("open", "q", "tasks", "--budget", "1usd")
    refused = run("work", "q", *words)
    assert refused.returncode == 2 and "q has a budget in dollars" in refused.stderr
    assert ("hypervisor resume q --budget 0usd" in refused.stderr) == (words[1] == "command")
    assert ("add to " in refused.stderr) == (words[1] == "claude")


def test_a_queue_that_ended_meanwhile_is_not_paused(tasks: Path, run: Run) -> None:
    run("open", "q", "tasks", "--budget-tokens", "1000")
    uses(tasks, 5000)
    run("cancel", "q")
    with Ledger.open(str(tasks)) as ledger:
        assert worker.take(ledger, "q", "w") == []
        assert ledger.queues.get("q").state == "cancelled"


def test_minutes_of_a_new_generation_do_not_count_from_claims_before_it(
    tasks: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    with Ledger.open(str(tasks), create=True) as ledger:
        ledger.generations.open(
            "q", [NewItem("a"), NewItem("b")], Options(source="one", budget={"ms": 60_000})
        )
        ledger.ends.release(ledger.claims.claim("q", "w")[0].token, free=True)
        now += 3600
        ledger.generations.open(
            "q", [NewItem("a"), NewItem("b")], Options(source="two", budget={"ms": 60_000})
        )
        now += 600
        row = ledger.queues.get("q")
        assert (row.generation, ledger.terms.started_at(row)) == (2, None)
        ledger.claims.claim("q", "w")
        assert ledger.terms.started_at(row) == now
