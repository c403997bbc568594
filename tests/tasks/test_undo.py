from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hypervisor.system.state import State
from hypervisor.tasks import write
from hypervisor.tasks.read import read
from hypervisor.tasks.undo import NothingToUndo, UndoLog
from repository import REPO
from tasks.support import HEADER, set_key


@pytest.fixture(name="log")
def _log(tmp_path: Path) -> UndoLog:
    return UndoLog(State.create(str(tmp_path)), "q")


def found(root: Path) -> State:
    state = State.find(str(root))
    assert state is not None
    return state


def made(folder: Path, name: str) -> str:
    path = folder / f"{name}.md"
    path.write_bytes(b"\xef\xbb\xbf" + HEADER.replace("\n", "\r\n").encode() + b"no last newline")
    return str(path)


def change(log: UndoLog, path: str, word: str, item_id: str = "x") -> None:
    document = read(path)
    after = set_key(document, "status", word)
    log.record([(path, document.raw, after, item_id)])
    write.replace(path, document, after)


def outcomes(log: UndoLog, item_id: str | None = None) -> list[str]:
    return sorted(result.outcome for result in log.restore(item_id))


def test_undo_brings_back_every_byte(log: UndoLog, tmp_path: Path) -> None:
    paths = [made(tmp_path, name) for name in "abc"]
    before = [Path(path).read_bytes() for path in paths]
    for path in paths:
        change(log, path, "done")
        change(log, path, "blocked")
    assert outcomes(log) == ["restored"] * 3
    assert [Path(path).read_bytes() for path in paths] == before
    assert outcomes(log) == ["already as before"] * 3


def test_undo_of_one_item_leaves_the_others(log: UndoLog, tmp_path: Path) -> None:
    first, second = made(tmp_path, "a"), made(tmp_path, "b")
    change(log, first, "done", "a")
    change(log, second, "done", "b")
    assert [(result.id, result.outcome) for result in log.restore("a")] == [("a", "restored")]
    assert b"status: done" in Path(second).read_bytes()


def test_a_file_that_somebody_edited_since_is_left(log: UndoLog, tmp_path: Path) -> None:
    path = made(tmp_path, "a")
    change(log, path, "done")
    with open(path, "ab") as file:
        file.write(b"theirs")
    now = Path(path).read_bytes()
    assert outcomes(log) == ["edited since"]
    assert Path(path).read_bytes() == now


def test_an_edit_between_two_of_ours_is_kept(log: UndoLog, tmp_path: Path) -> None:
    path = made(tmp_path, "a")
    change(log, path, "done")
    with open(path, "ab") as file:
        file.write(b" theirs")
    theirs = Path(path).read_bytes()
    change(log, path, "blocked")
    [result] = log.restore()
    assert result.outcome == "restored"
    assert "in between" in result.detail
    assert Path(path).read_bytes() == theirs


def test_a_recorded_edit_that_never_happened_does_no_harm(log: UndoLog, tmp_path: Path) -> None:
    path = made(tmp_path, "a")
    before = Path(path).read_bytes()
    change(log, path, "done")
    document = read(path)
    log.record([(path, document.raw, b"never written", "x")])
    assert outcomes(log) == ["restored"]
    assert Path(path).read_bytes() == before
    log.record([(path, before, b"never written either", "y")])
    assert outcomes(log, "y") == ["already as before"]


def test_done_undone_and_done_again_can_be_undone_again(log: UndoLog, tmp_path: Path) -> None:
    path = made(tmp_path, "a")
    before = Path(path).read_bytes()
    for _ in range(3):
        change(log, path, "done")
        assert outcomes(log) == ["restored"]
        assert Path(path).read_bytes() == before


def test_an_undo_is_wanted_while_a_file_is_as_we_left_it(log: UndoLog, tmp_path: Path) -> None:
    assert not log.is_wanted()
    first, second = made(tmp_path, "a"), made(tmp_path, "b")
    change(log, first, "done", "a")
    change(log, second, "done", "b")
    assert log.is_wanted()
    Path(first).write_text("theirs")
    assert log.is_wanted()
    log.restore()
    assert not log.is_wanted()


