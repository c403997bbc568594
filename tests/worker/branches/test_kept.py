"""Nothing that a worker made in its tree is lost: a commit holds it, or the kept folder, or the
tree stays."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError
from hypervisor.worker.branches import claim_tree
from worker.branches import support
from worker.branches.support import commit_all, do, done, git, lay_out, merge, take
from worker.support import states, write_task

FILE = ("-c", "protocol.file.allow=always")


def end(root: Path, claim: Any, outcome: str = "blocked") -> dict[str, Any]:
    """End a claim without success, and return its report."""
    with Ledger.open(str(root)) as ledger:
        worker.finish(ledger, claim.token, outcome, {"reason": "because"})
        row = ledger.store.row("select report from claim where token = ?", (claim.token,))
    found: dict[str, Any] = json.loads(row["report"])
    return found


def lose(root: Path) -> None:
    """Lose every claim for good, and let two leases pass."""
    support.let_expire(root)
    with Ledger.open(str(root)) as ledger:
        with ledger.store.write():
            ledger.store.change("update claim set ended_at = ended_at - 7200")
            ledger.store.change("update item set lapsed = null")
        claim_tree.clear(ledger)


def with_submodule(root: Path) -> Path:
    """Lay a project out that has a submodule `vendor` with the file `l`; return where that is."""
    library = root.parent / "library"
    git(root.parent, "init", "--quiet", "-b", "main", "library")
    (library / "l").write_text("l")
    commit_all(library)
    git(root, "init", "--quiet", "-b", "main")
    git(root, *FILE, "submodule", "--quiet", "add", str(library), "vendor")
    write_task(root, "t0")
    commit_all(root)
    support.open_queue(root)
    return library


def nested(tree: Path) -> None:
    app = tree / "app"
    app.mkdir()
    git(app, "init", "--quiet")
    (app / "main.py").write_text("precious")


def nested_with_a_commit(tree: Path) -> None:
    nested(tree)
    commit_all(tree / "app")


def line_ends(tree: Path) -> None:
    git(tree, "config", "--global", "core.autocrlf", "input")
    git(tree, "config", "--global", "core.safecrlf", "true")
    (tree / "app").mkdir()
    (tree / "app" / "main.py").write_bytes(b"precious\r\n")


def a_name_that_git_refuses(tree: Path) -> None:
    git(tree, "config", "--global", "core.protectNTFS", "true")
    (tree / "app").mkdir()
    (tree / "app" / "git~1").write_text("precious")


@pytest.mark.parametrize("lay", [nested, nested_with_a_commit, line_ends, a_name_that_git_refuses])
def test_what_no_commit_can_hold_refuses_done_by_name_and_is_kept_while_the_rest_is_committed(
    lay: Callable[[Path], None], project: Path
) -> None:
    lay_out(project, 1)
    claim = take(project)
    lay(Path(claim.worktree))
    do(project, claim, beside_txt="beside")
    with pytest.raises(HypervisorError, match="app"):
        done(project, claim)
    assert states(project) == {"t0": "claimed"}
    report = end(project, claim)
    [place] = report["kept"]
    assert place.startswith(f".hypervisor/kept/{claim.token}/app") and "commit" in report
    found = [path for path in (project / ".hypervisor" / "kept").rglob("*") if path.is_file()]
    assert any(path.read_bytes().startswith(b"precious") for path in found)
    assert git(project, "show", f"{claim.branch}:beside.txt") == "beside"
    assert place in (project / "tasks" / "t0.md").read_text()
    assert support.trees(project) == []


@pytest.mark.parametrize("hidden", ["sparse", "assume-unchanged", "skip-worktree"])
def test_what_a_worker_has_hidden_from_git_is_committed_all_the_same(
    hidden: str, project: Path
) -> None:
    lay_out(project, 1)
    (project / "src").mkdir()
    (project / "src" / "a").write_text("a")
    (project / "src" / "b").write_text("b")
    commit_all(project)
    if hidden == "sparse":
        git(project, "sparse-checkout", "set", "tasks")
    claim = take(project)
    tree = Path(claim.worktree)
    if hidden == "sparse":
        assert not (tree / "src").exists()
        (tree / "src").mkdir()
    else:
        git(tree, "update-index", f"--{hidden}", "src/a")
    (tree / "src" / "a").write_text("changed")
    (tree / "src" / "new").write_text("new")
    assert done(project, claim) == "done"
    shown = {name: git(project, "show", f"{claim.branch}:src/{name}") for name in ("a", "b", "new")}
    assert shown == {"a": "changed", "b": "b", "new": "new"}


def edited(tree: Path) -> None:
    (tree / "vendor" / "l").write_text("precious")


def added(tree: Path) -> None:
    (tree / "vendor" / "new").write_text("precious")


def committed(tree: Path) -> None:
    edited(tree)
    commit_all(tree / "vendor")


def on_a_branch_of_its_own(tree: Path) -> None:
    git(tree / "vendor", "checkout", "--quiet", "-b", "aside")
    committed(tree)
    git(tree / "vendor", "checkout", "--quiet", "--detach", "HEAD~1")


def left_again(tree: Path) -> None:
    committed(tree)
    git(tree / "vendor", "checkout", "--quiet", "HEAD~1")


@pytest.mark.parametrize("change", [edited, added, committed, on_a_branch_of_its_own, left_again])
def test_what_only_a_submodule_holds_refuses_done_and_is_kept_as_a_repository(
    change: Callable[[Path], None], project: Path
) -> None:
    with_submodule(project)
    base = git(project, "rev-parse", "HEAD:vendor")
    claim = take(project)
    tree = Path(claim.worktree)
    git(tree, *FILE, "submodule", "--quiet", "update", "--init")
    change(tree)
    (tree / "beside.txt").write_text("beside")
    with pytest.raises(HypervisorError, match=r"^vendor: .* in a submodule"):
        done(project, claim)
    report = end(project, claim)
    [place] = report["kept"]
    assert place == f".hypervisor/kept/{claim.token}/vendor"
    inside = project / place
    git(inside, "fsck")
    told = git(inside, "log", "--all", "--reflog", "-p") + git(inside, "diff", "HEAD")
    assert "precious" in told + "".join(p.read_text() for p in inside.iterdir() if p.is_file())
    assert git(project, "rev-parse", f"{claim.branch}:vendor") == base
    assert git(project, "show", f"{claim.branch}:beside.txt") == "beside"


def test_a_submodule_whose_remote_has_its_new_commit_is_merged_and_can_be_cloned(
    project: Path,
) -> None:
    library = with_submodule(project)
    git(library, "config", "receive.denyCurrentBranch", "ignore")
    claim = take(project)
    tree = Path(claim.worktree)
    git(tree, *FILE, "submodule", "--quiet", "update", "--init")
    committed(tree)
    git(tree / "vendor", "commit", "--quiet", "--amend", "-m", "said better")
    git(tree / "vendor", "push", "--quiet", "origin", "HEAD:main")
    assert done(project, claim) == "done" and len(merge(project).merged) == 1
    git(project.parent, *FILE, "clone", "--quiet", "--recurse-submodules", str(project), "clone")
    assert (project.parent / "clone" / "vendor" / "l").read_text() == "precious"


@pytest.mark.parametrize("link", ["vendor", "app"])
def test_a_link_to_a_commit_that_has_gone_with_its_repository_is_not_told_as_done(
    link: str, project: Path
) -> None:
    with_submodule(project)
    claim = take(project)
    tree = Path(claim.worktree)
    if link == "vendor":
        git(tree, *FILE, "submodule", "--quiet", "update", "--init")
        committed(tree)
    else:
        nested_with_a_commit(tree)
    git(tree, "add", link)
    git(tree, "commit", "--quiet", "-m", "the worker's own")
    shutil.rmtree(tree / link)
    (tree / link).mkdir()
    with pytest.raises(HypervisorError, match=rf"^{link}: another commit of a submodule"):
        done(project, claim)
    end(project, claim)
    assert merge(project).merged == []


def test_files_in_a_submodule_that_was_never_filled_in_are_not_told_as_done(project: Path) -> None:
    with_submodule(project)
    claim = take(project)
    (Path(claim.worktree) / "vendor" / "new").write_text("precious")
    with pytest.raises(HypervisorError, match=r"^vendor: files in a submodule"):
        done(project, claim)
    [place] = end(project, claim)["kept"]
    assert (project / place / "new").read_text() == "precious"


@pytest.mark.parametrize("how", ["pruned", "without its .git"])
@pytest.mark.parametrize("over", ["blocked", "lost"])
def test_a_tree_that_is_none_to_git_any_more_is_kept_whole(
    how: str, over: str, project: Path
) -> None:
    lay_out(project, 1)
    claim = take(project)
    do(project, claim, w_txt="precious")
    if how == "pruned":
        away = project.parent / "away"
        os.rename(claim.worktree, away)
        git(project, "worktree", "prune")
        os.rename(away, claim.worktree)
    else:
        (Path(claim.worktree) / ".git").unlink()
    if over == "blocked":
        assert end(project, claim)["kept"] == [f".hypervisor/kept/{claim.token}"]
    else:
        lose(project)
    kept = project / ".hypervisor" / "kept" / claim.token
    assert (kept / "w.txt").read_text() == "precious" and support.trees(project) == []


def test_the_tree_of_a_lost_claim_is_saved_on_its_branch_before_it_is_cleared(
    project: Path,
) -> None:
    lay_out(project, 1)
    claim = take(project)
    do(project, claim, part_txt="precious")
    nested(Path(claim.worktree))
    lose(project)
    assert support.trees(project) == []
    assert git(project, "show", f"{claim.branch}:part.txt") == "precious"
    kept = project / ".hypervisor" / "kept" / claim.token / "app" / "main.py"
    assert kept.read_text() == "precious"
    # Whatever becomes of the item, and of the queue.
    support.work(project, a_txt="a")
    assert len(merge(project).merged) == 1
    assert support.branches(project) == [claim.branch] and kept.exists()
    with Ledger.open(str(project)) as ledger:
        from hypervisor.views import page
        from hypervisor.views.summary import summarize
        from hypervisor.views.summary_text import lines

        summary = summarize(ledger, "q")
        shown = page.render(ledger, "q")
    place = f".hypervisor/kept/{claim.token}"
    assert summary["workers"][0]["kept"] == [place]
    assert any(place in line for line in lines(summary, brief=True)) and place in shown


def test_a_tree_that_cannot_be_saved_stays(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(project, 1)
    claim = take(project)
    do(project, claim, part_txt="precious")
    for name in (
        "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL",
        "GIT_COMMITTER_NAME",
        "GIT_COMMITTER_EMAIL",
    ):
        monkeypatch.setenv(name, "")
    lose(project)
    assert (Path(claim.worktree) / "part.txt").read_text() == "precious"
    monkeypatch.undo()
    for name, value in support.WHO.items():
        monkeypatch.setenv(name, value)
    lose(project)
    assert git(project, "show", f"{claim.branch}:part.txt") == "precious"


def test_a_hook_that_refuses_commits_keeps_nothing_from_being_saved(project: Path) -> None:
    lay_out(project, 1)
    hook = project / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    git(project, "config", "hypervisor.hooks", "true")
    claim = take(project)
    do(project, claim, a_txt="a")
    with pytest.raises(HypervisorError):
        done(project, claim)
    end(project, claim)
    assert git(project, "show", f"{claim.branch}:a.txt") == "a"


def test_what_an_agent_left_in_the_tree_that_it_was_lent_is_saved(project: Path) -> None:
    from hypervisor.worker.branches import worktrees

    lay_out(project, 1)
    tree = Path(worktrees.lend(str(project), "claude-12345678-1"))
    claim = take(project, branch=False, here=str(tree))
    (tree / "part.txt").write_text("precious")
    support.let_expire(project)
    with Ledger.open(str(project)) as ledger:
        claim_tree.take_back(ledger, "claude-12345678-1")
    assert not tree.exists()
    assert git(project, "show", f"{claim.branch}:part.txt") == "precious"
    # And what it wrote without any item.
    tree = Path(worktrees.lend(str(project), "claude-12345678-2"))
    (tree / "note.txt").write_text("precious")
    with Ledger.open(str(project)) as ledger:
        claim_tree.take_back(ledger, "claude-12345678-2")
    kept = project / ".hypervisor" / "kept" / "claude-12345678-2" / "note.txt"
    assert kept.read_text() == "precious" and not tree.exists()


@pytest.mark.parametrize("shown", ["no", "normal", "all"])
def test_a_worktree_with_an_untracked_file_is_not_taken_whatever_git_shows(
    shown: str, project: Path
) -> None:
    lay_out(project, 1)
    git(project, "config", "status.showUntrackedFiles", shown)
    own = project.parent / "own"
    git(project, "worktree", "add", "--quiet", "-b", "mine", str(own))
    (own / "scratch.txt").write_text("private")
    with pytest.raises(HypervisorError, match="not committed"):
        take(project, branch=False, here=str(own))
    assert (own / "scratch.txt").read_text() == "private"
