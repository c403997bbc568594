"""Files that a filter stands before (large files, secrets): through it, or not committed at all."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.pool.support import script
from hypervisor import worker
from hypervisor.config.roots import create_state
from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError
from hypervisor.system.filters import FilterError
from hypervisor.worker.commits.commit import commit
from worker.branches import support
from worker.branches.support import commit_all, do, done, git, merge, rows, take
from worker.support import open_queue, write_task

pytestmark = pytest.mark.usefixtures("identity")
Run = Callable[..., subprocess.CompletedProcess[str]]
SECRET = "the password\n"


@pytest.fixture
def root(project: Path) -> Path:
    """A repository with two tasks, where `*.key` wants the filter `vault`, which is missing."""
    git(project, "init", "--quiet", "-b", "main")
    (project / ".gitattributes").write_text("*.key filter=vault\n")
    for number in range(2):
        write_task(project, f"t{number}")
    commit_all(project, "first")
    open_queue(project)
    return project


def set_up(root: Path, command: str = "tr a-z A-Z") -> None:
    """In the user's own configuration: what changes the repository's while a worker is out may be
    that worker's doing."""
    git(root, "config", "--global", "filter.vault.clean", command)
    git(root, "config", "--global", "filter.vault.smudge", "tr A-Z a-z")


def kept(root: Path, name: str, commit: str = "HEAD") -> str:
    return git(root, "show", f"{commit}:{name}")


def made(root: Path, *files: str, folder: Path | None = None) -> str:
    cwd = str(folder or root)
    return commit(create_state(str(root)), "m", files, cwd)


def failing(root: Path) -> None:
    set_up(root, "sh -c 'cat >/dev/null; exit 3'")


def empty(root: Path) -> None:
    set_up(root, "")


def gone(root: Path) -> None:
    set_up(root, "no-such-program-here")


def only_smudge(root: Path) -> None:
    git(root, "config", "--global", "filter.vault.smudge", "cat")


def missing(root: Path) -> None:
    return


BROKEN = [missing, failing, empty, gone, only_smudge]


@pytest.mark.parametrize("broken", BROKEN)
def test_what_its_filter_did_not_see_is_not_committed_and_the_item_can_still_be_done(
    broken: Callable[[Path], None], root: Path
) -> None:
    broken(root)
    claim = take(root)
    do(root, claim, a_key=SECRET, b_txt="b\n")
    for _ in range(2):
        with pytest.raises(FilterError, match=r"a\.key: .*'vault'"):
            done(root, claim)
    assert git(root, "rev-parse", claim.branch).strip() == claim.base_commit
    assert rows(root)["t0"]["state"] == "claimed"
    set_up(root)
    assert done(root, claim) == "done"
    assert kept(root, "a.key", claim.branch) == SECRET.upper()
    assert kept(root, "b.txt", claim.branch) == "b\n"
    assert support.trees(root) == []


def test_what_was_staged_before_the_filter_was_there_goes_through_it(root: Path) -> None:
    claim = take(root)
    do(root, claim, a_key=SECRET)
    # So old that git takes what it has of the file for what it is.
    os.utime(Path(claim.worktree) / "a.key", (1e9, 1e9))
    git(claim.worktree, "add", "a.key")
    set_up(root)
    assert done(root, claim) == "done"
    assert kept(root, "a.key", claim.branch) == SECRET.upper()
    assert len(merge(root).merged) == 1
    assert kept(root, "a.key") == SECRET.upper() and (root / "a.key").read_text() == SECRET


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("deep/.gitattributes", "a.* filter=other\n"),
        (".gitattributes", "[attr]sealed filter=other\ndeep/* sealed\n"),
        (".git/info/attributes", "a.bin filter=other\n"),
    ],
)
def test_a_filter_is_found_wherever_it_is_asked_for(place: str, text: str, root: Path) -> None:
    (root / "deep").mkdir()
    (root / place).write_text(text)
    (root / "deep" / "a.bin").write_text(SECRET)
    with pytest.raises(FilterError, match=r"deep/a\.bin: .*'other'"):
        made(root, "a.bin", folder=root / "deep")
    git(root, "config", "filter.other.clean", "tr a-z A-Z")
    made(root, "a.bin", folder=root / "deep")
    assert kept(root, "deep/a.bin") == SECRET.upper()


@pytest.mark.parametrize("broken", BROKEN)
def test_a_commit_of_named_files_is_no_exception(
    broken: Callable[[Path], None], root: Path
) -> None:
    broken(root)
    (root / "a.key").write_text(SECRET)
    (root / "b.txt").write_text("b\n")
    before = git(root, "rev-parse", "HEAD")
    with pytest.raises(FilterError, match=r"a\.key: .*'vault'"):
        made(root, "a.key", "b.txt")
    assert git(root, "rev-parse", "HEAD") == before
    assert git(root, "diff", "--cached", "--name-only") == ""
    made(root, "b.txt")
    set_up(root)
    made(root, "a.key")
    assert kept(root, "a.key") == SECRET.upper()


@pytest.mark.parametrize("at", ["next", "done"])
@pytest.mark.thorough
def test_the_lease_is_renewed_while_a_filter_takes_its_time(at: str, root: Path) -> None:
    slow = "sh -c 'sleep 5; cat'"
    set_up(root, "cat")
    (root / "a.key").write_text(SECRET)
    commit_all(root)
    git(root, "config", "filter.vault.smudge", slow if at == "next" else "cat")
    git(root, "config", "filter.vault.clean", slow if at == "done" else "cat")
    with Ledger.open(str(root)) as ledger:
        ledger.generations.cancel("q")
    open_queue(root, queue="p", lease_seconds=3)
    with Ledger.open(str(root)) as ledger:
        [claim] = worker.take(ledger, "p", "w", branch=True)
        do(root, claim, b_key=SECRET)
        assert worker.finish(ledger, claim.token, "done", {"summary": "x"}).state == "done"


