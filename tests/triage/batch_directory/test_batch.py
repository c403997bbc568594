"""A directory with queue.txt as a queue: generations, counts, results, and what is left out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger
from hypervisor.system.errors import UsageError
from hypervisor.system.keys import key
from hypervisor.tasks.undo import Outside, UndoLog
from hypervisor.triage.batch_directory import locate, open_batch, place, shim, stats, work


def finish(folder: Path, limit: int = 1000) -> list[str]:
    """Work like one `batch_worker.py`; return the ids that ended, in their order."""
    return [end.claim.id for end in work(open_batch(str(folder)), limit)]


def results(folder: Path) -> dict[str, dict]:
    paths = (folder / "results").glob("*.json")
    return {path.stem: json.loads(path.read_text()) for path in paths}


def adds_up(counts: dict) -> bool:
    parts = ("claimed", "completed", "remaining", "not_queued")
    return counts["queue_total"] == sum(counts[name] for name in parts)


def test_a_batch_claims_up_to_its_number_and_reports_each_item_in_a_file(tasks, listed):
    folder = listed(tasks(12))
    assert len(finish(folder, 5)) == 5
    batch = open_batch(str(folder))
    counts = stats(batch)
    assert (counts["queue_total"], counts["completed"], counts["remaining"]) == (12, 5, 7)
    assert len(results(folder)) == 5
    assert len(finish(folder)) == 7
    told = results(folder)["t-003"]
    assert told["task_id"] == "t-003"
    assert told["action"] == "assign:bot"
    assert told["changes"] == ["assignee->bot", "added_wikilink"]
    assert {"path", "processed_at", "rule", "token", "worker", "outcome", "queue"} <= told.keys()


def test_missing_folders_are_made(tasks, listed):
    folder = listed(tasks(1))
    finish(folder)
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["locks", "results"]


def test_what_is_not_queued_is_counted_and_the_counts_add_up(tasks, listed, project):
    paths = tasks(6)
    paths[0].write_text("---\ntitle: Fix bug: parser\nstatus: active\n---\n")
    paths[1].write_text("a note\n")
    paths[2].write_text("---\nid: x\nstatus: done\n---\n")
    before = [path.read_bytes() for path in paths[:3]]
    folder = listed([*paths, paths[5], project / "gone.md", "", "  "], end="\r\n")
    batch = open_batch(str(folder))
    assert batch.checked is not None
    assert [entry.line for entry in batch.checked.broken if entry.path == "inbox/t-000.md"] == [2]
    counts = stats(batch)
    assert (counts["queue_total"], counts["remaining"], counts["not_queued"]) == (8, 3, 5)
    assert adds_up(counts)
    assert sorted(finish(folder)) == ["t-003", "t-004", "t-005"]
    counts = stats(open_batch(str(folder)))
    assert (counts["completed"], counts["remaining"]) == (3, 0)
    assert adds_up(counts)
    assert [path.read_bytes() for path in paths[:3]] == before


def test_an_empty_list_counts_nothing(listed):
    folder = listed([])
    counts = stats(open_batch(str(folder)))
    assert counts["queue_total"] == counts["remaining"] == counts["completed"] == 0
    assert finish(folder) == []


def test_an_item_that_breaks_after_it_was_queued_fails_with_a_report(tasks, listed):
    paths = tasks(2)
    folder = listed(paths)
    open_batch(str(folder))
    paths[0].write_bytes("---\ntitle: Café\nstatus: active\n---\n".encode("latin-1"))
    finish(folder)
    told = results(folder)["t-000"]
    assert told["outcome"] == "failed"
    assert "not UTF-8" in told["reason"]
    assert os.listdir(folder / "locks") == []


def test_a_mended_file_is_queued_the_next_time(tasks, listed):
    paths = tasks(2)
    good = paths[0].read_text()
    paths[0].write_text("---\ntitle: a: b\nstatus: active\n---\n")
    folder = listed(paths)
    assert finish(folder) == ["t-001"]
    paths[0].write_text(good)
    assert finish(folder) == ["t-000"]


def test_the_same_stem_in_two_folders_is_two_items(tasks, listed):
    paths = [*tasks(1, "one"), *tasks(1, "two")]
    for path in paths:
        path.write_text("---\ntitle: No id\ntype: task\n---\n")
    folder = listed(paths)
    assert sorted(finish(folder)) == ["one/t-000.md", "two/t-000.md"]
    assert len(results(folder)) == 2


def test_one_id_in_two_files_is_held_and_told(tasks, listed):
    folder = listed([*tasks(1, "one"), *tasks(1, "two")])
    batch = open_batch(str(folder))
    assert batch.checked is not None
    assert [entry.id for entry in batch.checked.held] == ["t-000", "t-000"]
    assert finish(folder) == []


def test_a_changed_list_is_a_new_generation_whose_results_are_its_own(tasks, listed):
    paths = tasks(4)
    folder = listed(paths[:3])
    finish(folder)
    listed(paths[2:])
    assert sorted(finish(folder)) == ["t-002", "t-003"]
    assert sorted(results(folder)) == ["t-002", "t-003"]
    aside = folder / "results" / "generation-1"
    assert sorted(path.name for path in aside.iterdir()) == [f"t-00{n}.json" for n in range(3)]
    counts = stats(open_batch(str(folder)))
    assert (counts["queue_total"], counts["completed"]) == (2, 2)


def test_a_second_batch_with_the_same_names_is_done_again(tasks, listed, tmp_path):
    folder = listed(tasks(2))
    assert len(finish(folder)) == 2
    again = tmp_path / "again"
    again.mkdir()
    (again / "queue.txt").write_bytes((folder / "queue.txt").read_bytes())
    assert len(finish(again)) == 2


def test_a_file_that_was_edited_after_its_batch_keeps_its_edits(tasks, listed):
    paths = tasks(2)
    folder = listed(paths[:1])
    finish(folder)
    paths[0].write_text(paths[0].read_text().replace("Fix the bug.", "Mine."))
    mine = paths[0].read_bytes()
    listed(paths)
    finish(folder)
    assert paths[0].read_bytes() == mine


def test_an_item_that_is_open_in_another_queue_is_held_until_that_ends(tasks, listed, tmp_path):
    folder = listed(tasks(2))
    open_batch(str(folder))
    other = tmp_path / "other"
    other.mkdir()
    (other / "queue.txt").write_bytes((folder / "queue.txt").read_bytes())
    assert finish(other) == []
    assert len(finish(folder)) == 2
    assert len(finish(other)) == 2


def test_the_ledger_is_that_of_the_root_that_the_items_share(tasks, listed, project, tmp_path):
    paths = tasks(2)
    folder = listed(paths)
    assert open_batch(str(folder)).root == str(project)
    loose = [tmp_path / "a" / "x.md", tmp_path / "b" / "y.md"]
    for path in loose:
        path.parent.mkdir()
        path.write_text("---\ntitle: T\ntype: task\n---\n")
    listed(loose)
    batch = open_batch(str(folder))
    assert batch.root == str(folder)
    assert len(finish(folder)) == 2
    assert all("assignee: nic" in path.read_text() for path in loose)


def test_relative_lines_and_task_ids_name_items_too(tasks, listed, project, monkeypatch):
    tasks(3)
    folder = listed(["inbox/t-000.md", "t-002"])
    monkeypatch.chdir(project)
    open_batch(str(folder))
    monkeypatch.chdir(folder)
    assert sorted(finish(folder)) == ["t-000", "t-002"]


def test_results_that_a_killed_worker_did_not_write_are_written_later(tasks, listed):
    folder = listed(tasks(3))
    finish(folder)
    (folder / "results" / "t-001.json").unlink()
    stats(open_batch(str(folder)))
    assert results(folder)["t-001"]["changes"] == ["assignee->bot", "added_wikilink"]


def test_a_crashed_workers_items_come_back_when_their_lease_ends(tasks, listed):
    folder = listed(tasks(3))
    batch = open_batch(str(folder))
    with Ledger.open(batch.root) as ledger:
        assert len(ledger.claims.claim(batch.queue, "crashed", 3, lease_seconds=0.01)) == 3
    assert sorted(os.listdir(folder / "locks")) == ["t-000", "t-001", "t-002"]
    time.sleep(0.05)
    assert len(finish(folder)) == 3
    assert os.listdir(folder / "locks") == []


HOSTILE = [
    "`touch pwned`", "$(touch pwned)", "; touch pwned", "a\nb", "../../escaped", "..", ".",
    "/etc/x", "-rf", "x" * 300, "é" * 200, "a\x1b[31mb", "%2e%2e", "a/../../b",
    "|touch pwned", "con.json",
]  # fmt: skip


def test_hostile_ids_and_titles_run_nothing_and_escape_nowhere(project, listed, tmp_path):
    folder_of_tasks = project / "odd"
    folder_of_tasks.mkdir()
    for number, text in enumerate(HOSTILE):
        header = f"id: {json.dumps(text)}\ntitle: {json.dumps(text)}\nproject: {json.dumps(text)}"
        path = folder_of_tasks / f"{number:02}.md"
        path.write_text(f"---\n{header}\nstatus: active\n---\n\nFix the bug.\n")
    names = [
        "`touch pwned`.md",
        "$(touch pwned).md",
        "a;touch pwned.md",
        "-n.md",
        "x" * 250 + ".md",
    ]
    for name in names:
        (folder_of_tasks / name).write_text("---\ntitle: T\nstatus: active\n---\n")
    paths = sorted(folder_of_tasks.iterdir())
    folder = listed(paths)
    before = everything(tmp_path)
    done = finish(folder)
    assert len(done) == len(HOSTILE) + len(names)
    assert {path.name for path in (folder / "results").iterdir()} == {
        f"{key(item)}.json" for item in done
    }
    new = {path for path in everything(tmp_path) - before if ".hypervisor" not in path}
    allowed = (str(folder / "results"), str(folder / "locks"), str(folder / "batch_worker.py"))
    assert {path for path in new if not path.startswith(allowed)} == {str(folder / ".batch.json")}


def everything(folder: Path) -> set[str]:
    return {os.path.join(at, name) for at, _, names in os.walk(folder) for name in names}


# -- where the batch directory is --


def test_the_named_directory_wins_then_the_current_one_then_the_shims(
    listed, batch, tmp_path, monkeypatch
):
    listed([])
    other = tmp_path / "other"
    other.mkdir()
    (other / "queue.txt").touch()
    monkeypatch.chdir(batch)
    assert locate(str(other)) == str(other.resolve())
    assert locate(None, str(other)) == str(batch)
    monkeypatch.chdir(tmp_path)
    assert locate(None, str(other)) == str(other.resolve())


def test_the_default_is_used_only_if_it_is_a_directory_of_ones_own(
    listed, batch, tmp_path, monkeypatch
):
    listed([])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(place, "DEFAULT", str(batch))
    assert locate(None) == str(batch)
    monkeypatch.setattr(os, "geteuid", lambda: batch.stat().st_uid + 1)
    with pytest.raises(UsageError, match="not your own"):
        locate(None)
    monkeypatch.undo()
    link = tmp_path / "link"
    link.symlink_to(batch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(place, "DEFAULT", str(link))
    with pytest.raises(UsageError, match="not your own"):
        locate(None)


def test_a_list_that_somebody_else_left_in_the_current_folder_is_refused(
    listed, batch, monkeypatch
):
    listed([])
    monkeypatch.chdir(batch)
    monkeypatch.setattr(os, "geteuid", lambda: batch.stat().st_uid + 1)
    with pytest.raises(UsageError, match="not your own"):
        locate(None)
    assert locate(str(batch)) == str(batch)


def test_without_a_list_the_error_says_how_to_make_one(batch):
    with pytest.raises(UsageError, match=r"no queue\.txt here; find FOLDER"):
        locate(str(batch))


# -- the shim --


def test_the_shim_says_so_when_the_plugin_has_moved(tasks, listed):
    folder = listed(tasks(1))
    open_batch(str(folder))
    path = folder / "batch_worker.py"
    text = path.read_text().replace("SCRIPT = '", "SCRIPT = '/gone")
    path.write_text(text)
    ran = subprocess.run([sys.executable, path], capture_output=True, text=True)
    assert ran.returncode == 1
    assert "no longer at /gone" in ran.stderr
    open_batch(str(folder))
    assert path.read_text() != text


def test_a_users_own_file_of_the_shims_name_is_left_alone(tasks, listed, tmp_path):
    folder = listed(tasks(1))
    path = folder / "batch_worker.py"
    path.write_text("print('mine')\n")
    open_batch(str(folder))
    assert path.read_text() == "print('mine')\n"
    path.unlink()
    target = tmp_path / "target"
    path.symlink_to(target)
    shim.put(str(folder))
    assert not target.exists()


def outside_task(tmp_path):
    path = tmp_path.resolve() / "mine" / "diary.md"
    path.parent.mkdir()
    path.write_text("---\nid: d1\ntitle: Fix the bug\nstatus: active\n---\n")
    return path


def test_the_users_own_list_names_files_anywhere_and_their_folders_are_told(
    tasks, listed, project, tmp_path
):
    diary = outside_task(tmp_path)
    folder = listed([*tasks(1), diary])
    batch = open_batch(str(folder))
    assert batch.checked is not None
    assert batch.checked.counts["ready"] == 2
    assert str(diary.parent) in batch.checked.folders_outside(batch.root)
    assert sorted(finish(folder)) == ["d1", "t-000"]
    assert "assignee" in diary.read_text()


def test_a_batch_directory_may_lead_out_and_its_folders_alone_may_be_edited(
    tasks, listed, project, tmp_path
):
    diary = outside_task(tmp_path)
    before = diary.read_bytes()
    folder = listed([*tasks(1), diary])
    batch = open_batch(str(folder))
    with Ledger.open(batch.root) as ledger:
        assert ledger.terms.folders(batch.queue) == {str(diary.parent), str(project / "inbox")}
        log = UndoLog(ledger.state, batch.queue, lambda: ledger.terms.folders(batch.queue))
        elsewhere = tmp_path.resolve() / "elsewhere.md"
        elsewhere.write_text("x")
        with pytest.raises(Outside):
            log.record([(str(elsewhere), b"x", b"y", "e")])
    finish(folder)
    assert diary.read_bytes() != before
    with Ledger.open(batch.root) as ledger:
        log = UndoLog(ledger.state, batch.queue, lambda: ledger.terms.folders(batch.queue))
        assert [one.outcome for one in log.restore("d1")] == ["restored"]
    assert diary.read_bytes() == before


@pytest.mark.parametrize("others", [0, 1])
def test_a_list_that_came_with_a_repository_leads_nowhere_outside_of_it(
    tasks, listed, batch, tmp_path, others
):
    diary = outside_task(tmp_path)
    before = diary.read_bytes()
    (batch / ".git").mkdir()
    inside = batch / "t.md"
    inside.write_text("---\nid: t\ntitle: T\nstatus: active\n---\n")
    folder = listed([inside, diary][1 - others :])
    opened = open_batch(str(folder))
    assert opened.checked is not None and opened.root == str(batch)
    assert [entry.kind for entry in opened.checked.held] == ["outside"]
    state = folder / ".batch.json"
    told = json.loads(state.read_text())
    state.write_text(json.dumps(told | {"again": [str(diary)]}))
    finish(folder)
    assert diary.read_bytes() == before


def test_a_list_without_end_is_refused(listed, batch):
    listed([])
    os.truncate(batch / "queue.txt", 1 << 30)
    with pytest.raises(UsageError, match="larger than 64 MiB"):
        open_batch(str(batch))
