"""Several workers on one repository at once, and clones on several machines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError
from hypervisor.system.git import Git
from hypervisor.system.state import State
from hypervisor.worker.branches import worktrees
from hypervisor.worker.integrate.target import Target
from ledger.support import Child
from repository import REPO
from worker.branches import support
from worker.branches.support import commit_all, do, done, git, lay_out, merge, rows, take, work
from worker.support import open_queue, reports, states, write_task

SRC = REPO / "src"
# A worker as somebody would script it: in its tree, with git's own commits now and then.
SCRIPT = """
hypervisor() { "$PYTHON" -m hypervisor "$@"; }
while out=$(hypervisor next q --branch --json) && [ "${out#*'"claims": []'}" = "$out" ]; do
    set -- $(printf %s "$out" | "$PYTHON" -c '
import json, sys
claim = json.load(sys.stdin)["claims"][0]
print(claim["token"], claim["id"], claim["worktree"])')
    echo "$2 by $WORKER" >"$3/$2.txt"
    case $2 in *[02468]) git -C "$3" add -A && git -C "$3" commit -qm "half of $2" ;; esac
    echo "more" >>"$3/$2.txt"
    hypervisor done "$1" --summary "did $2" || exit 1
done
"""


def test_eight_workers_on_one_repository_lose_no_accepted_work(
    project: Path, thorough: bool
) -> None:
    count = 32 if thorough else 16
    lay_out(project, count)
    (project / "mine.txt").write_text("mine\n")
    environment = os.environ | {"PYTHONPATH": str(SRC), "PYTHON": sys.executable}
    workers = [
        subprocess.Popen(
            ["sh", "-c", SCRIPT],
            cwd=project,
            env=environment | {"WORKER": str(number)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    for worker in workers:
        said = worker.communicate()[1]
        assert worker.returncode == 0, said
    assert set(states(project).values()) == {"done"}
    assert git(project, "status", "--porcelain") == "?? mine.txt\n"
    told = merge(project)
    assert (len(told.merged), told.aside, told.left) == (count, [], [])
    for number in range(count):
        assert (project / f"t{number}.txt").read_text().endswith("more\n")
        assert reports(project / "tasks" / f"t{number}.md") == 1
    assert support.branches(project) == [] and support.trees(project) == []
    assert len(set(git(project, "log", "--format=%H", "--merges").splitlines())) == count


def test_eight_processes_make_and_remove_trees_at_once(project: Path) -> None:
    lay_out(project, 1)

    def make(number: int) -> int:
        for time in range(6):
            token = f"{number}{time}-abcd"
            tree = worktrees.make(Git(str(project)), f"i{number}", token)
            assert os.path.exists(f"{tree.top}/tasks/t0.md")
            worktrees.discard(str(project), tree.top)
        return number

    children = [Child(make, number) for number in range(8)]
    assert [child.result() for child in children] == list(range(8))
    assert git(project, "worktree", "list").count("\n") == 1
    assert not [name for name in os.listdir(project / ".git") if name.startswith("hypervisor")]


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two clones of one repository that share one ledger, as two machines share a server.

    Their folder of state is one, which nothing but the ledger and the locks is made use of.
    """
    from hypervisor.config.roots import create_state

    base = tmp_path.resolve()
    git(base, "init", "--quiet", "--bare", "-b", "main", "hub.git")
    one, two = base / "one", base / "two"
    git(base, "clone", "--quiet", "hub.git", "one")
    git(one, "checkout", "--quiet", "-b", "main")
    create_state(str(one))
    for number in range(4):
        write_task(one, f"t{number}")
    commit_all(one, "first")
    git(one, "push", "--quiet", "origin", "main")
    git(base, "clone", "--quiet", "hub.git", "two")
    (two / ".hypervisor").symlink_to(str(one / ".hypervisor"))
    find = State.find

    def shared(root: str) -> State | None:
        found = find(str(one) if root == str(two) else root)
        if found is not None:
            found.root = root
        return found

    monkeypatch.setattr(State, "find", shared)
    (two / ".git" / "info" / "exclude").write_text(".hypervisor\n")
    open_queue(one)
    for root in (one, two):
        git(root, "config", "hypervisor.remote", "origin")
    return one, two