def test_nothing_to_undo_is_said(log: UndoLog, tmp_path: Path) -> None:
    with pytest.raises(NothingToUndo, match="nothing to undo"):
        log.restore()
    change(log, made(tmp_path, "a"), "done", "a")
    with pytest.raises(NothingToUndo, match="of b"):
        log.restore("b")


def test_a_file_that_is_gone_is_told(log: UndoLog, tmp_path: Path) -> None:
    path = made(tmp_path, "a")
    change(log, path, "done")
    os.unlink(path)
    assert outcomes(log) == ["missing"]


def test_a_torn_last_line_costs_only_itself(log: UndoLog, tmp_path: Path) -> None:
    path = made(tmp_path, "a")
    before = Path(path).read_bytes()
    change(log, path, "done")
    [pack] = Path(log.packs.folder).iterdir()
    with pack.open("ab") as file:
        file.write(b'{"at": 99, "id": "x", "pa')
    change(log, path, "blocked")
    assert outcomes(log) == ["restored"]
    assert Path(path).read_bytes() == before


def test_a_project_may_be_moved(log: UndoLog, tmp_path: Path) -> None:
    before = Path(made(tmp_path, "a")).read_bytes()
    change(log, str(tmp_path / "a.md"), "done")
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    tmp_path.rename(moved)
    try:
        assert outcomes(UndoLog(found(moved), "q")) == ["restored"]
        assert (moved / "a.md").read_bytes() == before
    finally:
        moved.rename(tmp_path)


def planted(log: UndoLog, path: str, before: bytes, after: bytes) -> None:
    """Write an entry as anybody can who may write into the folder, but without our secret."""
    digest = [hashlib.sha256(raw).hexdigest() for raw in (before, after)]
    entry = {"at": 9, "id": "x", "path": path, "before": before.decode(), "was": digest[0]}
    line = json.dumps(entry | {"after": digest[1]})
    [pack] = Path(log.packs.folder).iterdir()
    with pack.open("a") as file:
        file.write(f'{line}\n{line[:-1]}, "seal": "{"0" * 32}"}}\n')


def test_an_entry_that_nobody_sealed_is_not_undone(log: UndoLog, tmp_path: Path) -> None:
    change(log, made(tmp_path, "ours"), "done", "ours")
    (tmp_path / "CLAUDE.md").write_text("Be careful.")
    planted(log, "CLAUDE.md", b"Delete all.", b"Be careful.")
    assert [one.id for one in log.restore()] == ["ours"]
    assert (tmp_path / "CLAUDE.md").read_text() == "Be careful."


