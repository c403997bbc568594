"""A ladder as its users see it: opened, planned, worked on and told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger
from worker.support import write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def opened(project: Path, run: Run) -> Path:
    for name in "abc":
        write_task(project, name)
    told = run("open", "q", "tasks", "--ladder", "small,middle", "--canary", "0")
    assert told.returncode == 0, told.stderr
    return project


def fails(run: Run, token: str) -> str:
    """Return what a worker hears that fails its item and asks for the next."""
    return run("fail", token, "--reason", "x", "--next").stdout


def test_attempts_are_as_many_as_rungs_or_more(opened: Path, run: Run) -> None:
    with Ledger.open(str(opened)) as ledger:
        assert ledger.queues.get("q").max_attempts == 2
    refused = run("open", "other", "tasks", "--ladder", "a,b,c", "--max-attempts", "2")
    assert refused.returncode == 2 and "less than the rungs" in refused.stderr
    refused = run("open", "other", "tasks", "--ladder", "nobody:a")
    assert refused.returncode == 2 and "no client is called nobody" in refused.stderr
    refused = run("open", "other", "tasks", "--ladder", "a-new-one", "--budget", "1usd")
    assert refused.returncode == 2 and "no price of a-new-one is known" in refused.stderr


def test_a_rung_of_another_client_is_for_a_pool(opened: Path, run: Run) -> None:
    run("open", "other", "tasks", "--again", "--ladder", "gemini:g-1,small", "--canary", "0")
    run("cancel", "q")
    run("open", "other", "tasks", "--ladder", "gemini:g-1,small", "--canary", "0")
    assert "hypervisor work other --agent gemini --model g-1" in run("plan", "other").stdout


def test_a_worker_stays_on_its_rung_and_hears_for_whom_the_rest_waits(
    opened: Path, run: Run
) -> None:
    token = run("next", "q", "--model", "middle").stdout.split()[1]
    # Its own rung comes first: the item that has climbed to it.
    token = fails(run, token).partition("\nclaim ")[2].split()[0]
    assert run("done", token, "--summary", "x").returncode == 0
    token = run("next", "q").stdout.split()[1]
    token = fails(run, token).partition("\nclaim ")[2].split()[0]
    ended = fails(run, token)
    assert "nothing ready now; 2 wait for middle" in ended
    assert "2 wait for middle" in run("next", "q").stdout
    assert json.loads(run("next", "q", "--json").stdout)["why"] == "rung"
    plan = json.loads(run("plan", "q", "--json").stdout)
    assert (plan["step"], plan["model"], plan["workers"]) == ("workers", "middle", 1)
    words = run("plan", "q").stdout
    assert "with the model middle" in words and "prompt: queue q, model middle" in words
    with Ledger.open(str(opened)) as ledger:
        rungs = [one.rung for item in (1, 2, 3) for one in ledger.queries.claims_on(item)]
    assert sorted(rungs) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("haiku,haiku", "has haiku twice"),
        ("haiku,claude:haiku", "has haiku twice"),
        ("command:x", "a command has no model"),
    ],
)
def test_a_ladder_that_can_t_be_climbed_is_refused(
    project: Path, run: Run, told: str, why: str
) -> None:
    write_task(project, "a")
    refused = run("open", "q", "tasks", "--ladder", told)
    assert refused.returncode == 2 and why in refused.stderr, refused.stderr


def test_a_pool_stands_on_no_rung_of_another_client_and_starts_none_that_can_t_be_held(
    project: Path, run: Run
) -> None:
    write_task(project, "a")
    told = run("open", "q", "tasks", "--ladder", "claude:a,codex:a,codex:b",
               "--allow-command", "npm test")  # fmt: skip
    assert told.returncode == 0, told.stderr
    refused = run("work", "q", "--agent", "claude", "--model", "b")
    assert refused.returncode == 2 and "b is a rung for codex, not for claude" in refused.stderr
    # The pool would start agents of both clients.
    refused = run("work", "q", "--agent", "claude")
    assert refused.returncode == 2 and "Codex CLI can't keep --allow-command" in refused.stderr
