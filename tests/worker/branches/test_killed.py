"""kill -9 at every step of work on branches: said or run again, it comes to the same."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisor import worker
from hypervisor.config.roots import create_state
from hypervisor.ledger import Ledger, driver
from hypervisor.ledger.foreign import adopt
from hypervisor.system.git import Git
from hypervisor.worker.branches import worktrees
from ledger.support import Child, Steps
from repository import REPO
from worker.branches import support
from worker.branches.support import do, done, git, lay_out, merge, rows, take
from worker.support import reports, states

SRC = REPO / "src"
# What these change, nobody sees before another step.
_PRIVATE = ("rev-parse", "config", "merge-base", "diff", "diff-tree", "diff-index", "symbolic-ref",
            "for-each-ref", "check-ref-format", "rev-list", "grep", "var", "reset", "clean",
            "status")  # fmt: skip


class GitSteps(Steps):
    """Counts what work on branches changes: repository, working trees, ledger."""

    def install(self) -> None:
        steps = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                if sql != "commit":
                    return super().execute(sql, *args)
                return steps.around("commit", super().execute)(sql, *args)

        connect, run = sqlite3.connect, Git.run

        def counted(git: Git, *words: str, **options: Any) -> tuple[int, str, str]:
            if words[0] in _PRIVATE:
                return run(git, *words, **options)
            told: tuple[int, str, str] = steps.around(f"git {words[0]}", run)(
                git, *words, **options
            )
            return told

        driver.connect = lambda *args, **options: connect(*args, factory=Connection, **options)
        Git.run = counted  # type: ignore[method-assign]
        worktrees.discard = self.around("discard", worktrees.discard)

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            made = call(*args, **options)
            self.step(name)
            return made

        return counted


def killed_at_every_step(work: Callable[[Path], Any], copies: Iterator[Path]) -> Iterator[Path]:
    """Run `work(root)` on copy after copy, killed at its k-th step; yields the copies of the dead,
    and last the one of the survivor."""

    def run(k: int, root: Path) -> None:
        GitSteps(k).install()
        work(root)

    for k, root in enumerate(copies, 1):
        child = Child(run, k, root)
        assert child.wait() in (0, -signal.SIGKILL)
        yield root
        if child.status == 0:
            assert k > 3
            return
        assert k < 200, "it never ends"


def copies(template: Path) -> Iterator[Path]:
    """Copies of a root that nobody works in."""
    for number in range(1000):
        root = template.parent / f"copy-{number}"
        shutil.copytree(template, root, symlinks=True)
        adopt(str(root))
        yield root
        shutil.rmtree(root)


@pytest.fixture
def accepted(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A root with three accepted branches, of which the second conflicts with the first, and with
    a file that its user has not committed. The parameter is the queue's check."""
    root = tmp_path.resolve() / "template"
    root.mkdir()
    create_state(str(root))
    lay_out(root, 3, verify=getattr(request, "param", None))
    claims = [take(root) for _ in range(3)]
    for claim in claims:
        name = "free_txt" if claim.id == "t2" else "same_txt"
        do(root, claim, **{name: claim.id})
        done(root, claim)
    (root / "mine.txt").write_text("mine\n")
    return root


def check(root: Path) -> None:
    """What an integration of `accepted` must come to, whatever happened on its way."""
    assert states(root) == {"t0": "done", "t1": "blocked", "t2": "done"}
    assert (root / "same.txt").read_text() == "t0"
    assert (root / "free.txt").read_text() == "t2"
    assert (root / "mine.txt").read_text() == "mine\n"
    assert [reports(root / "tasks" / f"t{n}.md") for n in range(3)] == [1, 1, 1]
    assert "conflicts with main in same.txt" in rows(root)["t1"]["cause"]
    subjects = git(root, "log", "--first-parent", "--format=%s").splitlines()
    assert subjects == ["Merge t2: Task t2", "Merge t0: Task t0", "first"]
    changed = git(root, "status", "--porcelain").splitlines()
    assert changed == [" M tasks/t0.md", " M tasks/t1.md", " M tasks/t2.md", "?? mine.txt"]
    assert [name.split("/")[1] for name in support.branches(root)] == ["t1"]
    assert support.trees(root) == []
    assert git(root, "worktree", "list").count("\n") == 1


@pytest.mark.parametrize("accepted", [None, "test -d tasks"], indirect=True)
def test_an_integration_killed_at_any_step_comes_to_the_same_when_it_is_run_again(
    accepted: Path,
) -> None:
    for root in killed_at_every_step(merge, copies(accepted)):
        merge(root)
        check(root)


def test_an_integration_killed_with_its_git_at_random_times_comes_to_the_same(
    accepted: Path,
) -> None:
    words = [sys.executable, "-m", "hypervisor", "integrate", "q"]
    chosen = random.Random(7)
    killed = 0
    roots = copies(accepted)
    begun = time.monotonic()
    merge(next(roots))
    # A new process takes its time, too, before it begins.
    lasts = time.monotonic() - begun + 0.2
    for _, root in zip(range(12), roots, strict=False):
        process = subprocess.Popen(
            words, cwd=root, env=os.environ | {"PYTHONPATH": str(SRC)}, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(chosen.uniform(0.1, lasts))
        killed += process.poll() is None
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
        process.wait()
        merge(root)
        for half in (root / "tasks").glob(".hypervisor-*.tmp"):
            # Of a report that was just being written; after a minute `summary` clears it away.
            half.unlink()
        check(root)
    assert killed


def test_a_done_on_a_branch_killed_at_any_step_is_accepted_once(tmp_path: Path) -> None:
    template = tmp_path.resolve() / "template"
    template.mkdir()
    create_state(str(template))
    lay_out(template, 1)

    def claimed() -> Iterator[Path]:
        for root in copies(template):
            claim = take(root)
            do(root, claim, a_txt="a")
            (root / "token").write_text(claim.token)
            yield root

    def say(root: Path) -> str:
        with Ledger.open(str(root)) as ledger:
            token = (root / "token").read_text()
            return worker.finish(ledger, token, "done", {"summary": "x"}).state

    for root in killed_at_every_step(say, claimed()):
        assert say(root) == "done"
        assert len(merge(root).merged) == 1
        assert (root / "a.txt").read_text() == "a"
        subjects = git(root, "log", "--format=%s", "--no-merges").splitlines()
        assert sorted(subjects) == ["first", "t0: Task t0"]
        assert reports(root / "tasks" / "t0.md") == 1
        assert support.branches(root) == [] and support.trees(root) == []


def test_a_next_on_a_branch_killed_at_any_step_loses_no_item_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    template = tmp_path.resolve() / "template"
    template.mkdir()
    create_state(str(template))
    lay_out(template, 1)
    for root in killed_at_every_step(lambda root: bool(take(root)), copies(template)):
        support.let_expire(root)
        support.work(root, a_txt="a")
        with Ledger.open(str(root)) as ledger, ledger.store.write():
            ledger.store.change("update claim set ended_at = ended_at - 3600")
        assert len(merge(root).merged) == 1
        assert support.branches(root) == [] and support.trees(root) == []
        assert git(root, "worktree", "list").count("\n") == 1
