"""What was accepted is merged, one by one; what does not fit is set aside."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError, NotOwner, UsageError
from hypervisor.system.git import GitError
from hypervisor.worker import retry
from hypervisor.worker.integrate import target
from worker.branches import support
from worker.branches.support import commit_all, do, done, git, lay_out, merge, rows, take, work
from worker.support import reports, states


def test_accepted_branches_are_merged_in_the_order_of_their_end(project: Path) -> None:
    lay_out(project, 3)
    first, second = take(project), take(project)
    work(project, c_txt="3\n")
    for claim, name in ((second, "b_txt"), (first, "a_txt")):
        do(project, claim, **{name: claim.id})
        done(project, claim)
    assert reports(project / "tasks" / "t0.md") == 0
    told = merge(project)
    assert [item for item, _ in told.merged] == ["t2", "t1", "t0"]
    assert [(project / name).read_text() for name in ("a.txt", "b.txt", "c.txt")] == [
        "t0", "t1", "3\n"
    ]  # fmt: skip
    subjects = git(project, "log", "--first-parent", "--format=%s").splitlines()
    assert subjects == ["Merge t0: Task t0", "Merge t1: Task t1", "Merge t2: Task t2", "first"]
    assert [reports(project / "tasks" / f"t{n}.md") for n in range(3)] == [1, 1, 1]
    assert support.branches(project) == [] and support.trees(project) == []
    row = rows(project)["t0"]
    assert row["merge"] == git(project, "rev-parse", "HEAD").strip()
    assert row["merged_at"] > 0 and row["pending"] is None
    assert support.report_of(row)["files"] == ["a.txt"]


def test_a_conflict_is_set_aside_as_blocked_with_the_files_named(project: Path) -> None:
    lay_out(project, 3)
    (project / "same.txt").write_text("0\n")
    commit_all(project)
    one, two, three = take(project), take(project), take(project)
    do(project, one, same_txt="1\n")
    do(project, two, same_txt="2\n", other_txt="2\n")
    do(project, three, three_txt="3\n")
    for claim in (one, two, three):
        done(project, claim)
    told = merge(project)
    assert [item for item, _ in told.merged] == ["t0", "t2"]
    assert told.aside == [("t1", "conflicts with main in same.txt")]
    assert states(project) == {"t0": "done", "t1": "blocked", "t2": "done"}
    assert (project / "same.txt").read_text() == "1\n" and not (project / "other.txt").exists()
    text = (project / "tasks" / "t1.md").read_text()
    assert "conflicts with main in same.txt" in text and "## Blocked" in text
    assert support.branches(project) == [two.branch]
    again = merge(project)
    assert again.merged == []
    assert again.aside == [("t1", f"set aside before, and {two.branch} is not merged yet")]


def test_what_was_set_aside_and_merged_by_hand_is_done_again(project: Path) -> None:
    lay_out(project, 2)
    one, two = take(project), take(project)
    for claim in (one, two):
        do(project, claim, same_txt=claim.id)
        done(project, claim)
    assert [item for item, _ in merge(project).aside] == ["t1"]
    git(project, "stash")
    git(project, "merge", "-X", "ours", "-m", "by hand", two.branch)
    git(project, "stash", "pop")
    assert [item for item, _ in merge(project).merged] == ["t1"]
    assert states(project)["t1"] == "done"
    assert "## Completion report" in (project / "tasks" / "t1.md").read_text()
    assert support.branches(project) == []


def test_what_fails_the_check_after_the_merge_is_set_aside_with_the_files_named(
    project: Path,
) -> None:
    check = 'test "$(cat a.txt b.txt 2>/dev/null | wc -l)" -lt 2 || { echo "two lines"; exit 3; }'
    lay_out(project, 2, verify=check)
    one, two = take(project), take(project)
    do(project, one, a_txt="1\n")
    do(project, two, b_txt="2\n")
    done(project, one)
    done(project, two)
    told = merge(project)
    assert [item for item, _ in told.merged] == ["t0"]
    [(item, why)] = told.aside
    assert item == "t1"
    assert why == (
        "merged into main it fails the queue's check (it ended with exit code 3); it changed "
        "b.txt; the end of its output: two lines"
    )
    assert not (project / "b.txt").exists()
    assert states(project)["t1"] == "blocked"


def test_a_check_that_removes_its_git_does_not_reach_the_checkout_around_it(
    project: Path,
) -> None:
    lay_out(project, 2, verify="git log -1 && rm -f .git")
    for name in ("a_txt", "b_txt"):
        work(project, **{name: "x"})
    (project / "mine.txt").write_text("mine")
    (project / "tasks" / "t0.md").write_text("mine")
    assert [item for item, _ in merge(project).merged] == ["t0", "t1"]
    assert (project / "mine.txt").read_text() == "mine"
    assert (project / "tasks" / "t0.md").read_text().startswith("mine")
    assert git(project, "branch", "--show-current") == "main\n"
    assert support.trees(project) == []


def test_a_branch_whose_claim_was_lost_is_never_merged(project: Path) -> None:
    lay_out(project, 1)
    late = take(project)
    do(project, late, late_txt="late\n")
    commit_all(late.worktree, "before the end")
    support.let_expire(project)
    again = work(project, good_txt="good\n")
    with pytest.raises(NotOwner):
        done(project, late)
    do(project, late, later_txt="later\n")
    commit_all(late.worktree, "after the end")
    told = merge(project)
    assert [item for item, _ in told.merged] == ["t0"]
    assert (project / "good.txt").exists()
    assert not (project / "late.txt").exists() and not (project / "later.txt").exists()
    assert "before the end" not in git(project, "log", "--format=%s", "main")
    assert again.branch != late.branch


def test_what_is_added_to_a_branch_after_its_acceptance_is_never_merged(project: Path) -> None:
    lay_out(project, 1)
    claim = work(project, a_txt="a\n")
    tree = project.parent / "theirs"
    git(project, "worktree", "add", str(tree), claim.branch)
    (tree / "b.txt").write_text("b\n")
    commit_all(tree)
    merge(project)
    assert (project / "a.txt").exists() and not (project / "b.txt").exists()


def test_a_blocked_item_is_not_merged_and_what_it_left_stays_on_its_branch(project: Path) -> None:
    lay_out(project, 1)
    claim = take(project)
    do(project, claim, half_txt="half\n")
    with Ledger.open(str(project)) as ledger:
        worker.finish(ledger, claim.token, "blocked", {"reason": "stuck"})
    assert merge(project).merged == []
    assert support.branches(project) == [claim.branch] and support.trees(project) == []
    assert git(project, "show", f"{claim.branch}:half.txt") == "half\n"
    assert not (project / "half.txt").exists()


def test_work_that_is_not_committed_stays_as_it_is(project: Path) -> None:
    lay_out(project, 2)
    for name in ("mine.txt", "staged.txt", "base.txt"):
        (project / name).write_text("0\n")
    commit_all(project)
    work(project, a_txt="a\n")
    (project / "mine.txt").write_text("mine\n")
    (project / "untracked.txt").write_text("new\n")
    (project / "staged.txt").write_text("staged\n")
    git(project, "add", "staged.txt")
    (project / "base.txt").unlink()
    before = git(project, "status", "--porcelain", "mine.txt", "staged.txt", "base.txt")
    assert [item for item, _ in merge(project).merged] == ["t0"]
    assert (project / "a.txt").exists()
    after = git(project, "status", "--porcelain", "mine.txt", "staged.txt", "base.txt")
    assert before == after == " D base.txt\n M mine.txt\nM  staged.txt\n"
    assert (project / "untracked.txt").read_text() == "new\n"
    assert git(project, "stash", "list") == ""


def test_what_stands_in_the_way_is_named_and_left_until_it_is_gone(project: Path) -> None:
    lay_out(project, 2)
    (project / "same.txt").write_text("0\n")
    commit_all(project)
    one, two = take(project), take(project)
    do(project, one, same_txt="1\n")
    do(project, two, other_txt="2\n")
    done(project, one)
    done(project, two)
    (project / "same.txt").write_text("mine\n")
    told = merge(project)
    [(item, why)] = told.left
    assert item == "t0" and "same.txt" in why and "commit or stash that" in why
    assert [item for item, _ in told.merged] == ["t1"]
    assert (project / "same.txt").read_text() == "mine\n"
    assert states(project)["t0"] == "done" and rows(project)["t0"]["merge"] is None
    git(project, "checkout", "same.txt")
    assert [item for item, _ in merge(project).merged] == ["t0"]
    assert (project / "same.txt").read_text() == "1\n"


def test_a_file_that_git_does_not_know_is_named_in_one_line_and_moved_away(project: Path) -> None:
    lay_out(project, 1)
    one = take(project)
    do(project, one, new_txt="1\n")
    done(project, one)
    (project / "new.txt").write_text("mine\n")
    [(_, why)] = merge(project).left
    assert "by merge: new.txt" in why and "\\u000a" not in why
    assert "stash" not in why and "move them away" in why


def test_a_lock_that_a_dead_git_left_is_named_once_with_what_removes_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "_PATIENCE", 0.2)
    lay_out(project, 2)
    for _ in range(2):
        work(project, a_txt="a\n")
    lock = project / ".git/index.lock"
    lock.touch()
    with pytest.raises(GitError, match=r"index.lock is there: another git is at work") as told:
        merge(project)
    mend = str(told.value).partition("once none runs there: ")[2]
    subprocess.run(["sh", "-c", mend], check=True)
    assert not lock.exists()
    assert len(merge(project).merged) == 2


def test_what_was_set_aside_is_named_until_it_is_merged_or_done_anew(project: Path) -> None:
    lay_out(project, 3)
    (project / "same.txt").write_text("0\n")
    commit_all(project)
    held = [take(project) for _ in range(3)]
    for number, claim in enumerate(held):
        do(project, claim, same_txt=f"{number + 1}\n")
        done(project, claim)
    assert [item for item, _ in merge(project).aside] == ["t1", "t2"]
    assert [item for item, _ in merge(project).aside] == ["t1", "t2"], "nothing has changed"
    told = rows(project)["t1"]["merge"]
    assert f"branch {held[1].branch}: merge that by hand" in told
    assert "hypervisor integrate q again; or, to have it redone: hypervisor retry q t1" in told
    git(project, "merge", "-q", "-X", "theirs", held[1].branch)
    told = merge(project)
    assert [item for item, _ in told.merged] == ["t1"]
    assert [item for item, _ in told.aside] == ["t2"]
    with Ledger.open(str(project)) as ledger:
        assert retry.retry(ledger, "q", ["t2"], []).left == []
    assert merge(project).aside == []
    work(project, same_txt="4\n")
    assert [item for item, _ in merge(project).merged] == ["t2"]


def test_a_branch_that_is_not_checked_out_is_moved_without_touching_any_file(
    project: Path,
) -> None:
    lay_out(project, 1)
    git(project, "branch", "next")
    work(project, a_txt="a\n")
    (project / "tasks" / "t0.md").write_text("mine")
    before = git(project, "status", "--porcelain")
    assert [item for item, _ in merge(project, "next").merged] == ["t0"]
    assert git(project, "status", "--porcelain") == before
    assert git(project, "show", "next:a.txt") == "a\n"
    assert git(project, "log", "--format=%s", "main") == "first\n"


@pytest.mark.parametrize("way", ["in memory", "in a working tree"])
def test_a_branch_that_moves_meanwhile_is_merged_with_wherever_it_is_checked_out(
    project: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    from hypervisor.worker.integrate.memory import Memory
    from hypervisor.worker.integrate.workshop import Workshop

    merger = Memory if way == "in memory" else Workshop
    if merger is Workshop:
        monkeypatch.setattr(Memory, "merge", lambda *_: None)
    lay_out(project, 2)
    git(project, "branch", "next")
    other = project.parent / "other"
    git(project, "worktree", "add", "--quiet", "--detach", str(other))
    for name in ("a_txt", "b_txt"):
        work(project, **{name: "x"})
    merging, moved = merger.merge, []

    def late(*args: str) -> str:
        told = merging(*args)  # type: ignore[arg-type]
        if len(moved) in (0, 2):
            git(other, "reset", "--quiet", "--hard", "next")
            (other / f"theirs-{len(moved)}.txt").write_text("x")
            git(project, "update-ref", "refs/heads/next", commit_all(other))
        moved.append(told)
        return told

    monkeypatch.setattr(merger, "merge", late)
    assert [item for item, _ in merge(project, "next").merged] == ["t0", "t1"]
    names = git(project, "ls-tree", "--name-only", "next").split()
    assert {"a.txt", "b.txt", "theirs-0.txt", "theirs-2.txt"} <= set(names)
    assert len(moved) == (6 if way == "in memory" else 4)


def test_what_needs_no_working_tree_is_merged_without_one_and_the_branch_moves_once(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypervisor.worker.integrate.target import Target
    from hypervisor.worker.integrate.workshop import Workshop

    lay_out(project, 3)
    for name in ("a_txt", "b_txt", "c_txt"):
        work(project, **{name: "x"})
    moves, advance = [], Target.advance
    monkeypatch.setattr(Workshop, "__enter__", lambda self: pytest.fail("a working tree"))
    monkeypatch.setattr(Target, "advance", lambda *told: moves.append(told) or advance(*told))
    assert [item for item, _ in merge(project).merged] == ["t0", "t1", "t2"]
    assert len(moves) == 1
    assert {"a.txt", "b.txt", "c.txt"} <= set(git(project, "ls-files").split())
    subjects = git(project, "log", "--merges", "--format=%B", "main")
    assert subjects.count("Hypervisor-Claim: ") == 3


def test_each_merge_takes_two_starts_of_git_and_what_one_has_brought_is_merged_once(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypervisor.system.git import Git

    started, run = [], Git.run
    monkeypatch.setattr(Git, "run", lambda git, *w, **o: started.append(w[0]) or run(git, *w, **o))

    def starts(names: list[str]) -> int:
        for name in names:
            work(project, **{name: "x"})
        started.clear()
        assert len(merge(project).merged) == len(names)
        return len(started)

    lay_out(project, 12)
    few, many = starts(["a_txt", "b_txt"]), starts(["c_txt", "d_txt", "e_txt", "h_txt"])
    assert many == few + 4
    inner, outer = take(project), take(project)
    do(project, inner, f_txt="x")
    done(project, inner)
    git(outer.worktree, "merge", "--quiet", "--no-edit", inner.branch)
    do(project, outer, g_txt="x")
    done(project, outer)
    with Ledger.open(str(project)) as ledger, ledger.store.write():
        ledger.store.change("update item set finish_no = -finish_no where id = ?", (outer.id,))
    assert [item for item, _ in merge(project).merged] == [outer.id, inner.id]
    subjects = git(project, "log", "--first-parent", "--format=%s").splitlines()
    assert f"Merge {outer.id}: Task {outer.id}" == subjects[0]
    assert not [line for line in subjects if line.startswith(f"Merge {inner.id}:")]


def test_locks_that_killed_gits_have_left_on_branches_keep_none_of_them(project: Path) -> None:
    lay_out(project, 2)
    claims = [work(project, **{name: "x"}) for name in ("a_txt", "b_txt")]
    locks = [project / ".git" / "refs" / "heads" / f"{claim.branch}.lock" for claim in claims]
    for lock in locks:
        lock.touch()
    os.utime(locks[0], (1, 1))
    assert len(merge(project).merged) == 2
    assert support.branches(project) == []


def test_a_branch_that_grew_since_its_acceptance_is_kept_when_it_is_merged(project: Path) -> None:
    lay_out(project, 1)
    claim = work(project, a_txt="a\n")
    support.add_commit(project, claim.branch)
    assert len(merge(project).merged) == 1
    assert support.branches(project) == [claim.branch]


@pytest.mark.parametrize("driven", ["in the settings", "in the tree"])
def test_what_a_merge_driver_may_have_a_say_in_is_merged_in_a_working_tree(
    project: Path, monkeypatch: pytest.MonkeyPatch, driven: str
) -> None:
    from hypervisor.worker.integrate.workshop import Workshop

    lay_out(project, 1)
    if driven == "in the settings":
        git(project, "config", "merge.mine.driver", "true")
    else:
        (project / ".gitattributes").write_text("*.log merge=union\n")
        commit_all(project)
    work(project, a_txt="x")
    begun, enter = [], Workshop.__enter__
    monkeypatch.setattr(Workshop, "__enter__", lambda self: begun.append(1) or enter(self))
    assert [item for item, _ in merge(project).merged] == ["t0"]
    assert begun


def test_the_report_waits_until_this_checkout_holds_the_work(project: Path) -> None:
    lay_out(project, 1)
    git(project, "branch", "next")
    work(project, a_txt="a\n")
    merge(project, "next")
    assert reports(project / "tasks" / "t0.md") == 0
    assert "is not in this checkout" in rows(project)["t0"]["pending"]
    git(project, "merge", "--quiet", "next")
    with Ledger.open(str(project)) as ledger:
        worker.take(ledger, "q", "w")
    assert reports(project / "tasks" / "t0.md") == 1


def test_a_branch_checked_out_in_another_worktree_moves_there(project: Path) -> None:
    lay_out(project, 1)
    other = project.parent / "other tree"
    git(project, "worktree", "add", "--quiet", "-b", "next", str(other))
    work(project, a_txt="a\n")
    merge(project, "next")
    assert (other / "a.txt").read_text() == "a\n"
    assert git(other, "status", "--porcelain") == ""


def test_a_branch_in_the_middle_of_a_rebase_is_left(project: Path) -> None:
    lay_out(project, 1)
    (project / "x").write_text("1")
    commit_all(project)
    git(project, "checkout", "--quiet", "-b", "side", "HEAD~1")
    (project / "x").write_text("2")
    commit_all(project)
    git(project, "checkout", "--quiet", "main")
    work(project, a_txt="a\n")
    with pytest.raises(AssertionError):
        git(project, "rebase", "side")
    assert "is being rebased" in merge(project, "main").left[0][1]
    git(project, "rebase", "--abort")
    assert len(merge(project).merged) == 1


def test_without_a_branch_to_integrate_into_it_says_so(project: Path) -> None:
    lay_out(project, 1)
    git(project, "checkout", "--quiet", "--detach")
    with pytest.raises(UsageError, match="--into BRANCH"):
        merge(project)
    for name in ("nowhere", "-x", "a..b", ""):
        with pytest.raises(UsageError):
            merge(project, name)


def test_two_integrators_of_a_project_are_never_at_work_at_once(project: Path) -> None:
    from hypervisor.worker.integrate.integrate import _alone

    lay_out(project, 1)
    with Ledger.open(str(project)) as ledger, _alone(ledger):
        with pytest.raises(HypervisorError, match="is at work here; run it again"):
            merge(project)
        assert ledger.branches.lead_merges("elsewhere:/x", 60) is not None
    with Ledger.open(str(project)) as ledger:
        assert ledger.branches.lead_merges("elsewhere:/x", 60) is None
        with pytest.raises(HypervisorError, match=r"is at work on elsewhere:/x"):
            merge(project)
        assert ledger.branches.lead_merges("elsewhere:/x", -1) is None
    assert merge(project).merged == []


def test_the_command_says_what_became_of_each(project: Path, run_hypervisor) -> None:  # type: ignore[no-untyped-def]
    lay_out(project, 2)
    one, two = take(project), take(project)
    for claim in (one, two):
        do(project, claim, same_txt=claim.id)
        done(project, claim)
    ran = run_hypervisor("integrate", "q")
    assert ran.returncode == 1, ran.stderr
    assert ran.stdout.splitlines() == [
        "t0: merged into main",
        "t1: set aside: conflicts with main in same.txt",
        "main: 1 merged, 1 set aside, 0 left",
        "next: hypervisor show t1",
    ]
    again = run_hypervisor("integrate", "q", "--json")
    assert again.returncode == 1 and '"merged": []' in again.stdout
    assert run_hypervisor("integrate", "nowhere").returncode == 2
