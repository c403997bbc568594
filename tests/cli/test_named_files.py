"""Items that name the same files, and queues that work on branches, as `plan` tells of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger, NewItem
from ledger.conftest import engine, pytest_generate_tests
from worker.branches.support import WHO, commit_all, git
from worker.support import write_task

__all__ = ["engine", "pytest_generate_tests"]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def root(project: Path, engine: str, monkeypatch: pytest.MonkeyPatch, run: Run) -> Iterator[Path]:
    """A repository with 24 tasks: every third names one file, two others another."""
    del engine
    for name, value in WHO.items():
        monkeypatch.setenv(name, value)
    git(project, "init", "--quiet", "-b", "main")
    (project / "src").mkdir()
    for name in ("cli.py", "io.py"):
        (project / "src" / name).write_text("x\n")
    for number in range(24):
        named = "Mend src/cli.py.\n" if number % 3 == 0 else "Mend it, as in src/no.py.\n"
        named += "See `src/io.py:12`.\n" if number in (4, 5) else ""
        write_task(project, f"t{number:02}", body=f"# T\n\n{named}")
    commit_all(project, "first")
    assert run("open", "q", "tasks", "--yes-up-to", "100").returncode == 0
    yield project


def tried(root: Path, *, branch: bool = False) -> None:
    """The first item is done, so that the rest is started."""
    with Ledger.open(str(root)) as ledger:
        claim = worker.take(ledger, "q", "w", branch=branch)[0]
        worker.finish(ledger, claim.token, "done", {"summary": "did it"})


def planned(run: Run, *words: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(run("plan", "q", "--json", *words).stdout)
    return told


def test_items_whose_texts_name_one_file_are_said_to_and_branches_are_proposed(
    root: Path, run: Run
) -> None:
    tried(root)
    told = planned(run)
    assert (told["at_once"], told["workers"], told["held_back"]) == (3, 3, True)
    assert told["shared"] == [
        {"path": "src/cli.py", "items": 7}, {"path": "src/io.py", "items": 2}
    ]  # fmt: skip
    shown = run("plan", "q").stdout
    assert (
        "At most 3 at once in one tree, since tasks name the same files: src/cli.py (7 items), "
        "src/io.py (2 items); more, each on a branch: hypervisor plan q --branch\n"
    ) in shown
    assert "Start 3 workers in the background" in shown


def test_the_queue_remembers_that_it_works_on_branches(root: Path, run: Run) -> None:
    tried(root)
    shown = run("plan", "q", "--branch").stdout
    assert "At most" not in shown and "hypervisor:worker-isolated" in shown
    many = planned(run)
    assert (many["at_once"], many["branch"], many["held_back"]) == (None, True, False)
    assert many["workers"] > 3
    run("pause", "q")
    run("resume", "q")
    run("open", "q", "tasks")
    assert "hypervisor:worker-isolated" in run("plan", "q").stdout
    assert "hypervisor:worker-isolated" not in run("plan", "q", "--no-branch").stdout
    assert planned(run)["branch"] is False


def test_a_queue_that_is_worked_off_on_branches_by_hand_remembers_it_too(
    root: Path, run: Run
) -> None:
    token = run("next", "q", "--branch").stdout.split()[1]
    run("block", token, "--reason", "no")
    assert planned(run)["branch"] is True
    assert run("retry", "q").returncode == 0
    shown = run("plan", "q").stdout
    assert "hypervisor:worker-isolated" in shown
    run("cancel", "q")
    run("open", "q", "tasks")
    assert planned(run)["branch"] is True


def test_where_no_two_items_name_one_file_nothing_is_said(root: Path, run: Run) -> None:
    write_task(root, "other", body="# T\n\nMend src/cli.py.\n")
    for number in range(4):
        write_task(root, f"plain-{number}", body="# T\n\nMend it.\n")
    run("open", "p", *(f"tasks/plain-{number}.md" for number in range(4)), "tasks/other.md")
    told = json.loads(run("plan", "p", "--json").stdout)
    assert (told["at_once"], told["shared"], told["held_back"]) == (None, [], False)
    assert "At most" not in run("plan", "p").stdout


@pytest.mark.embedded
def test_outside_of_git_no_branch_is_proposed(project: Path, engine: str, run: Run) -> None:
    del engine
    (project / "a.py").write_text("x\n")
    for number in range(6):
        write_task(project, f"t{number}", body="# T\n\nMend a.py.\n")
    run("open", "q", "tasks")
    tried(project)
    shown = run("plan", "q").stdout
    assert "At most 1 at once in one tree" in shown and "--branch" not in shown


def test_a_plan_over_100_000_items_looks_no_further_than_the_next_thousand(root: Path) -> None:
    with Ledger.open(str(root)) as ledger:
        ledger.generations.open(
            "big", [NewItem(f"i{n}", named=["src/cli.py"]) for n in range(2000)]
        )
        number = ledger.queues.get("big").no
        assert ledger.queries.named_ahead(number, 1000) == [["src/cli.py"]] * 1000
