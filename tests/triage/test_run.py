"""One worker's loop: what it writes, what it leaves alone, and what it says about it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hypervisor.tasks import write
from hypervisor.tasks.undo import UndoLog


def test_every_item_ends_in_one_report_that_says_what_changed_and_why(
    write_tasks, open_queue, worker, rows
):
    paths = write_tasks(7)
    open_queue(paths)
    assert worker.work(3) == 7
    for path in paths:
        row = rows()[path.stem]
        assert row.state == "done"
        assert row.report["changes"] == ["assignee->bot", "added_wikilink"]
        assert "Fix the bug" in row.report["rule"]
        text = path.read_text()
        assert "assignee: bot\n" in text
        assert f"# Task {path.stem}\n\nProject: [[garden]]\n\nFix" in text


def test_a_second_queue_over_the_same_files_changes_no_byte(write_tasks, open_queue, worker, rows):
    paths = write_tasks(5)
    open_queue(paths)
    worker.work()
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths]
    open_queue(paths)
    worker.work()
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths] == before
    assert {row.report["summary"] for row in rows().values()} == {"nothing to change"}


@pytest.mark.parametrize(
    ("raw", "outcome", "reason"),
    [
        (b"---\ntitle: Fix bug: parser\nstatus: active\n---\n", "failed", ":2: not YAML"),
        (b"---\nid: a\nstatus: active\nstatus: done\n---\n", "failed", "lines 3 and 4"),
        ("---\ntitle: Café\nstatus: active\n---\n".encode("latin-1"), "failed", "not UTF-8"),
        (b"---\n- a\n- list\n---\n", "failed", "list"),
        (b"a note\n", "skipped", "not a task"),
        (b"---\nid: a\nstatus: done\n---\n", "skipped", "already complete"),
        (b"---\nid: a\nstatus: Won't Do\n---\n", "skipped", "cancelled"),
    ],
)
def test_what_cant_be_triaged_is_told_and_never_written(
    write_tasks, open_queue, worker, rows, raw, outcome, reason
):
    odd, good = write_tasks(2)
    open_queue([odd, good])
    odd.write_bytes(raw)
    worker.work()
    row = rows()[odd.stem]
    assert row.state == outcome
    assert reason in row.report["reason"]
    assert odd.read_bytes() == raw
    assert rows()[good.stem].state == "done"


def test_an_integer_title_is_a_title(write_tasks, open_queue, worker, rows):
    (path,) = write_tasks(1)
    path.write_text("---\nid: 20260119\ntitle: 2026\ntype: task\n---\n")
    open_queue([path])
    worker.work()
    assert rows()[path.stem].report["changes"] == ["assignee->nic"]


def test_a_file_that_an_editor_changed_meanwhile_is_read_again(
    write_tasks, open_queue, worker, rows, monkeypatch
):
    (path,) = write_tasks(1)
    open_queue([path])
    replace, calls = write._replace, []

    def edited_first(target, *args, **options):
        calls.append(target)
        if len(calls) == 1:
            path.write_text(path.read_text().replace("Fix the bug.", "Please review."))
        return replace(target, *args, **options)

    monkeypatch.setattr(write, "_replace", edited_first)
    worker.work()
    assert len(calls) == 2
    assert rows()[path.stem].report["changes"] == ["assignee->nic", "added_wikilink"]
    assert "Please review." in path.read_text()
    assert "assignee: nic\n" in path.read_text()


def test_a_file_that_is_edited_all_the_time_fails_and_keeps_the_editors_text(
    write_tasks, open_queue, worker, rows, monkeypatch
):
    (path,) = write_tasks(1)
    open_queue([path])
    replace = write._replace

    def always_edited(target, *args, **options):
        path.write_text(path.read_text() + "more\n")
        return replace(target, *args, **options)

    monkeypatch.setattr(write, "_replace", always_edited)
    worker.work()
    assert rows()[path.stem].state == "failed"
    assert path.read_text().endswith("more\nmore\nmore\n")
    assert "assignee" not in path.read_text()


def test_a_task_that_somebody_completes_meanwhile_is_skipped(
    write_tasks, open_queue, worker, rows, monkeypatch
):
    (path,) = write_tasks(1)
    open_queue([path])
    replace, calls = write._replace, []

    def completed_first(target, *args, **options):
        if not calls:
            path.write_text(path.read_text().replace("status: active", "status: done"))
        calls.append(target)
        return replace(target, *args, **options)

    monkeypatch.setattr(write, "_replace", completed_first)
    worker.work()
    row = rows()[path.stem]
    assert (row.state, row.report["reason"]) == ("skipped", "already complete")
    assert "assignee" not in path.read_text()


@pytest.mark.parametrize("moment", ["before the file was written", "after it was written"])
@pytest.mark.parametrize("body", ["Fix the bug.", "## Close Reason\n\nx"])
def test_a_worker_that_died_is_followed_by_one_that_reports_its_stored_plan(
    write_tasks, open_queue, worker, rows, ledger, monkeypatch, moment, body
):
    (path,) = write_tasks(1, body)
    open_queue([path])
    replace = write._replace

    class Killed(BaseException):
        pass

    def dies(*args, **options):
        if moment == "after it was written":
            replace(*args, **options)
        raise Killed

    monkeypatch.setattr(write, "_replace", dies)
    with pytest.raises(Killed):
        worker.work()
    monkeypatch.undo()
    written = path.read_bytes()
    assert ledger.ends.end_worker("w", "died") == [path.stem]
    worker.work()
    row = rows()[path.stem]
    assert row.state == "done"
    first = "assignee->bot" if "Fix" in body else "status->done"
    assert row.report["changes"] == [first, "added_wikilink"]
    if moment == "after it was written":
        assert path.read_bytes() == written
    UndoLog(ledger.state, "triage").restore()
    assert "[[garden]]" not in path.read_text()


def test_an_item_whose_worker_died_is_tried_alone(write_tasks, open_queue, worker, ledger):
    paths = write_tasks(6)
    open_queue(paths)
    ledger.claims.claim("triage", "dead", 2)
    ledger.ends.end_worker("dead", "died")
    batches = []
    real = worker.batch
    worker.batch = lambda claims: batches.append([c.id for c in claims]) or real(claims)
    worker.work(50)
    assert [len(batch) for batch in batches] == [4, 1, 1]
    assert batches[1:] == [[paths[0].stem], [paths[1].stem]]


def test_an_item_that_kills_every_worker_fails_alone(write_tasks, open_queue, worker, rows, ledger):
    paths = write_tasks(6)
    open_queue(paths)
    real = worker.batch

    class Killed(BaseException):
        pass

    def deadly(claims):
        if any(claim.id == paths[2].stem for claim in claims):
            raise Killed
        return real(claims)

    worker.batch = deadly
    for _ in range(20):
        try:
            worker.work(4)
        except Killed:
            ledger.ends.end_worker("w", "died")
    states = {item: row.state for item, row in rows().items()}
    assert states == {path.stem: "failed" if path == paths[2] else "done" for path in paths}


def test_undo_brings_back_every_byte(write_tasks, open_queue, worker, ledger):
    paths = write_tasks(5)
    paths[0].write_bytes(b"\xef\xbb\xbf" + paths[0].read_bytes().replace(b"\n", b"\r\n"))
    before = {path: path.read_bytes() for path in paths}
    open_queue(paths)
    worker.work()
    assert all(path.read_bytes() != raw for path, raw in before.items())
    UndoLog(ledger.state, "triage").restore()
    assert {path: path.read_bytes() for path in paths} == before


def test_old_bytes_and_plans_are_kept_before_the_first_file_is_written(
    write_tasks, open_queue, worker, ledger, project, monkeypatch
):
    paths = write_tasks(3)
    open_queue(paths)
    replace, seen = write._replace, []

    def looks(target, *args, **options):
        kept = "".join(pack.read_text() for pack in (project / ".hypervisor/undo/triage").iterdir())
        plans = [row.plan for row in ledger.queries.results("triage")]
        seen.append(all(path.stem in kept for path in paths) and all(map(json.loads, plans)))
        return replace(target, *args, **options)

    monkeypatch.setattr(write, "_replace", looks)
    worker.work()
    assert seen == [True] * 3


def test_a_lost_claim_is_not_written(write_tasks, open_queue, worker, rows, ledger, monkeypatch):
    paths = write_tasks(2)
    open_queue(paths)
    store = ledger.claims.store_plans

    def lost(plans):
        ledger.ends.end_worker("w", "freed")
        return store(plans)

    monkeypatch.setattr(ledger.claims, "store_plans", lost)
    before = [path.read_bytes() for path in paths]
    worker.batch(ledger.claims.claim("triage", "w", 2))
    assert [path.read_bytes() for path in paths] == before
    assert {row.state for row in rows().values()} == {"ready"}


def test_a_symlinked_task_is_written_where_it_lies(write_tasks, open_queue, worker, project: Path):
    (path,) = write_tasks(1)
    link = project / "link.md"
    os.symlink(path, link)
    open_queue([link])
    worker.work()
    assert link.is_symlink()
    assert "assignee: bot" in path.read_text()


def test_a_full_disk_stops_the_worker_and_is_not_held_against_the_items(
    write_tasks, open_queue, worker, rows, monkeypatch
):
    paths = write_tasks(3)
    before = [path.read_bytes() for path in paths]
    open_queue(paths)

    def full(edits):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(worker._undo, "record", full)
    with pytest.raises(OSError, match="No space"):
        worker.work()
    assert [(row.state, row.deaths) for row in rows().values()] == [("ready", 0)] * 3
    assert [path.read_bytes() for path in paths] == before
    monkeypatch.undo()
    worker.work()
    assert {row.state for row in rows().values()} == {"done"}


def test_a_heading_in_a_fence_is_not_taken_for_the_title(write_tasks, open_queue, worker):
    (path,) = write_tasks(1)
    header = "---\nid: a\ntitle: T\nstatus: active\nproject: garden\n---\n"
    path.write_text(f"{header}\n```bash\n# install\nmake\n```\n\n# Real\n\nText.\n")
    open_queue([path])
    worker.work()
    body = path.read_text().partition("---\n\n")[2]
    assert body == "```bash\n# install\nmake\n```\n\n# Real\n\nProject: [[garden]]\n\nText.\n"


def test_a_worker_waits_for_what_a_silent_one_holds(write_tasks, open_queue, worker, rows, ledger):
    open_queue(write_tasks(3))
    assert len(ledger.claims.claim("triage", "silent", 2, lease_seconds=0.3)) == 2
    assert worker.work(wait=False) == 1
    assert worker.work(wait=True) == 2
    assert {row.state for row in rows().values()} == {"done"}


def test_a_worker_leaves_what_another_tool_has_locked(
    write_tasks, open_queue, worker, rows, ledger
):
    paths = write_tasks(3)
    open_queue(paths)
    os.mkdir(f"{ledger.root}/.hypervisor/locks/t-00001")
    worker.work(wait=True)
    states = {item: row.state for item, row in rows().items()}
    assert states == {"t-00000": "done", "t-00001": "ready", "t-00002": "done"}
    assert os.path.isdir(f"{ledger.root}/.hypervisor/locks/t-00001")