def test_what_is_gone_and_what_is_a_link_needs_no_filter(root: Path) -> None:
    set_up(root)
    (root / "a.key").write_text(SECRET)
    made(root, "a.key")
    git(root, "config", "--global", "--remove-section", "filter.vault")
    (root / "a.key").unlink()
    (root / "b.key").symlink_to("b.txt")
    made(root, "a.key", "b.key")
    assert git(root, "ls-files", "*.key") == "b.key\n"
    claim = take(root)
    (Path(claim.worktree) / "b.key").unlink()
    (Path(claim.worktree) / "c.key").symlink_to("b.txt")
    assert done(root, claim) == "done"
    assert git(root, "ls-tree", "--name-only", claim.branch, "b.key", "c.key") == "c.key\n"


def test_a_filter_that_is_asked_for_on_the_way_in_by_a_process_runs(root: Path) -> None:
    seen = root.parent / "asked"
    program = root.parent / "filter"
    program.write_text(f"#!/bin/sh\ntouch {seen}; exit 1\n")
    program.chmod(0o755)
    git(root, "config", "filter.vault.process", shlex.quote(str(program)))
    (root / "a.key").write_text(SECRET)
    with pytest.raises(HypervisorError, match=r"filter.* fails: "):
        made(root, "a.key")
    assert seen.exists() and git(root, "ls-files", "a.key") == ""


@pytest.mark.parametrize("outcome", ["blocked", "failed"])
def test_an_end_without_success_keeps_the_files_and_says_where(outcome: str, root: Path) -> None:
    claim = take(root)
    do(root, claim, a_key=SECRET, b_txt="b\n")
    with Ledger.open(str(root)) as ledger:
        worker.finish(ledger, claim.token, outcome, {"reason": "done is refused"})
        [row] = list(ledger.store.rows("select report from claim where token = ?", (claim.token,)))
    told = json.loads(row["report"])
    place = f".hypervisor/kept/{claim.token}/a.key"
    assert told["reason"] == "done is refused" and told["kept"] == [place]
    # What has failed is tried again, and its file tells nothing yet.
    assert (place in (root / "tasks" / "t0.md").read_text()) == (outcome == "blocked")
    # Whatever else goes on here.
    take(root)
    merge(root)
    assert (root / place).read_text() == SECRET
    assert git(root, "ls-tree", "--name-only", claim.branch, "a.key", "b.txt") == "b.txt\n"


@pytest.mark.parametrize("verify", [None, "true"])
def test_a_pool_stops_with_the_cause_and_no_item_is_charged(
    verify: str | None, root: Path, run_hypervisor: Run
) -> None:
    with Ledger.open(str(root)) as ledger:
        ledger.generations.cancel("q")
    open_queue(root, queue="p", verify=verify)
    do_it = script(root, "echo work >b.txt; printf 'the password' >a.key")
    ran = run_hypervisor("work", "p", "--agent", "command", "--branch", "--", do_it)
    assert ran.returncode == 1
    assert "a.key" in ran.stdout and "'vault'" in ran.stdout
    with Ledger.open(str(root)) as ledger:
        items = list(ledger.store.rows("select state, attempts, deaths from item where queue = 2"))
    assert {tuple(item) for item in items} == {("ready", 0, 0)}
    [tree] = support.trees(root)
    assert (root / ".hypervisor" / "worktrees" / tree / "a.key").read_text() == "the password"


def test_what_others_have_done_meanwhile_still_counts(root: Path, run_hypervisor: Run) -> None:
    do_it = script(root, 'if [ "$1" = t0 ]; then echo x >a.key; else sleep 2; echo x >b.txt; fi')
    words = ("work", "q", "--agent", "command", "--workers", "2", "--branch", "--", do_it, "{id}")
    ran = run_hypervisor(*words)
    assert ran.returncode == 1 and "a.key" in ran.stdout
    assert {key: row["state"] for key, row in rows(root).items()} == {"t0": "ready", "t1": "done"}


@pytest.mark.parametrize("words", [("done", "--summary", "x"), ("commit", "-m", "x", "a.key")])
def test_the_agent_of_a_pool_that_meets_it_stops_its_queue(
    words: tuple[str, ...], root: Path, run_hypervisor: Run
) -> None:
    claim = take(root, branch=words[0] == "done")
    folder = Path(claim.worktree or root)
    (folder / "a.key").write_text(SECRET)
    agent: dict[str, str | None] = {"HYPERVISOR_POOL": "pool-x", "HYPERVISOR_AGENT": "command-x-1"}
    with Ledger.open(str(root)) as ledger, ledger.store.write():
        ledger.store.change("update claim set session = 'pool-x', agent = 'command-x-1'")
    ran = run_hypervisor(words[0], claim.token, *words[1:], cwd=folder, env=agent)
    assert ran.returncode == 1 and "a.key" in ran.stderr
    with Ledger.open(str(root)) as ledger:
        row = ledger.queues.get("q")
    assert row.state == "paused" and "a.key" in row.reason
    item = rows(root)["t0"]
    assert (item["state"], item["attempts"], item["deaths"]) == ("ready", 0, 0)
    assert (folder / "a.key").read_text() == SECRET
