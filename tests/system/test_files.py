"""How a file looks from outside, and one written whole."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from hypervisor.system.files import fingerprint, is_same, write_whole


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


def test_what_an_earlier_version_kept_is_compared_as_far_as_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("one")
    seen, now = file.stat(), fingerprint(str(file))
    of_task = f"{seen.st_size}-{seen.st_mtime_ns}-{seen.st_ctime_ns}-{seen.st_ino}"
    of_other = f"{seen.st_size}-{seen.st_mtime_ns}-{seen.st_ino}"
    assert is_same(now, now) and is_same(of_task, now) and is_same(of_other, now)
    time.sleep(0.02)
    file.write_text("two")
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    later = fingerprint(str(file))
    assert not is_same(now, later) and not is_same(of_task, later)
    file.write_text("longer")
    later = fingerprint(str(file))
    assert not is_same(of_other, later)
    assert is_same(None, None) and not is_same(None, now) and not is_same(of_task, None)
    assert not is_same("", now)


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
