from __future__ import annotations

import errno
import fcntl
import functools
import os
import resource
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from hypervisor.system.errors import FileChanged
from hypervisor.system.folder import Folder
from hypervisor.tasks import guard, rename, temporary, write
from hypervisor.tasks.read import read
from hypervisor.tasks.rename import CannotExchange
from hypervisor.tasks.write import NotWritten
from repository import REPO
from tasks.support import HEADER, set_key

SRC = str(REPO / "src")


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    path = tmp_path / "task.md"
    path.write_text(HEADER + "\nText\n")
    return path


def finish(path: Path, word: str = "done") -> None:
    document = read(str(path))
    write.replace(str(path), document, set_key(document, "status", word))


def no_temporaries(folder: Path) -> bool:
    return not [name for name in os.listdir(folder) if name.startswith(".hypervisor")]


def python(code: str, *args: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": SRC}
    return subprocess.Popen(
        [sys.executable, "-c", code, *args],
        env=environment,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )


def test_a_file_is_replaced_and_its_new_identity_told(path: Path) -> None:
    document = read(str(path))
    told = write.replace(str(path), document, b"new")
    assert path.read_bytes() == b"new"
    assert told == read(str(path)).identity
    assert no_temporaries(path.parent)


def test_mode_owner_and_attributes_are_kept(path: Path) -> None:
    path.chmod(0o640)
    try:
        os.setxattr(path, "user.note", b"kept")
        marked = True
    except OSError:
        marked = False
    if os.geteuid() == 0:
        os.chown(path, 12345, 23456)
    before = path.stat()
    finish(path)
    after = path.stat()
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    if marked:
        assert os.getxattr(path, "user.note") == b"kept"


def test_a_symbolic_link_stays_and_its_target_is_replaced(path: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    link = tmp_path / "other" / "link.md"
    link.symlink_to("../task.md")
    finish(link)
    assert link.is_symlink()
    assert "status: done" in path.read_text()
    assert no_temporaries(tmp_path)
    assert no_temporaries(link.parent)


def test_the_other_names_of_a_file_keep_the_old_bytes(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.md"
    os.link(path, other)
    finish(path)
    assert "status: done" in path.read_text()
    assert "status: active" in other.read_text()


def test_an_edited_file_is_not_overwritten(path: Path) -> None:
    document = read(str(path))
    path.write_text("somebody's\n")
    with pytest.raises(FileChanged):
        write.replace(str(path), document, b"ours")
    assert path.read_text() == "somebody's\n"
    assert no_temporaries(path.parent)


def test_a_change_that_leaves_size_and_times_is_seen(path: Path) -> None:
    document = read(str(path))
    path.write_text(path.read_text().replace("Text", "Txet"))
    now = read(str(path))
    document.identity = now.identity
    with pytest.raises(FileChanged):
        write.replace(str(path), document, b"ours")


def test_a_file_that_was_removed_or_renamed_over_is_not_written(path: Path, tmp_path: Path) -> None:
    document = read(str(path))
    other = tmp_path / "new.md"
    other.write_bytes(document.raw)
    os.replace(other, path)
    with pytest.raises(FileChanged):
        write.replace(str(path), document, b"ours")
    path.unlink()
    with pytest.raises(FileChanged):
        write.replace(str(path), document, b"ours")
    assert not path.exists()


def test_a_read_only_file_is_refused(path: Path) -> None:
    path.chmod(0o444)
    with pytest.raises(NotWritten, match="read-only"):
        finish(path)
    assert "active" in path.read_text()


def test_a_full_disk_leaves_the_file_as_it_was(path: Path) -> None:
    before = path.read_bytes()
    document = read(str(path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(NotWritten):
            write.replace(str(path), document, b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert no_temporaries(path.parent)


def test_a_folder_that_cannot_be_written_is_told() -> None:
    code = """
import os, sys
from hypervisor.tasks import read, write
folder = sys.argv[1]
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
path = os.path.join(folder, "task.md")
try:
    write.replace(path, read.read(path), b"ours")
except write.NotWritten as error:
    print(error)
"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "task.md")
        path.write_text(HEADER)
        path.chmod(0o666)
        Path(folder).chmod(0o555)
        try:
            told, _ = python(code, folder).communicate()
        finally:
            Path(folder).chmod(0o755)
        assert "make the folder and its files writable" in told
        assert path.read_text() == HEADER


def test_without_an_exchange_of_names_a_plain_rename_is_used(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(first: str, second: str) -> None:
        raise CannotExchange

    monkeypatch.setattr(rename, "exchange", unknown)
    finish(path)
    assert "status: done" in path.read_text()
    assert no_temporaries(path.parent)


@pytest.mark.parametrize("how", ["rename", "in place", "remove"])
def test_a_change_at_the_very_last_moment_wins(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    real = rename.exchange
    calls = 0

    def late(first: str, second: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            if how == "rename":
                (tmp_path / "new").write_text("theirs 1")
                os.replace(tmp_path / "new", path)
            elif how == "remove":
                path.unlink()
            else:
                # A file system without leases: the writer had it open.
                os.pwrite(writer, b"theirs 1", 0)
                os.ftruncate(writer, 8)
        elif calls == 2 and how == "rename":
            (tmp_path / "new").write_text("theirs 2")
            os.replace(tmp_path / "new", path)
        real(first, second)

    document = read(str(path))
    writer = os.open(path, os.O_WRONLY)
    monkeypatch.setattr(rename, "exchange", late)
    monkeypatch.setattr(rename, "take_lease", lambda descriptor: False)
    try:
        with pytest.raises(FileChanged):
            write.replace(str(path), document, b"ours")
    finally:
        os.close(writer)
    if how == "remove":
        assert not path.exists()
    else:
        assert path.read_text() == ("theirs 2" if how == "rename" else "theirs 1")
    assert no_temporaries(tmp_path)


def test_a_file_that_is_open_for_writing_elsewhere_is_left_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_WRITER_SECONDS", 0.05)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        can_tell = rename.take_lease(descriptor)
    finally:
        os.close(descriptor)
    with path.open("r+") as writer:
        if can_tell:
            with pytest.raises(NotWritten, match="open for writing"):
                finish(path)
        writer.write("---")
    finish(path)
    assert "status: done" in path.read_text()


def test_a_locked_file_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_LOCK_SECONDS", 0.05)
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(NotWritten, match="lock"):
            finish(path)
    finish(path)


def test_only_old_temporaries_that_nobody_holds_are_moved_away_and_none_is_lost(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    recovered = tmp_path_factory.mktemp("state") / "recovered"
    keep = functools.partial(Folder.at, str(recovered), make=True)
    names = [f".hypervisor-{number:016x}.tmp" for number in range(3)]
    for name in [*names, ".hypervisor-notes.tmp", "x.tmp"]:
        (tmp_path / name).write_text("left")
    assert write.sweep_temporaries(str(tmp_path), keep) == 0
    held = (tmp_path / names[0]).open()
    fcntl.flock(held, fcntl.LOCK_EX)
    seconds, temporary._SWEEP_SECONDS = temporary._SWEEP_SECONDS, -10.0
    try:
        assert write.sweep_temporaries(str(tmp_path), keep) == 2
    finally:
        temporary._SWEEP_SECONDS = seconds
        held.close()
    assert sorted(os.listdir(tmp_path)) == [names[0], ".hypervisor-notes.tmp", "x.tmp"]
    assert [(recovered / name).read_text() for name in names[1:]] == ["left", "left"]


COUNTER = """
import sys
from hypervisor.system.errors import FileChanged
from hypervisor.tasks import edit, read, write
path, key, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
for number in range(rounds):
    while True:
        document = read.read(path)
        after = edit.edit(document, [edit.SetKey(key, f"n{number}")]).after
        count = int(document.raw_text("count")) + 1
        document2 = read.parse(after, path, document.identity)
        after = edit.edit(document2, [edit.SetKey("count", f"{count}")]).after
        try:
            write.replace(path, document, after, sync_folder=False)
            break
        except FileChanged:
            pass
"""


def test_two_of_our_writers_lose_nothing_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "task.md"
    path.write_text("---\nid: x\ncount: 0\n---\n")
    workers = [python(COUNTER, str(path), key, "60") for key in ("a", "b", "c")]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    document = read(str(path))
    assert document.raw_text("count") == "180"
    assert [document.raw_text(key) for key in "abc"] == ["n59"] * 3
    assert no_temporaries(tmp_path)


EDITOR = """
import os, random, sys, time
path, how, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
def body(number):
    return "\\n# Round %d\\n\\n" % number + ("line of %d\\n" % number) * 300 + "end %d\\n" % number
def look(number):
    with open(path, newline="") as source:
        header, _, rest = source.read().partition("\\n---\\n")
    return header if rest == body(number) else None
for number in range(1, rounds + 1):
    # Ours may show for some microseconds before it is taken back.
    for attempt in range(200):
        header = look(number - 1)
        if header is not None:
            break
        time.sleep(0.005)
    else:
        print("round", number - 1, "is lost"); break
    text = header + "\\n---\\n" + body(number)
    if how == "rename":
        with open(path + "~", "w") as out:
            out.write(text)
        os.rename(path + "~", path)
    else:
        with open(path, "w") as out:
            out.write(text)
    time.sleep(random.random() * 0.002)
else:
    for attempt in range(200):
        if look(rounds) is not None:
            print("all there"); break
        time.sleep(0.005)
"""


@pytest.mark.parametrize("how", ["rename", "in place"])
def test_no_change_of_an_editor_is_lost_in_a_thousand_rounds(tmp_path: Path, how: str) -> None:
    path = tmp_path / "task.md"
    lines = "line of 0\n" * 300
    path.write_text(f"---\nid: x\nstatus: n\n---\n\n# Round 0\n\n{lines}end 0\n")
    editor = python(EDITOR, str(path), how, "1000")
    written = changed = number = 0
    try:
        while editor.poll() is None:
            number += 1
            document = read(str(path))
            # An editor that writes in place shows an empty file or a part of one.
            if document.meta is None or "\nend " not in document.body:
                continue
            after = set_key(document, "status", f"n{number}")
            try:
                write.replace(str(path), document, after, sync_folder=False)
                written += 1
            except FileChanged:
                changed += 1
    finally:
        editor.kill()
        told, _ = editor.communicate()
    assert told == "all there\n"
    assert written
    assert changed
    assert no_temporaries(tmp_path)


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "task.md"
    path.write_text("---\nid: x\ncount: 0\n---\n" + "text\n" * 2000)
    for number in range(25):
        worker = python(COUNTER.replace("import sys", "import sys; print(flush=True)"),
                        str(path), "a", "100000")  # fmt: skip
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(0.001 * number + 0.03)
        worker.kill()
        worker.communicate()
        document = read(str(path))
        assert document.body == "text\n" * 2000
        assert document.raw_text("count") is not None
    seconds, temporary._SWEEP_SECONDS = temporary._SWEEP_SECONDS, -10.0
    try:
        recovered = str(tmp_path.parent / "recovered")
        write.sweep_temporaries(str(tmp_path), functools.partial(Folder.at, recovered, make=True))
    finally:
        temporary._SWEEP_SECONDS = seconds
    assert os.listdir(tmp_path) == ["task.md"]


def test_a_writer_killed_on_its_way_to_the_disk_leaves_nothing_beside_the_file(path: Path) -> None:
    def killed(word: str) -> None:
        document = read(str(path))
        os.fsync = lambda _: os._exit(9)
        write.replace(str(path), document, set_key(document, "status", word))

    before = path.read_bytes()
    pid = os.fork()
    if pid == 0:
        killed("done")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert path.read_bytes() == before
    assert no_temporaries(path.parent)


def test_an_error_of_the_system_is_told_in_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotWritten, match="No space left on device; free some space"):
        finish(path)
    assert no_temporaries(path.parent)
