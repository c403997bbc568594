"""What lets workers run or spend more is for the user to decide, and not for an agent."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger
from hypervisor.ledger.options import Queue
from worker.support import open_queue, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SESSIONS: list[dict[str, str | None]] = [
    {"CLAUDE_CODE_SESSION_ID": "s", "CLAUDECODE": "1"},
    {"CLAUDECODE": "1"},
    {"GEMINI_CLI": "1"},
    {"CODEX_THREAD_ID": "x"},
]


@pytest.fixture
def tasks(project: Path) -> Path:
    for name in "ab":
        write_task(project, name)
    return project


def row(root: Path) -> Queue:
    with Ledger.open(str(root)) as ledger:
        return ledger.queues.get("q")


@pytest.mark.parametrize("env", SESSIONS)
@pytest.mark.parametrize(
    ("options", "instead"),
    [
        (["--verify", "make 'a b'"], "hypervisor check q 'make '\"'\"'a b'\"'\"''"),
        (["--verify", "make", "--env", "K"], "hypervisor check q make --env K"),
        (["--allow-command", "npm test"], "hypervisor allow q 'npm test'"),
    ],
)
def test_a_session_can_t_open_a_queue_that_runs_more_and_gets_the_command_that_asks(
    tasks: Path,
    run_forked: Run,
    env: dict[str, str | None],
    options: list[str],
    instead: str,
) -> None:
    refused = run_forked("open", "q", "tasks", *options, env=env)
    assert refused.returncode == 2
    assert "is for the user to decide" in refused.stderr and refused.stderr.count("\n") == 2
    assert refused.stderr.endswith(f"which asks the user: {instead}\n")
    assert "no queue was ever opened here" in run_forked("status").stdout + (
        run_forked("status", "q").stderr
    )
    # A person may.
    assert run_forked("open", "q", "tasks", *options).returncode == 0


@pytest.mark.parametrize("env", SESSIONS)
def test_a_session_may_lower_a_budget_and_not_raise_it(
    tasks: Path, run_forked: Run, env: dict[str, str | None]
) -> None:
    def opened(*options: str) -> subprocess.CompletedProcess[str]:
        return run_forked("open", "q", "tasks", *options, env=env)

    assert opened("--budget-tokens", "1000").returncode == 0
    assert opened("--budget-tokens", "500", "--budget-minutes", "5").returncode == 0
    for more, told in (
        (["--budget-tokens", "501"], "501tok"),
        (["--budget", "0tok"], "0tok"),
        (["--budget-minutes", "6"], "6min"),
    ):
        refused = opened(*more)
        assert refused.returncode == 2
        assert f"hypervisor allow q --budget {told}\n" in refused.stderr
        refused = run_forked("resume", "q", *more, env=env)
        assert refused.returncode == 2
        assert "hypervisor allow q --budget 1000tok,10min" in refused.stderr
    assert (row(tasks).budget_tokens, row(tasks).budget_ms) == (500, 300_000)
    run_forked("pause", "q")
    assert run_forked("resume", "q", "--budget-tokens", "400", env=env).returncode == 0
    # What the user was asked about, or does in a terminal, raises it.
    assert run_forked("allow", "q", "--budget-tokens", "900", env=env).returncode == 0
    assert run_forked("resume", "q", "--budget-minutes", "0").returncode == 0
    assert (row(tasks).budget_tokens, row(tasks).budget_ms) == (900, None)


def test_a_check_is_set_shown_kept_by_a_later_opening_and_told_in_the_log(
    tasks: Path, run_forked: Run
) -> None:
    run_forked("open", "q", "tasks")
    none = run_forked("check", "q")
    assert (none.returncode, none.stdout) == (3, "queue q has no check\n")
    secret = {"DEPLOY_KEY": "x", "MY_TOKEN": "y"}
    told = run_forked("check", "q", "test -e ok", "--env", "MY_TOKEN", env=secret)
    assert told.returncode == 0, told.stderr
    first, *more, then = told.stdout.splitlines()
    assert then.startswith("next: hypervisor work q ")
    assert first == "before an item of q is done: test -e ok"
    assert "files that a worker may edit decide what it runs" in more[0]
    assert more[1:] == [
        "  it keeps MY_TOKEN",
        "  it runs without DEPLOY_KEY, which look like secrets; --env NAME keeps one",
    ]
    assert f"{run_forked('check', 'q', env=secret).stdout}{then}\n" == told.stdout
    write_task(tasks, "c")
    again = run_forked("open", "q", "tasks", env={"CLAUDECODE": "1"})
    assert again.returncode == 0 and "1 item added" in again.stdout
    assert row(tasks).verify == "test -e ok"
    token = run_forked("next", "q").stdout.split()[1]
    refused = run_forked("done", token, "--summary", "x", env=secret)
    assert refused.returncode == 1
    assert "It ran without DEPLOY_KEY, which look like secrets" in refused.stderr
    events = [json.loads(line) for line in run_forked("log", "q", "--json").stdout.splitlines()]
    assert [event["detail"] for event in events if event["event"] == "check"] == ["test -e ok"]


def test_an_opening_with_a_check_says_who_decides_what_it_runs(
    tasks: Path, run_forked: Run
) -> None:
    told = run_forked("open", "q", "tasks", "--verify", "make", env={"A_SECRET": "x"})
    assert "files that a worker may edit decide what it runs" in told.stderr
    assert "it runs without A_SECRET" in told.stderr


def test_allowed_commands_add_up_and_are_shown(tasks: Path, run_forked: Run) -> None:
    run_forked("open", "q", "tasks", "--allow-command", "npm test")
    assert run_forked("allow", "q", "make lint", "npm test").returncode == 0
    assert json.loads(row(tasks).commands) == ["npm test", "make lint"]
    shown = run_forked("allow", "q").stdout
    assert shown.startswith("workers of q may run: npm test, make lint (")
    assert run_forked("allow", "q", "a; b").returncode == 2


@pytest.mark.parametrize("env", [*SESSIONS, {"HYPERVISOR_POOL": "p", "HYPERVISOR_AGENT": "a"}])
def test_adopt_is_refused_to_every_agent(
    tasks: Path, run_forked: Run, env: dict[str, str | None]
) -> None:
    open_queue(tasks)
    refused = run_forked("adopt", env=env)
    assert refused.returncode == 2
    assert "hypervisor adopt is for a person, in a terminal of their own" in refused.stderr