def test_what_another_machine_did_is_merged_and_reported_where_its_clone_holds_it(
    hosts: tuple[Path, Path],
) -> None:
    one, two = hosts
    for root, name in ((one, "a_txt"), (two, "b_txt")):
        claim = take(root)
        do(root, claim, **{name: claim.id})
        done(root, claim)
    assert reports(one / "tasks" / "t0.md") == reports(two / "tasks" / "t1.md") == 0
    told = merge(one)
    assert [item for item, _ in told.merged] == ["t0", "t1"]
    assert (one / "a.txt").exists() and (one / "b.txt").exists()
    assert [reports(one / "tasks" / f"t{n}.md") for n in (0, 1)] == [1, 1]
    assert git(one.parent / "hub.git", "rev-parse", "main") == git(one, "rev-parse", "main")
    # The next claim there begins with all that was merged here.
    claim = take(two)
    assert (Path(claim.worktree) / "a.txt").exists()
    do(two, claim, c_txt="c")
    done(two, claim)
    git(two, "pull", "--quiet")
    told = merge(two)
    assert [item for item, _ in told.merged] == ["t2"]
    assert (two / "c.txt").exists() and reports(two / "tasks" / "t2.md") == 1
    assert reports(one / "tasks" / "t2.md") == 0


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("left", [0, 1])
def test_what_was_merged_elsewhere_goes_in_the_clone_of_its_worker_too(
    hosts: tuple[Path, Path], packed: bool, left: int
) -> None:
    one, two = hosts
    merged, grown, late = take(two), take(two), take(two)
    do(two, merged, a_txt="a")
    do(two, grown, b_txt="b")
    for claim in (merged, grown):
        done(two, claim)
    support.add_commit(two, grown.branch)
    if packed:
        git(two, "pack-refs", "--all")
    assert refs(two) == {
        f"refs/{place}/{claim.branch}"
        for place, claims in (("heads", (merged, grown, late)), ("remotes/origin", (merged, grown)))
        for claim in claims
    }
    if left == 0:
        take(two)
    assert len(merge(one).merged) == 2
    assert f"refs/heads/{merged.branch}" in refs(two)
    assert (take(two) is None) == (left == 0)
    names = {name for name in refs(two) if merged.branch in name or grown.branch in name}
    # Somebody has added to it what nobody has merged.
    assert names == {f"refs/heads/{grown.branch}"}
    assert f"refs/heads/{late.branch}" in refs(two) and Path(late.worktree).is_dir()


def refs(root: Path) -> set[str]:
    """All refs of claims' branches that a clone knows."""
    told = git(root, "for-each-ref", "--format=%(refname)")
    return {name for name in told.split() if "/hypervisor/" in name}


