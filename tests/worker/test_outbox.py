from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger
from hypervisor.tasks import write
from hypervisor.views import summary, summary_text
from hypervisor.worker import outbox
from ledger.support import Child
from worker.support import open_queue, reports, states, write_task

BROKEN = "---\nid: a\nstatus: active\ntitle: Fix: it\n---\n\n# T\n"


def accept(ledger: Ledger, outcome: str = "done", text: str = "did it") -> str:
    """Have an end accepted, and die before it is written into the file."""
    token = worker.take(ledger, "q", "w")[0].token
    ledger.ends.finish(token, outcome, {"summary": text, "reason": text}, pending=True)
    return token


def test_the_next_command_writes_what_a_dead_one_left(project: Path, run_forked: Any) -> None:
    verbs = (["next", "q"], ["status"], ["summary", "q"], ["expire"], ["open", "z", "tasks"])
    for number, verb in enumerate(verbs):
        path = write_task(project, f"t{number}")
        open_queue(project)
        with Ledger.open(str(project)) as ledger:
            token = accept(ledger)
        assert reports(path) == 0
        run_forked(*verb)
        assert f"report {token} " in path.read_text(), verb


def test_the_same_done_said_again_writes_what_the_first_could_not(
    project: Path, run_forked: Any
) -> None:
    path = write_task(project, "a")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        token = accept(ledger, text="the first word")
    again = run_forked("done", token, "--summary", "another word")
    assert (again.returncode, again.stdout) == (
        0,
        f"accepted {token}: done; its first report stands, and this one was not kept\n",
    )
    assert "> the first word\n" in path.read_text()


def test_a_task_whose_report_is_not_in_its_file_yet_is_not_opened_again(
    project: Path, run_forked: Any
) -> None:
    write_task(project, "a")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        accept(ledger)
    opened = run_forked("open", "q", "tasks")
    assert "1 task skipped (already complete)" in opened.stdout
    assert opened.returncode == 3


def test_a_task_whose_report_cannot_be_written_is_held_and_not_worked_again(
    project: Path, run_forked: Any
) -> None:
    path = write_task(project, "a")
    open_queue(project)
    path.chmod(0o444)
    with Ledger.open(str(project)) as ledger:
        accept(ledger)
    for queue in ("q", "q2"):
        opened = run_forked("open", queue, "tasks")
        assert opened.returncode == 3
        assert "in queue q" in opened.stdout
    path.chmod(0o644)
    opened = run_forked("open", "q", "tasks")
    assert "1 task skipped (already complete)" in opened.stdout
    assert reports(path) == 1


@pytest.mark.parametrize("times", [2, 8])
def test_many_that_write_the_same_report_at_once_write_it_once(project: Path, times: int) -> None:
    paths = [write_task(project, f"t{number}") for number in range(5)]
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        for _ in paths:
            accept(ledger)

    def flush() -> int:
        with Ledger.open(str(project)) as ledger:
            return len(outbox.flush(ledger))

    children = [Child(flush) for _ in range(times)]
    assert [child.result() for child in children] == [0] * times
    assert [reports(path) for path in paths] == [1] * 5
    before = [path.read_bytes() for path in paths]
    flush()
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.parametrize("trouble", ["broken", "gone", "folder", "flow", "no task", "settings"])
def test_a_file_that_cannot_be_written_leaves_the_item_accepted_until_it_is_mended(
    project: Path, run_forked: Any, trouble: str
) -> None:
    path = write_task(project, "a")
    original = path.read_text()
    open_queue(project, may_write='["hypervisor.toml"]')
    toml = project / "hypervisor.toml"
    with Ledger.open(str(project)) as ledger:
        token = worker.take(ledger, "q", "w")[0].token
    if trouble == "settings":
        toml.write_text("nonsense = 1\n")
    else:
        path.unlink()
        if trouble == "broken":
            path.write_text(BROKEN)
        elif trouble == "folder":
            path.mkdir()
        elif trouble == "no task":
            path.write_text("Some text.\n")
        elif trouble == "flow":
            path.write_text("---\n{id: a, type: task}\n---\n")
    ended = run_forked("done", token, "--summary", "did it")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert states(project) == {"a": "done"}
    why = {
        "broken": "tasks/a.md:4: ",
        "gone": "tasks/a.md: No such file or directory",
        "folder": "tasks/a.md: not a regular file",
        "flow": "tasks/a.md: not edited: ",
        "no task": "tasks/a.md: not edited: it is no longer a task",
        "settings": "hypervisor.toml: unknown key nonsense",
    }[trouble]
    with Ledger.open(str(project)) as ledger:
        outbox.flush(ledger, None)
        told = summary.summarize(ledger, "q")
        assert why in told["workers"][0]["report_pending"]
        assert told["reports_pending"] == 1
        assert any("report pending: a: " in line for line in summary_text.lines(told))
    if trouble == "settings":
        toml.unlink()
    elif path.is_dir():
        path.rmdir()
    if trouble != "settings":
        path.write_text(original)
    shown = run_forked("summary", "q")
    assert "report pending" not in shown.stdout
    assert f"report {token} " in path.read_text()


