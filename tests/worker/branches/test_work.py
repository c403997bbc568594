"""Each claim works on a branch of its own, in a working tree of its own."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor import worker
from hypervisor.config.roots import find_root
from hypervisor.ledger import Ledger
from hypervisor.system.checkout import head
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.worker import Refused
from hypervisor.worker.branches import claim_tree
from hypervisor.worker.branches.worktrees import branch_name
from worker.branches import support
from worker.branches.support import commit_all, do, done, git, lay_out, merge, rows, take, work
from worker.support import open_queue, reports, states, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_claim_works_in_a_tree_of_its_own_and_done_commits_what_is_there(project: Path) -> None:
    lay_out(project, 2)
    claim = take(project)
    assert claim.branch == f"hypervisor/t0/{claim.token}"
    assert claim.base_commit == git(project, "rev-parse", "main").strip()
    assert find_root(claim.worktree) == str(project)
    do(project, claim, new_txt="new\n")
    (Path(claim.worktree) / "tasks" / "t1.md").unlink()
    assert done(project, claim, "wrote new.txt") == "done"
    assert git(project, "status", "--porcelain") == ""
    report = support.report_of(rows(project)["t0"])
    assert report["files"] == ["new.txt", "tasks/t1.md"] and report["branch"] == claim.branch
    told = git(project, "log", "-1", "--format=%H%n%P%n%B", claim.branch).split("\n")
    assert told[:2] == [report["commit"], claim.base_commit]
    assert told[2:7] == [
        "t0: Task t0", "", "wrote new.txt", "", f"Hypervisor-Claim: {claim.token}"
    ]  # fmt: skip
    assert support.trees(project) == []


def test_the_commands_hand_out_the_tree_and_go_on_with_the_next(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 2)
    told = run_hypervisor("next", "q", "--branch")
    assert told.returncode == 0, told.stderr
    lines = dict(line.split(": ", 1) for line in told.stdout.splitlines() if ": " in line)
    token = told.stdout.split()[1]
    tree = lines["work in"].removesuffix(" (go there; nowhere else)")
    assert tree == str(project / ".hypervisor" / "worktrees" / token)
    assert lines["file"] == f"{tree}/tasks/t0.md"
    assert f"on branch hypervisor/t0/{token}, from commit {head(str(project))[:12]}" in told.stdout  # type: ignore[index]
    (Path(tree) / "a.txt").write_text("a")
    told = run_hypervisor("done", token, "--summary", "x", "--next", "--json", cwd=Path(tree))
    assert told.returncode == 0, told.stderr
    [claim] = json.loads(told.stdout)["claims"]
    assert claim["id"] == "t1" and claim["branch"] == f"hypervisor/t1/{claim['token']}"
    assert claim["base_commit"] == head(str(project)) and os.path.isdir(claim["worktree"])
    # The caller stood in the tree of the ended claim: it goes when nobody stands there.
    assert support.trees(project) == sorted([token, claim["token"]])
    assert run_hypervisor("integrate", "q").returncode == 0
    assert support.trees(project) == [claim["token"]]
    assert (project / "a.txt").exists()


def test_every_claim_says_at_which_commit_the_task_stood(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 2)
    first = head(str(project))
    [claim] = json.loads(run_hypervisor("next", "q", "--json").stdout)["claims"]
    assert (claim["base_commit"], claim["branch"], claim["worktree"]) == (first, None, None)
    assert rows(project)["t0"]["base_commit"] == first
    git(project, "commit", "--quiet", "--allow-empty", "-m", "x")
    git(project, "pack-refs", "--all")
    [claim] = json.loads(run_hypervisor("next", "q", "--json").stdout)["claims"]
    assert claim["base_commit"] == git(project, "rev-parse", "HEAD").strip() != first


def test_the_commit_is_read_as_git_reads_it(tmp_path: Path) -> None:
    top = tmp_path.resolve()
    assert head(str(top)) is None
    git(top, "init", "--quiet", "-b", "main")
    assert head(str(top)) is None
    (top / "sub").mkdir()
    (top / "sub" / "x").touch()
    commit = commit_all(top)
    git(top, "worktree", "add", "--quiet", "-b", "a/b", str(top / "linked"))
    for packed in (False, True):
        if packed:
            git(top, "pack-refs", "--all")
        for folder in (top, top / "sub", top / "linked", top / "linked" / "sub"):
            assert head(str(folder)) == commit
    git(top, "checkout", "--quiet", "--detach")
    assert head(str(top)) == commit
    (top / ".git" / "HEAD").write_bytes(b"\xff\0 odd")
    assert head(str(top)) is None


def test_the_check_runs_in_the_tree_of_the_claim(project: Path) -> None:
    lay_out(project, 1, verify='test -f made.txt || { echo "no made.txt in $PWD"; exit 1; }')
    (project / "made.txt").touch()
    claim = take(project)
    with pytest.raises(Refused, match=rf"no made.txt in {claim.worktree}"):
        done(project, claim)
    assert states(project) == {"t0": "claimed"}
    do(project, claim, made_txt="x")
    assert done(project, claim) == "done"
    assert support.report_of(rows(project)["t0"])["verify"]


def test_checks_in_different_trees_run_at_once(project: Path) -> None:
    meet = project.parent / "meet"
    meet.mkdir()
    check = (
        f'touch "{meet}/$HYPERVISOR_ID"; for i in $(seq 200); do '
        f'[ -e "{meet}/t0" ] && [ -e "{meet}/t1" ] && exit 0; sleep 0.05; done; exit 1'
    )
    lay_out(project, 2, verify=check)
    claims = [take(project), take(project)]
    ended: list[str] = []
    threads = [
        threading.Thread(target=lambda c=c: ended.append(support.done_in_child(project, c)))  # type: ignore[misc]
        for c in claims
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == ["done", "done"]


def test_a_scope_holds_for_what_the_branch_has_changed(project: Path) -> None:
    git(project, "init", "--quiet", "-b", "main")
    write_task(project, "t0", body="# T\n\nChange only `a.txt`.\n")
    commit_all(project)
    open_queue(project, scope="named")
    claim = take(project)
    do(project, claim, a_txt="a", b_txt="b")
    path = Path(claim.file)
    path.write_text(path.read_text() + "and `b.txt`\n")
    with pytest.raises(Refused, match=r"not named by the task: b\.txt;"):
        done(project, claim)
    (Path(claim.worktree) / "b.txt").unlink()
    (project / "mine.txt").write_text("a user's own work, meanwhile")
    assert done(project, claim) == "done"
    assert support.report_of(rows(project)["t0"])["files"] == ["a.txt", "tasks/t0.md"]


def test_boxes_count_where_the_worker_ticks_them(project: Path) -> None:
    git(project, "init", "--quiet", "-b", "main")
    write_task(project, "t0", body="# T\n\n- [ ] it works\n")
    commit_all(project)
    open_queue(project)
    claim = take(project)
    with pytest.raises(Refused, match="it works"):
        done(project, claim)
    path = Path(claim.file)
    assert path == Path(claim.worktree) / "tasks" / "t0.md"
    path.write_text(path.read_text().replace("[ ]", "[x]"))
    assert done(project, claim) == "done"
    assert [item for item, _ in merge(project).merged] == ["t0"]
    text = (project / "tasks" / "t0.md").read_text()
    assert "- [x] it works" in text and "status: done" in text
    assert reports(project / "tasks" / "t0.md") == 1


def test_a_task_that_git_does_not_hold_is_named_at_the_root(project: Path) -> None:
    git(project, "init", "--quiet", "-b", "main")
    git(project, "commit", "--quiet", "--allow-empty", "-m", "first")
    (project / ".git" / "info" / "exclude").write_text("tasks/\n")
    path = write_task(project, "t0", body="- [ ] box\n")
    open_queue(project)
    claim = take(project)
    assert claim.file == str(path)
    with pytest.raises(Refused, match="box"):
        done(project, claim)
    path.write_text(path.read_text().replace("[ ]", "[x]"))
    do(project, claim, a_txt="a")
    done(project, claim)
    merge(project)
    assert reports(path) == 1 and (project / "a.txt").exists()


def test_what_changed_nothing_needs_no_merge(project: Path) -> None:
    git(project, "init", "--quiet", "-b", "main")
    write_task(project, "t0")
    write_task(project, "t1", extra="depends_on: [t0]\n")
    commit_all(project)
    open_queue(project)
    claim = take(project)
    assert done(project, claim) == "done"
    assert states(project) == {"t0": "done", "t1": "ready"}
    assert reports(project / "tasks" / "t0.md") == 1
    assert "commit" not in support.report_of(rows(project)["t0"])
    assert merge(project).merged == [] and support.branches(project) == []


def test_a_done_that_changed_nothing_says_so_and_names_what_changed_outside_of_its_tree(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 3)
    (project / "mine.txt").write_text("from before")
    claims = {}
    for name in ("t0", "t1", "t2"):
        claims[name] = take(project, name)
    do(project, claims["t0"], a_txt="a")
    told = run_hypervisor("done", claims["t0"].token, "--summary", "x")
    assert told.stdout == f"accepted {claims['t0'].token}: done\n"
    (project / "elsewhere.txt").write_text("work")
    do(project, claims["t1"], b_txt="b")
    told = run_hypervisor("done", claims["t1"].token, "--summary", "x")
    assert "nothing" not in told.stdout and told.stdout.endswith("not known: elsewhere.txt\n")
    told = run_hypervisor("done", claims["t2"].token, "--summary", "x", "--json")
    ended = json.loads(told.stdout)["ended"]
    assert (ended["unchanged"], ended["outside"]) == (True, ["elsewhere.txt"])
    text = (project / "tasks" / "t2.md").read_text()
    assert "- Files: nothing changed in its working tree" in text
    assert "meanwhile, by whom is not known: `elsewhere.txt`" in text and "mine.txt" not in text
    summary = run_hypervisor("summary", "q").stdout
    assert "t2 “Task t2”: nothing changed in its working tree; x" in summary
    assert "known: t1: elsewhere.txt" in summary and "known: t0" not in summary


def test_those_that_wait_for_an_item_begin_with_its_work(project: Path) -> None:
    git(project, "init", "--quiet", "-b", "main")
    write_task(project, "t0")
    write_task(project, "t1", extra="depends_on: [t0]\n")
    write_task(project, "t2", extra="depends_on: [t3]\n")
    write_task(project, "t3")
    commit_all(project)
    open_queue(project)
    work(project, "t0", base_txt="base\n")
    work(project, "t3", base_txt="other\n")
    assert states(project) == {"t0": "done", "t1": "waiting", "t2": "waiting", "t3": "done"}
    with Ledger.open(str(project)) as ledger:
        assert worker.why_nothing(ledger, "q") == (
            "nothing left; 2 wait for branches that are not merged: hypervisor integrate q", True
        )  # fmt: skip
    merge(project)
    assert states(project) == {"t0": "done", "t1": "ready", "t2": "waiting", "t3": "blocked"}
    claim = take(project)
    assert (Path(claim.worktree) / "base.txt").read_text() == "base\n"


_ids = st.text(
    st.characters(exclude_categories=("Cs",)), min_size=1, max_size=80
) | st.sampled_from(
    ["a/b", "../x", "a..b", "x.lock", "a.", "-x", ".x", "@", "a@{b", "~", "é\n", "a" * 400, "HEAD"]
)


@given(_ids)
def test_every_id_makes_a_name_that_git_allows(item_id: str) -> None:
    name = branch_name(item_id, "17-x7q2")
    checked = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True)
    assert checked.returncode == 0, name
    assert name.endswith("/17-x7q2") and name.count("/") == 2


def test_odd_ids_and_odd_paths_come_through(project: Path) -> None:
    git(project, "init", "--quiet", "-b", "main")
    names = ["a b.txt", "é ü.txt", "new\nline.txt", "-x", "\t.txt", ":(glob)*", "b\udcff.txt"]
    (project / "odd dir").mkdir()
    (project / "odd dir" / "é.md").write_text("x\n")
    (project / "odd dir" / "a\nb.md").write_text("x\n")
    commit_all(project)
    open_queue(project, ["odd dir"], instructions="do it")
    for _ in range(2):
        claim = take(project)
        for name in names:
            (Path(claim.worktree) / f"{claim.token}{name}").write_text("x\n")
        assert done(project, claim) == "done"
    told = merge(project)
    assert sorted(item for item, _ in told.merged) == ["odd dir/a\nb.md", "odd dir/é.md"]
    found = os.listdir(project)
    assert all(sum(name == f[6:] for f in found) == 2 for name in names), found
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize("name", ["with blanks", "ünï", "new\nline", "-x"])
def test_a_root_of_any_name_works(tmp_path: Path, name: str) -> None:
    from hypervisor.config.roots import create_state

    root = tmp_path.resolve() / name
    root.mkdir()
    create_state(str(root))
    lay_out(root, 2)
    work(root, a_txt="a")
    work(root, b_txt="b")
    assert len(merge(root).merged) == 2
    assert (root / "a.txt").exists() and (root / "b.txt").exists()
    assert support.trees(root) == [] and support.branches(root) == []


def test_a_root_inside_a_repository_works_in_the_same_folder_of_the_tree(tmp_path: Path) -> None:
    from hypervisor.config.roots import create_state

    top = tmp_path.resolve() / "top"
    root = top / "parts" / "one"
    root.mkdir(parents=True)
    create_state(str(root))
    git(top, "init", "--quiet", "-b", "main")
    write_task(root, "t0")
    commit_all(top)
    open_queue(root, verify="test -f here.txt -a -f ../two.txt")
    claim = take(root)
    assert claim.worktree == f"{root}/.hypervisor/worktrees/{claim.token}/parts/one"
    assert find_root(claim.worktree) == str(root)
    do(root, claim, here_txt="x")
    (Path(claim.worktree) / ".." / "two.txt").write_text("2")
    assert done(root, claim) == "done"
    assert len(merge(root).merged) == 1
    assert (top / "parts" / "two.txt").exists() and (root / "here.txt").exists()


@pytest.mark.parametrize("bare", [False, True])
def test_a_linked_worktree_can_be_the_root(tmp_path: Path, bare: bool) -> None:
    from hypervisor.config.roots import create_state

    base = tmp_path.resolve()
    git(base, "init", "--quiet", "-b", "main", "seed")
    git(base / "seed", "commit", "--quiet", "--allow-empty", "-m", "first")
    store = base / "seed"
    if bare:
        git(base, "clone", "--quiet", "--bare", "seed", "store.git")
        store = base / "store.git"
    root = base / "linked"
    git(store, "worktree", "add", "--quiet", "-b", "side", str(root))
    create_state(str(root))
    write_task(root, "t0")
    commit_all(root)
    open_queue(root)
    work(root, a_txt="a")
    assert len(merge(root).merged) == 1
    assert (root / "a.txt").exists() and git(root, "branch", "--show-current") == "side\n"
    assert support.branches(root) == [] and support.trees(root) == []
    if not bare:
        assert git(store, "status", "--porcelain") == ""


def test_submodules_and_pointers_to_large_files_stay_as_they_are(project: Path) -> None:
    other = project.parent / "other"
    git(project.parent, "init", "--quiet", "other")
    (other / "x").write_text("x")
    commit_all(other)
    git(project, "init", "--quiet", "-b", "main")
    git(
        project,
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        str(other),
        "sub",
    )
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    (project / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (project / "big.bin").write_text(pointer)
    git(project, "config", "submodule.recurse", "true")
    write_task(project, "t0")
    commit_all(project)
    (project / "sub" / "mine").write_text("mine")
    linked = git(project, "ls-tree", "main", "sub", "big.bin")
    open_queue(project)
    work(project, a_txt="a")
    assert len(merge(project).merged) == 1
    assert git(project, "ls-tree", "main", "sub", "big.bin") == linked
    assert (project / "big.bin").read_text() == pointer
    assert (project / "sub" / "mine").read_text() == "mine" and (project / "sub" / "x").exists()


def test_hooks_run_only_where_the_users_configuration_says_so(project: Path) -> None:
    lay_out(project, 2)
    ran = project.parent / "ran"
    for name in ("pre-commit", "commit-msg", "post-checkout", "post-merge", "pre-merge-commit",
                 "post-commit", "reference-transaction", "prepare-commit-msg"):  # fmt: skip
        hook = project / ".git" / "hooks" / name
        hook.write_text(f'#!/bin/sh\necho {name} >>"{ran}"\n')
        hook.chmod(0o755)
    work(project, a_txt="a")
    merge(project)
    assert not ran.exists()
    git(project, "config", "hypervisor.hooks", "true")
    work(project, b_txt="b")
    merge(project)
    assert {"pre-commit", "post-checkout", "post-merge"} <= set(ran.read_text().split())


@pytest.mark.parametrize("line", ["hooks", "hooks = yes", "hooks = 1k", "hooks = maybe", ""])
def test_yes_is_what_git_takes_for_yes(line: str, project: Path) -> None:
    lay_out(project, 1)
    hook = project / ".git" / "hooks" / "post-checkout"
    hook.write_text(f'#!/bin/sh\ntouch "{project.parent}/ran"\n')
    hook.chmod(0o755)
    with (project / ".git" / "config").open("a") as configuration:
        configuration.write(f"[hypervisor]\n{line}\n")
    take(project)
    assert (project.parent / "ran").exists() == (line in ("hooks", "hooks = yes", "hooks = 1k"))


def test_nothing_asks_for_a_signature_an_editor_or_a_password(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(project, 1)
    for name, value in {
        "commit.gpgSign": "true",
        "gpg.program": "false",
        "merge.verifySignatures": "true",
        "core.editor": "false",
        "merge.ff": "only",
        "merge.autoStash": "true",
        "commit.template": "/nonexistent",
        "commit.cleanup": "scissors",
        "core.fsmonitor": "false",
    }.items():
        git(project, "config", name, value)
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent/index")
    monkeypatch.setenv("GIT_WORK_TREE", "/nonexistent")
    work(project, a_txt="a")
    merged = merge(project).merged
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(name)
    assert len(merged) == 1 and (project / "a.txt").exists()


def test_where_there_is_nothing_to_branch_from_it_says_so_and_nothing_stays_claimed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(project, "t0")
    open_queue(project)
    with pytest.raises(HypervisorError, match="needs a git working tree"):
        take(project)
    git(project, "init", "--quiet", "-b", "main")
    with pytest.raises(HypervisorError, match="no commit yet; commit something"):
        take(project)
    commit_all(project)
    for name in support.WHO:
        monkeypatch.delenv(name)
    git(project, "config", "user.useConfigOnly", "true")
    with pytest.raises(HypervisorError, match=r"git config user\.name"):
        take(project)
    git(project, "config", "user.name", "B")
    git(project, "config", "user.email", "b@example.org")
    git(project, "branch", "hypervisor")
    with pytest.raises(HypervisorError, match="git worktree"):
        take(project)
    git(project, "branch", "-m", "hypervisor", "other")
    assert states(project) == {"t0": "ready"}
    work(project, a_txt="a")
    assert rows(project)["t0"]["deaths"] == rows(project)["t0"]["attempts"] == 0


def test_a_repository_inside_the_tree_is_refused_by_name(project: Path) -> None:
    lay_out(project, 1)
    claim = take(project)
    inner = Path(claim.worktree) / "vendor" / "lib"
    inner.mkdir(parents=True)
    git(inner, "init", "--quiet")
    (inner / "x").touch()
    commit_all(inner)
    with pytest.raises(HypervisorError, match=r"^vendor/lib: a repository of its own"):
        done(project, claim)
    assert states(project) == {"t0": "claimed"}
    import shutil

    shutil.rmtree(inner / ".git")
    assert done(project, claim) == "done"
    assert support.report_of(rows(project)["t0"])["files"] == ["vendor/lib/x"]


def test_a_lock_that_a_killed_git_has_left_in_the_tree_goes(project: Path) -> None:
    lay_out(project, 1)
    claim = take(project)
    do(project, claim, a_txt="a")
    lock = project / ".git" / "worktrees" / claim.token / "index.lock"
    lock.touch()
    os.utime(lock, (time.time() - 60,) * 2)
    assert done(project, claim) == "done"


def test_a_tree_that_is_gone_keeps_the_claim_and_names_the_mend(project: Path) -> None:
    import shutil

    lay_out(project, 1)
    claim = take(project)
    shutil.rmtree(claim.worktree)
    with pytest.raises(HypervisorError, match=f"release {claim.token}"):
        done(project, claim)
    assert states(project) == {"t0": "claimed"}


def test_a_tree_without_its_git_is_not_taken_for_the_repository_around_it(project: Path) -> None:
    lay_out(project, 1)
    claim = take(project)
    (Path(claim.worktree) / ".git").unlink()
    (project / "mine.txt").write_text("mine")
    with pytest.raises(HypervisorError, match="the working tree of this claim is gone"):
        done(project, claim)
    assert states(project) == {"t0": "claimed"}
    assert os.path.isdir(claim.worktree)
    assert git(project, "status", "--porcelain") == "?? mine.txt\n"
    assert git(project, "log", "--format=%s") == "first\n"


def test_a_late_done_on_a_branch_is_accepted_however_late_while_nothing_else_has_happened(
    project: Path,
) -> None:
    lay_out(project, 1)
    late = take(project)
    do(project, late, a_txt="a")
    support.let_expire(project)
    with Ledger.open(str(project)) as ledger:
        with ledger.store.write():
            ledger.store.change("update claim set ended_at = ended_at - 360000")
        claim_tree.clear(ledger)
    assert done(project, late) == "done"
    assert git(project, "show", f"{late.branch}:a.txt") == "a"


def test_trees_and_branches_of_lost_claims_go_after_one_more_lease(project: Path) -> None:
    lay_out(project, 1)
    late = take(project)
    # Nothing that anybody made; and some tools leave folders that may not be written.
    locked = Path(late.worktree) / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    support.let_expire(project)
    merge(project)
    assert support.branches(project) == [late.branch]
    assert support.trees(project) == [late.token]
    with Ledger.open(str(project)) as ledger, ledger.store.write():
        ledger.store.change("update claim set ended_at = ended_at - 3600")
    git(project, "branch", "hypervisor/t0/99-zzzz")
    merge(project)
    assert support.trees(project) == [late.token], "a late report of it would still be accepted"
    with Ledger.open(str(project)) as ledger:
        ledger.generations.cancel("q")
    merge(project)
    assert support.branches(project) == ["hypervisor/t0/99-zzzz"]
    assert support.trees(project) == []
    assert git(project, "worktree", "list").count("\n") == 1


def test_an_unmerged_accepted_branch_is_never_cleared_away(project: Path) -> None:
    lay_out(project, 2)
    claim = work(project, a_txt="a")
    with Ledger.open(str(project)) as ledger:
        with ledger.store.write():
            ledger.store.change("update claim set ended_at = ended_at - 360000")
        from hypervisor.worker.branches import claim_tree

        claim_tree.clear(ledger)
        assert support.branches(project) == [claim.branch]
        ledger.generations.cancel("q")
        claim_tree.clear(ledger)
    assert support.branches(project) == [claim.branch]
    assert len(merge(project).merged) == 1


def test_a_linked_worktree_is_put_on_the_branch_and_given_back(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 3)
    own = project / ".claude" / "worktrees" / "agent-1"
    git(project, "worktree", "add", "--quiet", "-b", "worktree-agent-1", str(own))
    (project / ".git" / "info" / "exclude").write_text(".claude/\n")

    def next_here(*words: str) -> subprocess.CompletedProcess[str]:
        return run_hypervisor(*words, "--json", cwd=own)

    [claim] = json.loads(next_here("next", "q", "--here").stdout)["claims"]
    assert claim["worktree"] == str(own)
    assert git(own, "branch", "--show-current") == f"{claim['branch']}\n"
    assert next_here("next", "q", "--here").returncode == 2
    (own / "a.txt").write_text("a")
    told = next_here("done", claim["token"], "--summary", "x", "--next")
    [second] = json.loads(told.stdout)["claims"]
    assert second["worktree"] == str(own) and not (own / "a.txt").exists()
    # A claim that was lost: what it left is saved when the next one begins.
    (own / "late.txt").write_text("late")
    support.let_expire(project)
    [third] = json.loads(next_here("next", "q", "--here").stdout)["claims"]
    assert not (own / "late.txt").exists()
    assert git(project, "show", f"{second['branch']}:late.txt") == "late"
    (own / "c.txt").write_text("c")
    assert next_here("done", third["token"], "--summary", "x").returncode == 0
    assert git(own, "branch", "--show-current") == "worktree-agent-1\n"
    assert git(own, "status", "--porcelain") == ""
    assert run_hypervisor("integrate", "q").returncode == 0
    assert (project / "a.txt").exists() and (project / "c.txt").exists()
    assert not (project / "late.txt").exists()


def test_a_worktree_with_changes_of_its_user_is_not_taken(project: Path) -> None:
    lay_out(project, 1)
    own = project.parent / "own"
    git(project, "worktree", "add", "--quiet", "-b", "mine", str(own))
    (own / "x").write_text("mine")
    with pytest.raises(UsageError, match="not committed"):
        take(project, branch=False, here=str(own))
    with pytest.raises(UsageError, match="not a linked worktree"):
        take(project, branch=False, here=str(project))
    assert states(project) == {"t0": "ready"} and (own / "x").read_text() == "mine"


def test_releasing_and_failing_leave_nothing_that_is_merged(project: Path) -> None:
    lay_out(project, 1)
    claim = take(project)
    do(project, claim, a_txt="a")
    with Ledger.open(str(project)) as ledger:
        worker.finish(ledger, claim.token, "failed", {"reason": "no"})
    claim = take(project)
    with Ledger.open(str(project)) as ledger:
        ledger.ends.release(claim.token)
        with ledger.store.write():
            ledger.store.change("update claim set ended_at = ended_at - 3600")
    assert merge(project).merged == [] and support.trees(project) == []
    [branch] = support.branches(project)
    assert git(project, "show", f"{branch}:a.txt") == "a"
