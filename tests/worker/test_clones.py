"""Clones of a project with one ledger: each has its own files, and owes the reports of its work."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hypervisor import worker
from hypervisor.config.store import VARIABLE
from hypervisor.ledger import Ledger
from hypervisor.worker import outbox, presence
from hypervisor.worker.settle import settle
from mends.typed import words_of
from worker.support import open_queue, states, write_task

if TYPE_CHECKING:
    from server import Server

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def clones(tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two clones with the same three tasks, open in a queue of their shared ledger."""
    monkeypatch.setenv(VARIABLE, postgres.address(postgres.database()))
    monkeypatch.setattr(presence, "_SEARCH_SECONDS", 0.0)
    one, two = tmp_path.resolve() / "one", tmp_path.resolve() / "two"
    one.mkdir()
    (one / "hypervisor.toml").write_text('project = "shop"\n')
    for number in range(3):
        write_task(one, f"t{number}")
    shutil.copytree(one, two)
    open_queue(one)
    return one, two


def done_but_not_written(one: Path) -> Path:
    """End `t0` in a clone while its file is away, and put that back; return its path."""
    path, away = one / "tasks/t0.md", one / "away"
    with Ledger.open(str(one)) as ledger:
        [claim] = worker.take(ledger, "q", "w", only="t0")
        path.rename(away)
        worker.finish(ledger, claim.token, "done", {"summary": "did it in one"})
    away.rename(path)
    return path


def test_a_report_is_written_by_the_clone_that_has_the_work_and_by_no_other(
    clones: tuple[Path, Path], run_forked: Run
) -> None:
    one, two = clones
    path = done_but_not_written(one)
    before = (two / "tasks/t0.md").read_bytes()
    with Ledger.open(str(two)) as ledger:
        [claim] = worker.take(ledger, "q", "elsewhere")
        settle(ledger, limit=None)
        assert outbox.flush(ledger, None) == []
        worker.finish(ledger, claim.token, "done", {"summary": "did it in two"})
    assert (two / "tasks/t0.md").read_bytes() == before
    assert "did it in two" in (two / "tasks/t1.md").read_text()
    held = run_forked("preflight", "tasks", cwd=two).stdout
    assert "t0  tasks/t0.md: open in queue q" in held, "it is not worked again meanwhile"
    assert f":{one}" in run_forked("summary", "q", cwd=two).stdout
    assert run_forked("status", cwd=one).returncode == 0
    assert "did it in one" in path.read_text() and "status: done" in path.read_text()
    assert "did it in two" not in (one / "tasks/t1.md").read_text()


def test_a_report_that_another_clone_has_is_not_told_as_lost(
    clones: tuple[Path, Path], run_forked: Run
) -> None:
    one, two = clones
    with Ledger.open(str(one)) as ledger:
        [claim] = worker.take(ledger, "q", "w", only="t0")
        worker.finish(ledger, claim.token, "done", {"summary": "did it in one"})
    assert "lost" not in run_forked("summary", "q", cwd=two).stdout
    (one / "tasks/t0.md").write_bytes((two / "tasks/t0.md").read_bytes())
    assert "report lost: t0" in run_forked("summary", "q", cwd=one).stdout


def test_a_clone_that_was_made_anew_in_its_place_writes_what_that_owed(
    clones: tuple[Path, Path], run_forked: Run
) -> None:
    one, _ = clones
    path = done_but_not_written(one)
    shutil.rmtree(one / ".hypervisor")
    assert run_forked("summary", "q", cwd=one).returncode == 0
    assert "did it in one" in path.read_text()


def test_what_a_clone_that_is_gone_owes_for_a_week_is_written_by_the_others(
    clones: tuple[Path, Path],
) -> None:
    one, two = clones
    done_but_not_written(one)
    shutil.rmtree(one)
    with Ledger.open(str(two)) as ledger:
        settle(ledger, limit=None)
        assert "did it in one" not in (two / "tasks/t0.md").read_text()
        with ledger.store.write():
            ledger.store.change("update item set finished_at = finished_at - 604801")
        settle(ledger, limit=None)
    assert "did it in one" in (two / "tasks/t0.md").read_text()


def test_a_clone_that_is_behind_ends_no_item_for_the_fleet(
    clones: tuple[Path, Path], run_forked: Run
) -> None:
    one, two = clones
    for number in range(3, 300):
        write_task(one, f"t{number}")
    assert open_queue(one).added == 297
    shutil.rmtree(two / "tasks")
    with Ledger.open(str(two)) as behind, Ledger.open(str(one)) as ahead:
        for _ in range(3):
            assert worker.take(behind, "q", "w", 5) == []
        waited = run_forked("wait", "q", "--timeout", "5", cwd=two)
        assert waited.returncode == 1 and "t0" in waited.stdout + waited.stderr
        assert behind.queues.stats("q") == ahead.queues.stats("q")
        assert len(worker.take(ahead, "q", "w", 300)) == 300


def test_what_was_retried_in_one_clone_is_taken_up_in_another_whose_file_says_blocked(
    clones: tuple[Path, Path], run_forked: Run
) -> None:
    one, two = clones
    with Ledger.open(str(one)) as ledger:
        [claim] = worker.take(ledger, "q", "w", only="t0")
        worker.finish(ledger, claim.token, "blocked", {"reason": "no"})
    assert run_forked("retry", "q", "t0", cwd=two).returncode == 0
    # It is in the queue, whatever the file here says, and is worked on as any other.
    told = run_forked("open", "q", "tasks", cwd=one)
    assert "3 items: 3 ready" in told.stdout and "3 already in it" in told.stdout
    token = run_forked("next", "q", "--id", "t0", cwd=one).stdout.split()[1]
    assert run_forked("release", token, cwd=one).returncode == 0
    # Done elsewhere, it is not held without a word of how it goes on here.
    token = run_forked("next", "q", "--id", "t0", cwd=two).stdout.split()[1]
    assert run_forked("done", token, "--summary", "did it in two", cwd=two).returncode == 0
    told = run_forked("open", "q", "tasks", cwd=one)
    assert "t0  tasks/t0.md: blocked; done since in queue q" in told.stdout
    mend = words_of("intake/preflight/check.py: hypervisor retry {} {}", told.stdout)
    assert run_forked(*mend[1:], cwd=one).returncode == 0
    assert "status: active" in (one / "tasks/t0.md").read_text()
    assert states(one)["t0"] == "ready"
