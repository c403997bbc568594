"""A queue at work that is opened again: what is named is applied and told, or refused by name; and
how many items a lease carries."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger
from worker.support import write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def opened(project: Path, run_hypervisor: Run) -> Path:
    """A project whose queue `q` is at work on `a` and `b`."""
    for name in "ab":
        write_task(project, name)
    assert run_hypervisor("open", "q", "tasks", "--lease", "3s").returncode == 0
    return project


def test_limits_that_are_named_hold_for_a_queue_at_work_from_then_on(
    opened: Path, run_hypervisor: Run
) -> None:
    write_task(opened, "c")
    told = run_hypervisor(
        "open", "q", "tasks", "--lease", "2h", "--max-attempts", "7", "--max-deaths", "8",
        "--max-lost", "9", "--budget-tokens", "5000",
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert [line for line in told.stdout.splitlines() if "from now on" in line] == [
        "  from now on: --max-attempts 7 (it was 3)",
        "  from now on: --max-deaths 8 (it was 3)",
        "  from now on: --max-lost 9 (it was 10)",
        "  from now on: --lease 2 h (it was 3 s)",
        "  from now on: --item-budget 120min (it was 60min)",
        "  from now on: --budget 5000tok (it was no limit)",
    ]
    with Ledger.open(str(opened)) as ledger:
        row = ledger.queues.get("q")
    assert (row.generation, row.max_attempts, row.max_deaths, row.max_lost) == (1, 7, 8, 9)
    [claim] = json.loads(run_hypervisor("next", "q", "--json").stdout)["claims"]
    assert claim["lease_seconds"] == 7200
    again = run_hypervisor("open", "q", "tasks")
    assert again.returncode == 0 and "from now on" not in again.stdout
    with Ledger.open(str(opened)) as ledger:
        assert ledger.queues.get("q")._replace(preflight=None) == row._replace(
            preflight=None, started_at=ledger.queues.get("q").started_at
        )


def test_who_has_the_queue_open_already_hands_out_by_the_new_lease(
    opened: Path, run_hypervisor: Run
) -> None:
    from hypervisor import worker

    with Ledger.open(str(opened)) as ledger:
        assert worker.take(ledger, "q", "w")[0].lease_seconds == 3
        run_hypervisor("open", "q", "tasks", "--lease", "1h")
        assert worker.take(ledger, "q", "w")[0].lease_seconds == 3600


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--verify", "true"), "another --verify"),
        (("--scope", "named"), "another --scope"),
        (("--allow-command", "npm test"), "another --allow-command"),
        (("--may-write", ".vscode/tasks.json"), "another --may-write"),
        (("--verify", "true", "--scope", "named"), "another --verify, another --scope"),
    ],
)
def test_what_a_queue_at_work_cannot_change_is_refused_by_its_name(
    opened: Path, run_hypervisor: Run, words: tuple[str, ...], named: str
) -> None:
    told = run_hypervisor("open", "q", "tasks", *words, "--lease", "1h")
    assert told.returncode == 2
    assert told.stderr == (
        f"error: queue q is at work with {named}\nhint: choose another name, or end it first: "
        "hypervisor cancel q\n"
    )
    with Ledger.open(str(opened)) as ledger:
        assert ledger.queues.get("q").lease_ms == 3000


@pytest.mark.parametrize("option", ["--max-attempts", "--max-deaths", "--max-lost"])
def test_a_limit_is_at_least_one(opened: Path, run_hypervisor: Run, option: str) -> None:
    told = run_hypervisor("open", "q", "tasks", option, "0")
    assert (told.returncode, told.stderr) == (
        2, f"error: {option} must be 1 or more\nhint: hypervisor open --help\n",
    )  # fmt: skip


def test_no_more_is_handed_out_at_once_than_a_lease_carries(
    project: Path, run_hypervisor: Run
) -> None:
    for number in range(20):
        write_task(project, f"t{number:02}")
    run_hypervisor("open", "q", "tasks", "--lease", "10s")
    first = run_hypervisor("next", "q", "-n", "5", "--json")
    assert len(json.loads(first.stdout)["claims"]) == 5 and first.stderr == ""
    with Ledger.open(str(project)) as ledger:
        for token in list(ledger.claims.live_tokens()):
            ledger.ends.finish(token, "done", {})
        # They took 15 s together.
        ledger.store.change("update claim set claimed_at = ?", (time.time() - 15,))
    told = run_hypervisor("next", "q", "-n", "5", "--json")
    assert len(json.loads(told.stdout)["claims"]) == 3
    assert told.stderr == (
        "note: at 3 s for an item, a lease of 10 s carries no more than 3 of the 5 that were "
        "asked for (hypervisor open --lease)\n"
    )
    assert run_hypervisor("next", "q", "-n", "2").stderr == ""


def test_instructions_alone_are_a_version_that_a_worker_is_told_with_the_next_item(
    project: Path, run_hypervisor: Run
) -> None:
    (project / "rows.csv").write_text("name\na\nb\nc\n")
    how = project / "how.md"
    how.write_text("Count. " * 500)
    assert run_hypervisor("open", "q", "rows.csv", "--instructions", "how.md").returncode == 0
    token = run_hypervisor("next", "q").stdout.split()[1]
    how.write_text("Weigh. " * 500)
    told = run_hypervisor("open", "q", "--instructions", "how.md")
    assert told.returncode == 0 and "version 2: “Weigh." in told.stdout
    assert "for 2 items that nobody has claimed yet" in told.stdout
    assert "1 item at work" in told.stdout
    following = run_hypervisor("done", token, "--summary", "x", "--next").stdout
    assert "Weigh. Weigh." in following
    last = run_hypervisor(
        "done", following.split("claim ")[1].split()[0], "--summary", "x", "--next"
    )
    assert "instructions: the same as before" in last.stdout
    with Ledger.open(str(project)) as ledger:
        claims = [one for item in (1, 2, 3) for one in ledger.queries.claims_on(item)]
    assert [one.version for one in claims] == [None, 2, 2]
