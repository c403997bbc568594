"""Items of a file that holds many, on branches: the mark is written by what merges."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypervisor.ledger import Ledger
from hypervisor.worker import outbox
from worker.branches.support import commit_all, done, git, merge, take
from worker.support import open_queue

LIST = "".join(f"- [ ] Step {number}\n  why é {number}\n" for number in range(8))


@pytest.fixture
def todo(project: Path) -> Path:
    path = project / "todo.md"
    path.write_text(LIST)
    git(project, "init", "--quiet", "-b", "main")
    commit_all(project)
    open_queue(project, ["todo.md"])
    return path


def ticked(*numbers: int) -> str:
    text = LIST
    for number in numbers:
        text = text.replace(f"[ ] Step {number}", f"[x] Step {number}")
    return text


def test_the_mark_is_written_by_integrate_and_never_on_the_branch(
    project: Path, todo: Path
) -> None:
    claims = [take(project) for _ in range(2)]
    for claim in claims:
        (Path(claim.worktree) / f"{claim.title[-1]}.txt").write_text("x\n")
        assert done(project, claim) == "done"
        assert git(project, "show", f"{claim.branch}:todo.md") == LIST
    with Ledger.open(str(project)) as ledger:
        outbox.flush(ledger, None)
    assert todo.read_text() == LIST
    assert len(merge(project).merged) == 2
    assert todo.read_text() == ticked(0, 1)
    assert (project / "0.txt").exists() and (project / "1.txt").exists()
    assert git(project, "show", "main:todo.md") == LIST


def test_a_box_that_a_worker_ticks_on_its_branch_keeps_nothing_from_being_merged(
    project: Path, todo: Path
) -> None:
    claim = take(project)
    (Path(claim.worktree) / "todo.md").write_text(ticked(0))
    assert done(project, claim) == "done"
    assert len(merge(project).merged) == 1
    assert todo.read_text() == ticked(0)