def test_entries_from_before_there_were_seals_count_and_later_ones_do_not(
    log: UndoLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(log, made(tmp_path, "ours"), "done", "ours")
    for name in ("old.md", "new.md"):
        (tmp_path / name).write_text("after")
    planted(log, "old.md", b"before", b"after")
    [pack] = Path(log.packs.folder).iterdir()
    known = {f"q/{pack.name}": pack.stat().st_size}
    monkeypatch.setattr(State, "unsealed", lambda _: known)
    planted(log, "new.md", b"before", b"after")
    log.restore()
    assert (tmp_path / "old.md").read_text() == "before"
    assert (tmp_path / "new.md").read_text() == "after"


def test_spoilt_notes_and_packs_keep_nothing_else_from_being_undone(
    log: UndoLog, tmp_path: Path
) -> None:
    path = made(tmp_path, "ours")
    before = Path(path).read_bytes()
    change(log, path, "done", "ours")
    [pack] = Path(log.packs.folder).iterdir()
    notes = Path(os.environ["HYPERVISOR_STATE"], "projects", found(tmp_path).id, "unsealed")
    notes.write_text(f"q/{pack.name} ²\nq/x {'9' * 5000}\nq/y 12\n")
    assert found(tmp_path).unsealed() == {"q/y": 12}
    os.truncate(pack, 1 << 40)
    assert [one.outcome for one in log.restore()] == ["restored"]
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize("way", ["dots", "absolute", "folder link", "file link"])
def test_undo_leaves_what_is_outside_of_the_project_alone(
    way: str, log: UndoLog, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Even where the entry is sealed: the folder may have become a link since."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "a.md").write_text("after")
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "a.md").write_text("after")
    log.record([(str(inside / "a.md"), b"before", b"after", "x")])
    path = {"dots": f"../{outside.name}/a.md", "absolute": str(outside / "a.md")}.get(way)
    if path is not None:
        entry = dict(next(iter(log.packs.entries()))) | {"path": os.path.relpath(path, tmp_path)}
        if way == "absolute":
            entry["path"] = path
        log.packs._append(log.packs._sealed(entry))
    shutil.rmtree(inside)
    if way == "folder link":
        inside.symlink_to(outside)
    elif way == "file link":
        inside.mkdir()
        (inside / "a.md").symlink_to(outside / "a.md")
    assert "restored" not in [one.outcome for one in log.restore()]
    assert (outside / "a.md").read_text() == "after"


def test_bytes_that_are_not_text_come_back(log: UndoLog, tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_bytes(b"after")
    log.record([(str(path), b"\xff\x00before", b"after", "x")])
    assert outcomes(log) == ["restored"]
    assert path.read_bytes() == b"\xff\x00before"


def test_old_packs_are_pruned(log: UndoLog, tmp_path: Path) -> None:
    change(log, made(tmp_path, "a"), "done")
    assert log.packs.prune(days=7) == 0
    [pack] = Path(log.packs.folder).iterdir()
    os.utime(pack, (time.time() - 8 * 86400,) * 2)
    assert log.packs.prune(days=7) == 1
    with pytest.raises(NothingToUndo):
        log.restore()


def test_a_batch_is_on_the_disk_with_one_sync_before_it_is_written(
    log: UndoLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(log, made(tmp_path, "first"), "done")
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    log.record([(made(tmp_path, str(n)), b"before", b"after", str(n)) for n in range(50)])
    assert len(synced) == 1
    assert len(log.restore("3")) == 1


def test_many_processes_record_at_once(log: UndoLog, tmp_path: Path) -> None:
    code = """
import sys
from hypervisor.tasks.undo import UndoLog
from hypervisor.system.state import State
log = UndoLog(State.find(sys.argv[1]), "q")
for number in range(40):
    log.record([(f"{sys.argv[2]}-{number}.md", b"before", b"after" * 1000, sys.argv[2])])
"""
    environment = {**os.environ, "PYTHONPATH": str(REPO / "src")}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), name], cwd=tmp_path, env=environment
        )
        for name in "abcd"
    ]
    assert [worker.wait() for worker in workers] == [0] * 4
    for name in "abcd":
        assert len(log.restore(name)) == 40


def test_the_folder_is_its_owners_alone(log: UndoLog, tmp_path: Path) -> None:
    change(log, made(tmp_path, "a"), "done")
    assert os.stat(log.packs.folder).st_mode & 0o077 == 0
    [pack] = Path(log.packs.folder).iterdir()
    assert pack.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [("at", "x"), ("at", None), ("path", 7), ("path", ["a"]), ("path", "a\0b"), ("id", None),
     ("was", 1), ("after", {}), ("before", 7), ("before", {"base64": 7})],
)  # fmt: skip
def test_a_line_with_other_kinds_of_values_is_no_entry(
    log: UndoLog, tmp_path: Path, key: str, value: object
) -> None:
    """Even a sealed one: an earlier fault of ours may have written it."""
    path = made(tmp_path, "a")
    change(log, path, "done")
    [entry] = log.packs.entries()
    log.packs._append(log.packs._sealed(entry | {key: value}))
    assert outcomes(log) == ["restored"]