def test_where_nothing_was_merged_no_git_is_asked_what_may_go(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(project, 3)
    work(project, a_txt="a")
    monkeypatch.setattr(worktrees, "our_refs", lambda git: pytest.fail("asked"))
    assert take(project) is not None


def test_a_commit_that_is_not_in_this_clone_is_left_and_named(hosts: tuple[Path, Path]) -> None:
    one, two = hosts
    git(two, "config", "--unset", "hypervisor.remote")
    claim = take(two)
    do(two, claim, a_txt="a")
    done(two, claim)
    [(item, why)] = merge(one).left
    assert item == "t0" and "is not in this clone" in why
    assert states(one)["t0"] == "done" and rows(one)["t0"]["merge"] is None
    git(two, "push", "--quiet", "origin", claim.branch)
    assert [item for item, _ in merge(one).merged] == ["t0"]


def test_a_push_that_is_refused_keeps_the_claim(hosts: tuple[Path, Path]) -> None:
    one, _ = hosts
    claim = take(one)
    do(one, claim, a_txt="a")
    hub, gone = one.parent / "hub.git", one.parent / "gone.git"
    hub.rename(gone)
    with pytest.raises(HypervisorError, match=r"git push: .*run done again"):
        done(one, claim)
    assert states(one)["t0"] == "claimed"
    gone.rename(hub)
    assert done(one, claim) == "done"


def test_a_remote_that_moves_meanwhile_is_merged_with(hosts: tuple[Path, Path]) -> None:
    from hypervisor.worker.integrate.memory import Memory

    one, two = hosts
    claim = take(one)
    do(one, claim, a_txt="a")
    done(one, claim)
    merging, pushed = Memory.merge, []

    def late(*args: str) -> str:
        told = merging(*args)  # type: ignore[arg-type]
        if not pushed:
            (two / "theirs.txt").write_text("x")
            pushed.append(commit_all(two))
            git(two, "push", "--quiet", "origin", "main")
        return told

    Memory.merge = late  # type: ignore[method-assign, assignment]
    try:
        assert [item for item, _ in merge(one).merged] == ["t0"]
    finally:
        Memory.merge = merging  # type: ignore[method-assign]
    assert (one / "a.txt").exists() and (one / "theirs.txt").exists()
    git(two, "pull", "--quiet")
    assert (two / "a.txt").exists()


def on_the_remote(one: Path) -> set[str]:
    return set(support.branches(one.parent / "hub.git"))


def test_of_the_branches_on_the_remote_those_go_that_were_accepted_and_merged(
    hosts: tuple[Path, Path],
) -> None:
    one, two = hosts
    late, conflicts, added, good = (take(root) for root in (two, one, two, one))
    for claim in (late, conflicts, added, good):
        do(two if claim in (late, added) else one, claim, **{f"{claim.id}_txt": claim.id})
    # A worker whose claim was lost has pushed before it heard of that.
    commit_all(late.worktree)
    git(late.worktree, "push", "--quiet", "origin", late.branch)
    do(one, conflicts, same_txt="1")
    do(one, good, same_txt="2")
    for root, claim in ((one, good), (one, conflicts), (two, added)):
        assert done(root, claim) == "done"
    with Ledger.open(str(one)) as ledger:
        ledger.ends.release(late.token)
    # Somebody goes on where an accepted branch ends.
    git(two, "checkout", "--quiet", "-b", "theirs", added.branch)
    (two / "more.txt").write_text("more")
    commit_all(two)
    git(two, "push", "--quiet", "origin", f"theirs:{added.branch}")
    told = merge(one)
    assert [item for item, _ in told.merged] == [good.id, added.id]
    assert [item for item, _ in told.aside] == [conflicts.id]
    assert on_the_remote(one) == {late.branch, conflicts.branch, added.branch}
    assert git(two, "ls-remote", "origin", f"refs/heads/{added.branch}").startswith(
        git(two, "rev-parse", "theirs").strip()
    )


def test_a_branch_that_grows_on_the_remote_after_the_fetch_stays_there(
    hosts: tuple[Path, Path],
) -> None:
    one, two = hosts
    claims = [take(one), take(one)]
    for claim in claims:
        do(one, claim, **{f"{claim.id}_txt": "x"})
        done(one, claim)
    target = Target(Git(str(one)), None)
    target.fetch()
    git(two, "fetch", "--quiet", "origin", claims[0].branch)
    git(two, "checkout", "--quiet", "-b", "theirs", "FETCH_HEAD")
    git(two, "commit", "--quiet", "--allow-empty", "-m", "more")
    accepted = {row["branch"]: support.report_of(row)["commit"] for row in rows(one).values()
                if row["branch"]}  # fmt: skip
    target.forget(accepted)
    assert on_the_remote(one) == {claim.branch for claim in claims}
    for claim in claims:
        git(one, "merge", "--quiet", "--no-edit", claim.branch)
    target.forget(accepted)
    assert on_the_remote(one) == {claim.branch for claim in claims}
    git(one, "push", "--quiet", "origin", "main")
    git(two, "push", "--quiet", "origin", f"theirs:{claims[0].branch}")
    target.forget(accepted)
    assert on_the_remote(one) == {claims[0].branch}


def test_a_remote_that_lets_no_branch_be_deleted_keeps_them(hosts: tuple[Path, Path]) -> None:
    one, _ = hosts
    git(one.parent / "hub.git", "config", "receive.denyDeletes", "true")
    claim = take(one)
    do(one, claim, a_txt="a")
    done(one, claim)
    told = merge(one)
    assert ([item for item, _ in told.merged], told.warnings) == (["t0"], [])
    assert on_the_remote(one) == {claim.branch}


def test_commits_that_the_remote_lacks_are_not_published_unasked(
    hosts: tuple[Path, Path],
) -> None:
    one, _ = hosts
    claim = take(one)
    do(one, claim, a_txt="a")
    done(one, claim)
    (one / "mine.txt").write_text("not yet")
    commit_all(one)
    with pytest.raises(HypervisorError, match="git push origin main"):
        merge(one)
    git(one, "push", "--quiet", "origin", "main")
    assert len(merge(one).merged) == 1


def test_a_checkout_with_changes_in_the_way_stays_and_the_remote_goes_on(
    hosts: tuple[Path, Path],
) -> None:
    one, _ = hosts
    claim = take(one)
    (Path(claim.worktree) / "tasks" / "t3.md").write_text("new\n")
    done(one, claim)
    (one / "tasks" / "t3.md").write_text("mine\n")
    told = merge(one)
    assert [item for item, _ in told.merged] == ["t0"]
    assert "is behind origin" in told.warnings[0]
    assert (one / "tasks" / "t3.md").read_text() == "mine\n"
    assert reports(one / "tasks" / "t0.md") == 0
    assert "is not in this checkout" in rows(one)["t0"]["pending"]
