"""The repository of an item is that of its file: its tree, its branch and its merge are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger
from hypervisor.worker.branches import claim_tree
from worker.branches import support
from worker.branches.support import commit_all, done, git, merge, rows, take
from worker.support import open_queue, reports, states, write_task


@pytest.fixture
def inner(project: Path) -> Path:
    """A repository in the folder of another one, both with tasks of one queue."""
    git(project, "init", "--quiet", "-b", "main")
    (project / ".gitignore").write_text("inner\n")
    write_task(project, "t0")
    commit_all(project, "outer")
    folder = project / "inner"
    folder.mkdir()
    git(folder, "init", "--quiet", "-b", "trunk")
    for name in ("in0", "in1"):
        write_task(folder, name)
    commit_all(folder, "inner")
    open_queue(project, ".")
    return folder


def commits(folder: Path) -> list[str]:
    return git(folder, "log", "--format=%s", "--first-parent").splitlines()


def test_the_work_on_a_task_of_an_inner_repository_is_merged_into_that(
    inner: Path, project: Path
) -> None:
    claims = {name: take(project, name) for name in ("in0", "t0")}
    base = git(inner, "rev-parse", "trunk").strip()
    claim = claims["in0"]
    assert claim.base_commit == base and claim.file == f"{claim.worktree}/tasks/in0.md"
    assert claim.worktree == str(project / ".hypervisor" / "worktrees" / claim.token)
    assert (
        git(inner, "branch", "--list", claim.branch)
        != ""
        == git(project, "branch", "--list", claim.branch)
    )
    for one in claims.values():
        (Path(one.worktree) / f"{one.id}.txt").write_text("fix")
        assert done(project, one) == "done"
    assert support.trees(project) == []
    assert support.report_of(rows(project)["in0"])["files"] == ["in0.txt"]
    merged = merge(project)
    assert sorted(item for item, _ in merged.merged) == ["in0", "t0"]
    assert commits(inner) == ["Merge in0: Task in0", "inner"]
    assert commits(project) == ["Merge t0: Task t0", "outer"]
    assert (inner / "in0.txt").exists() and not (inner / "t0.txt").exists()
    assert support.branches(project) == support.branches(inner) == []
    assert reports(inner / "tasks" / "in0.md") == reports(project / "tasks" / "t0.md") == 1
    assert git(inner, "worktree", "list").count("\n") == 1


def test_what_a_lost_claim_left_is_saved_in_the_inner_repository(
    inner: Path, project: Path
) -> None:
    claim = take(project, "in1")
    (Path(claim.worktree) / "part.txt").write_text("precious")
    support.let_expire(project)
    with Ledger.open(str(project)) as ledger:
        with ledger.store.write():
            ledger.store.change("update claim set ended_at = ended_at - 7200")
            ledger.store.change("update item set lapsed = null")
        claim_tree.clear(ledger)
    assert git(inner, "show", f"{claim.branch}:part.txt") == "precious"
    assert support.trees(project) == [] and git(inner, "worktree", "list").count("\n") == 1


def test_nothing_that_an_inner_repository_s_configuration_names_is_run(
    inner: Path, project: Path
) -> None:
    hook = inner / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\ntouch ../ran; exit 1\n")
    hook.chmod(0o755)
    git(inner, "config", "hypervisor.hooks", "true")
    git(inner, "config", "hypervisor.remote", "nowhere")
    claim = take(project, "in0")
    (Path(claim.worktree) / "a.txt").write_text("a")
    with Ledger.open(str(project)) as ledger:
        worker.finish(ledger, claim.token, "done", {"summary": "did it"})
    assert states(project)["in0"] == "done" and len(merge(project).merged) == 1
    assert not list(project.rglob("ran"))
