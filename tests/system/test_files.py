"""How a file looks from outside, one written whole, and a lock that one process holds."""

from __future__ import annotations

import multiprocessing
import os
import stat
import time
from pathlib import Path

import pytest

from hypervisor.system.files import fingerprint, locked, write_whole


def test_a_fingerprint_tells_a_file_from_its_later_self_though_its_time_is_kept(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a"
    assert fingerprint(str(file)) is None
    file.write_text("one")
    before, first = file.stat(), fingerprint(str(file))
    assert fingerprint(str(file)) == first
    time.sleep(0.02)
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = fingerprint(str(file))
    assert second != first
    file.chmod(0o755)
    assert fingerprint(str(file)) != second


def test_a_fingerprint_is_a_link_s_own(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    (tmp_path / "link").symlink_to("a")
    before = fingerprint(str(tmp_path / "link"))
    (tmp_path / "a").write_text("longer")
    assert fingerprint(str(tmp_path / "link")) == before


def test_a_file_is_written_whole_or_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, other = tmp_path / "a", tmp_path / "other"
    write_whole(str(file), b"one")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    write_whole(str(file), b"two", mode=0o755, sync=False)
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"two", 0o755)
    # A link is replaced, never written through.
    other.write_text("theirs")
    (tmp_path / "link").symlink_to("other")
    write_whole(str(tmp_path / "link"), b"ours")
    assert other.read_text() == "theirs" and (tmp_path / "link").read_bytes() == b"ours"

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(str(file), b"three")
    assert file.read_bytes() == b"two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "link", "other"]


def add_one(folder: str) -> None:
    for _ in range(50):
        with locked(f"{folder}/lock"):
            count = Path(folder, "count")
            count.write_text(str(int(count.read_text()) + 1))


def test_one_process_at_a_time_holds_a_lock(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=add_one, args=(str(tmp_path),)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (tmp_path / "count").read_text() == "150"


def test_a_lock_is_never_taken_through_a_link_nor_emptied(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep")
    (tmp_path / "lock").symlink_to("precious")
    with pytest.raises(OSError), locked(str(tmp_path / "lock")):
        pass
    with locked(str(tmp_path / "precious")):
        pass
    assert (tmp_path / "precious").read_text() == "keep"
