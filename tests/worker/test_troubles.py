"""Full disks, read-only folders, ledgers nobody can read: one clear line, nothing lost."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from hypervisor.cli import main
from hypervisor.ledger import Ledger
from hypervisor.tasks import read
from ledger.support import Child, owned_by_nobody
from worker.support import open_queue, reports, states, write_task


def call(root: Path, *line: str) -> list[Any]:
    """Run one command line; return its exit code and what it said to standard error."""
    os.chdir(root)
    sys.stdout = io.StringIO()
    with contextlib.redirect_stderr(io.StringIO()) as said:
        code = main(list(line))
    return [code, said.getvalue()]


def on_a_full_disk(root: Path, largest: int, *line: str) -> list[Any]:
    """The same where no file may grow beyond `largest` bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    return call(root, *line)


def claim(root: Path) -> str:
    with Ledger.open(str(root)) as ledger:
        return ledger.claims.claim("q", "w")[0].token


def one_clear_line(said: str) -> bool:
    return said.startswith("error: ") and said.count("\n") == 2 and "\nhint: " in said


@pytest.mark.parametrize("room", [0, 100, 1000, 4096, 20_000, 60_000, 100_000, 140_000])
def test_a_full_disk_loses_no_report_and_breaks_no_file(project: Path, room: int) -> None:
    path = write_task(project, "a", body="# T\n\n" + "text\n" * 10_000)
    write_task(project, "b")
    open_queue(project)
    token = claim(project)
    before = path.read_bytes()
    code, said = Child(
        on_a_full_disk, project, room, "done", token, "--summary", "x" * 30_000, "--next"
    ).result()
    now = path.read_bytes()
    if code != 0:
        assert one_clear_line(said), said
        assert "space" in said or "writable" in said, said
        assert now == before
        assert states(project)["a"] == "claimed"
    else:
        assert states(project)["a"] == "done"
        assert now == before or reports(path) == 1
    read.read(str(path))
    # Once there is room, the same command does it.
    assert Child(call, project, "done", token, "--summary", "x").result()[0] == 0
    assert reports(path) == 1
    with Ledger.open(str(project)) as ledger:
        assert ledger.store.row("pragma integrity_check")[0] == "ok"
        assert ledger.outbox.pending() == []


def test_next_on_a_full_disk_is_one_line_and_claims_nothing(project: Path) -> None:
    write_task(project, "a")
    open_queue(project)
    code, said = Child(on_a_full_disk, project, 100, "next", "q").result()
    assert code == 1
    assert one_clear_line(said) and "space" in said
    assert states(project) == {"a": "ready"}
    assert os.listdir(project / ".hypervisor/locks") == []


@pytest.mark.parametrize("line", ["status q", "summary q", "log q", "show a", "results q"])
def test_who_only_looks_may_do_so_on_a_full_disk(project: Path, line: str) -> None:
    write_task(project, "a")
    open_queue(project)
    assert Child(on_a_full_disk, project, 0, *line.split()).result() == [0, ""]


def as_nobody(root: Path, *line: str) -> list[Any]:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    return call(root, *line)


def let_through(folder: Path) -> None:
    for parent in [folder, *folder.parents]:
        mode = os.stat(parent).st_mode
        if os.stat(parent).st_uid == os.geteuid() and not mode & 0o001:
            os.chmod(parent, mode | 0o011)


def test_a_task_folder_that_may_not_be_written_leaves_the_report_pending_with_the_mend(
    project: Path,
) -> None:
    path = write_task(project, "a")
    open_queue(project)
    token = claim(project)
    os.chmod(path.parent, 0o555)
    before = path.read_bytes()
    with owned_by_nobody(project):
        assert Child(as_nobody, project, "done", token, "--summary", "x").result() == [0, ""]
    with Ledger.open(str(project)) as ledger:
        [row] = ledger.outbox.pending()
        assert row.pending.startswith("tasks/a.md: not written: ")
        assert "; " in row.pending
    assert path.read_bytes() == before
    assert sorted(os.listdir(path.parent)) == ["a.md"]
    os.chmod(path.parent, 0o755)
    assert Child(call, project, "status").result() == [0, ""]
    assert reports(path) == 1


@pytest.mark.parametrize("trouble", ["garbage", "foreign", "later", "copied", "folder", "empty"])
@pytest.mark.parametrize("verb", ["next", "done", "status", "summary"])
def test_a_ledger_that_cannot_be_used_is_one_line_and_stays_as_it_is(
    project: Path, trouble: str, verb: str
) -> None:
    write_task(project, "a")
    open_queue(project)
    token = claim(project)
    ledger = project / ".hypervisor/ledger.db"
    for end in ("-wal", "-shm"):
        Path(f"{ledger}{end}").unlink(missing_ok=True)
    if trouble == "garbage":
        ledger.write_bytes(b"no database at all\n" * 1000)
    elif trouble == "foreign":
        ledger.unlink()
        with contextlib.closing(sqlite3.connect(ledger)) as other:
            other.execute("create table theirs (x)")
            other.commit()
    elif trouble == "later":
        with contextlib.closing(sqlite3.connect(ledger)) as other:
            other.execute("pragma user_version = 999")
    elif trouble == "copied":
        copy = ledger.read_bytes()
        ledger.rename(project / "old")
        ledger.write_bytes(copy)
    elif trouble == "folder":
        ledger.unlink()
        ledger.mkdir()
    else:
        ledger.write_bytes(b"")
    before = None if ledger.is_dir() else ledger.read_bytes()
    line = {"done": [token, "--summary", "x"], "status": []}.get(verb, ["q"])
    code, said = Child(call, project, verb, *line).result()
    assert code in (1, 2)
    assert one_clear_line(said), said
    if before is not None:
        assert ledger.read_bytes() == before


def test_a_state_folder_that_may_not_be_read_is_one_line(project: Path) -> None:
    write_task(project, "a")
    open_queue(project)
    let_through(project)
    code, said = Child(as_nobody, project, "next", "q").result()
    assert code in (1, 2)
    assert one_clear_line(said), said
    assert states(project) == {"a": "ready"}


def test_a_lock_folder_that_may_not_be_written_claims_nothing(project: Path) -> None:
    write_task(project, "a")
    open_queue(project)
    os.chmod(project / ".hypervisor/locks", 0o555)
    with owned_by_nobody(project):
        code, said = Child(as_nobody, project, "next", "q").result()
    assert code == 1
    assert one_clear_line(said) and "ermission denied" in said
    assert states(project) == {"a": "ready"}
