"""One atomic entry per item, born with its owner, that excludes the locks of other tools."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hypervisor.ledger import locks
from hypervisor.system.folder import Folder
from ledger.support import Child

OWNER = "17-x7q2@0123abcd:host:42"


def test_a_lock_is_taken_once_and_tells_its_owner_and_its_age(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path / "made" / "on" / "demand"), make=True)
    before = time.time()
    assert locks.take(folder, "a", OWNER)
    assert not locks.take(folder, "a", "18-abcd@0123abcd:host:43")
    lock = locks.holder(folder, "a")
    assert lock is not None
    assert (lock.kind, lock.owner, lock.path) == ("link", OWNER, f"{folder.path}/a")
    assert before - 1 <= lock.since <= time.time() + 1
    assert locks.holder(folder, "b") is None
    assert locks.holder(None, "a") is None


def test_only_its_maker_drops_a_lock(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path))
    locks.take(folder, "a", OWNER)
    assert not locks.drop(folder, "a", "ffffffff")
    assert not locks.drop(folder, "a", "0123abc")
    assert locks.drop(folder, "a", "0123abcd")
    assert not locks.drop(folder, "a", "0123abcd")
    assert folder.names() == []


@pytest.mark.parametrize("suffix", ["", ".lock"])
@pytest.mark.parametrize("kind", ["directory", "file"])
def test_locks_of_other_tools_are_seen_and_never_dropped(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    folder, path = Folder.at(str(tmp_path)), tmp_path / f"a{suffix}"
    path.mkdir() if kind == "directory" else path.touch()
    assert not locks.take(folder, "a", OWNER)
    lock = locks.holder(folder, "a")
    assert lock is not None
    assert (lock.kind, lock.owner, lock.path) == (kind, None, str(path))
    assert not locks.drop(folder, "a", "")
    assert folder.names() == [path.name], "nothing of ours is left beside it"


def test_the_lock_of_an_id_that_ends_in_lock_does_not_lock_its_namesake(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path))
    assert locks.take(folder, "a.lock", OWNER)
    assert locks.take(folder, "a", OWNER)
    assert not locks.take(folder, "a.lock", OWNER)


def test_a_lock_folder_that_is_a_file_or_a_link_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "locks").touch()
    with pytest.raises(OSError):
        Folder.at(str(tmp_path / "locks"), make=True)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError):
        Folder.at(str(tmp_path / "dangling"), make=True)


def _race(path: str, number: int) -> int:
    """Half of the processes lock by `mkdir`, half by a link."""
    won, folder = 0, Folder.at(path)
    for name in range(1000):
        if number % 2:
            won += bool(locks.take(folder, str(name), f"{number}-abcd@0123abcd:host:1"))
        else:
            try:
                os.mkdir(os.path.join(path, str(name)))
                won += 1
            except FileExistsError:
                pass
    return won


def test_links_and_folders_exclude_each_other_between_processes(tmp_path: Path) -> None:
    children = [Child(_race, str(tmp_path), number) for number in range(8)]
    assert sum(child.result() for child in children) == 1000
