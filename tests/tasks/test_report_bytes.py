"""A report changes the status and its own section, and not one byte more."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger
from hypervisor.tasks.undo import UndoLog
from worker.support import open_queue, reports, states, write_task

HEADERS = {
    "a byte order mark": "\ufeff---\nid: a\nstatus: active\n---\n",
    "a rule in the title": "---\nid: a\ntitle: 'before --- after'\nstatus: active\n---\n",
    "comments and quotes": "---\n# first\nid: \"a\" # the id\n\nstatus:   'active'   # now\n---\n",
    "odd scalars": "---\nid: a\nv: 1.10\nm: 0755\nn: 01\ny: yes\nd: 2026-01-20T10:00:00Z\n"
    "t: 12:30\nz: ~\nstatus: active\n---\n",
    "flow lists": "---\nid: a\ntags: [ x,  y ]\nm: {a: 1,  b: 2}\nstatus: active\n---\n",
    "block scalars and anchors": "---\nid: a\nstatus: active\nnote: |\n  one\n\n  two\n\n"
    "base: &b {k: 1}\nuse: *b\n---\n",
    "keys nobody knows": "---\nid: a\nstatus: active\nx-mine: [1, {deep: 'er'}]\nZ: é\n---\n",
    "no status yet": "---\nid: a\ntype: task\n---\n",
}


def end(root: Path, outcome: str = "done", **report: Any) -> None:
    with Ledger.open(str(root)) as ledger:
        worker.finish(ledger, worker.take(ledger, "q", "w")[0].token, outcome, report)
        assert ledger.outbox.pending() == []


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_every_other_byte_of_the_front_matter_stays(
    project: Path, header: str, newline: str
) -> None:
    path = project / "named after nothing.md"
    body = "\n# T\n\nDo it.  \n\ttabs\n"
    before = (header + body).replace("\n", newline).encode()
    path.write_bytes(before)
    open_queue(project, [path.name])
    end(project, summary="x")
    after = path.read_bytes()
    head, _, section = after.partition(b"<!-- hypervisor:report ")
    assert section
    if b"status" in before:
        expected = before.replace(b"active", b"done")
    else:
        line = f"status: done{newline}---{newline}{newline}#".encode()
        expected = before.replace(f"---{newline}{newline}#".encode(), line)
    assert head == expected + newline.encode()
    assert sorted(os.listdir(project)) == [".hypervisor", path.name]


def test_blocking_a_task_keeps_its_text(project: Path) -> None:
    path = write_task(project, "a", body="# T\n\nAll of this stays.\n\n## Notes\n\n- one\n")
    before = path.read_text()
    open_queue(project)
    end(project, "blocked", reason="no")
    after = path.read_text()
    assert after.startswith(before.replace("status: active", "status: blocked"))


def test_mode_and_links_of_a_file_stay(project: Path) -> None:
    path = write_task(project, "a")
    path.chmod(0o640)
    open_queue(project)
    end(project, summary="x")
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("how", ["in place", "by a rename"])
def test_what_somebody_edits_while_the_report_is_written_stays(
    project: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    path = write_task(project, "a")
    open_queue(project)
    record = UndoLog.record
    edits = iter([b"an edit\n", b"another edit\n"])

    def edited_meanwhile(log: UndoLog, entries: Any) -> None:
        # The report is planned by now, and not yet written.
        record(log, entries)
        text = next(edits, None)
        if text is None:
            return
        if how == "in place":
            with path.open("ab") as out:
                out.write(text)
        else:
            other = path.with_suffix(".new")
            other.write_bytes(path.read_bytes() + text)
            other.rename(path)

    monkeypatch.setattr(UndoLog, "record", edited_meanwhile)
    end(project, summary="x")
    text = path.read_text()
    assert "an edit\nanother edit\n" in text
    assert reports(path) == 1 and "status: done\n" in text


def test_nothing_to_do_is_an_end_like_any_other(project: Path) -> None:
    path = write_task(project, "a")
    open_queue(project)
    end(project, summary="Nothing had to be changed.")
    assert states(project) == {"a": "done"}
    assert "> Nothing had to be changed.\n" in path.read_text()
    with Ledger.open(str(project)) as ledger:
        assert worker.take(ledger, "q", "w") == []


def test_a_lock_folder_that_is_gone_is_made_again(project: Path) -> None:
    path = write_task(project, "a")
    open_queue(project)
    (project / ".hypervisor/locks").rmdir()
    end(project, summary="x")
    assert reports(path) == 1
    assert os.listdir(project / ".hypervisor/locks") == []


def test_an_id_longer_than_a_file_name_may_be_is_worked_like_any_other(project: Path) -> None:
    path = project / "long.md"
    path.write_text(f"---\nid: {'long/' * 100}\nstatus: active\n---\n")
    open_queue(project, ["long.md"])
    end(project, summary="x")
    assert reports(path) == 1