def test_a_read_only_file_is_told_with_the_mend(project: Path, run_forked: Any) -> None:
    path = write_task(project, "a")
    open_queue(project)
    path.chmod(0o444)
    with Ledger.open(str(project)) as ledger:
        token = worker.take(ledger, "q", "w")[0].token
    assert run_forked("done", token, "--summary", "did it").returncode == 0
    assert "read-only; chmod u+w" in run_forked("summary", "q").stdout
    path.chmod(0o644)
    assert "pending" not in run_forked("summary", "q").stdout
    assert reports(path) == 1


def test_files_that_cannot_be_written_do_not_keep_others_from_their_reports(
    project: Path,
) -> None:
    bad = [write_task(project, f"a{number}") for number in range(4)]
    good = write_task(project, "z")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        for path in bad:
            accept(ledger)
            path.write_text(BROKEN)
        assert len(outbox.flush(ledger)) == 4
        accept(ledger)
        left = outbox.flush(ledger, limit=2)
        assert [item for item, _ in left] == ["a0"]
        assert reports(good) == 1
        assert len(outbox.flush(ledger, limit=None)) == 4


def test_a_slow_writer_does_not_put_an_old_report_over_a_newer_one(project: Path) -> None:
    path = write_task(project, "a")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        accept(ledger, "blocked", "old")
        [slow] = ledger.outbox.pending()
        outbox.flush(ledger)
        path.write_text(path.read_text().replace("status: blocked", "status: active"))
        open_queue(project, queue="q2")
        token = worker.take(ledger, "q2", "w")[0].token
        worker.finish(ledger, token, "done", {"summary": "new"})
        outbox._write(ledger, slow, outbox._Here(ledger.root, [slow]), True)
    assert reports(path) == 1
    assert f"report {token} " in path.read_text()


def test_what_was_undone_meanwhile_is_not_written_by_a_slow_writer(project: Path) -> None:
    path = write_task(project, "a")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        accept(ledger)
        rows = ledger.outbox.pending()
        before = path.read_bytes()
        ledger.outbox.written(rows[0].token)
        outbox._write(ledger, rows[0], outbox._Here(ledger.root, rows), True)
    assert path.read_bytes() == before


def test_the_other_half_of_an_end_is_not_written_once_the_first_was_undone(
    project: Path, run_forked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project / "todos/001-ready-p2-a.md"
    path.parent.mkdir()
    path.write_text("---\nstatus: ready\n---\nDo it.\n")
    open_queue(project, ["todos"])
    before = path.read_bytes()
    with Ledger.open(str(project)) as ledger, monkeypatch.context() as killed:
        [claim] = worker.take(ledger, "q", "w")
        killed.setattr(write, "move", lambda *_: 1 / 0)
        worker.finish(ledger, claim.token, "done", {"summary": "did it"})
    assert path.read_bytes() != before
    assert run_forked("undo", "q").returncode == 0
    run_forked("status", "q")
    assert path.read_bytes() == before


def test_an_item_that_its_workers_died_of_is_told_in_its_file(project: Path) -> None:
    path = write_task(project, "a")
    open_queue(project, max_deaths=2)
    with Ledger.open(str(project)) as ledger:
        for _ in range(2):
            ledger.ends.end(worker.take(ledger, "q", "w")[0].token, "died", "turn limit")
        assert worker.take(ledger, "q", "w") == []
    text = path.read_text()
    assert "- Result: failed\n" in text
    assert "> 2 workers died while they held it; the last: turn limit\n" in text


def test_an_unforeseen_error_on_one_file_does_not_stop_the_others(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(project, "a")
    good = write_task(project, "b")
    open_queue(project)
    from hypervisor.tasks import report

    put = report.put

    def trip(path: str, *rest: Any) -> bool:
        if path.endswith("a.md"):
            raise RecursionError("too deep")
        return put(path, *rest)

    monkeypatch.setattr(report, "put", trip)
    with Ledger.open(str(project)) as ledger:
        accept(ledger)
        accept(ledger)
        assert outbox.flush(ledger) == [("a", "tasks/a.md: RecursionError: too deep")]
    assert reports(good) == 1


def test_summary_removes_what_killed_writers_and_old_edits_left(
    project: Path, run_forked: Any
) -> None:
    path = write_task(project, "a")
    left = path.with_name(".hypervisor-0123456789abcdef.tmp")
    theirs = path.with_name(".other.tmp")
    for name in (left, theirs):
        name.write_text("half")
    old = time.time() - 3600
    os.utime(left, (old, old))
    open_queue(project)
    undo = project / ".hypervisor/undo/q"
    undo.mkdir(parents=True)
    pack = undo / "20250101-0.jsonl"
    pack.write_text("{}\n")
    os.utime(pack, (old - 8 * 86400,) * 2)
    from hypervisor.tasks import temporary

    # The change time can't be set back: let the sweeper take a file that is a second old.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(temporary, "_SWEEP_SECONDS", 0.0)
        with Ledger.open(str(project)) as ledger:
            outbox.tidy(ledger, "q")
    assert not left.exists() and not pack.exists() and theirs.exists()
