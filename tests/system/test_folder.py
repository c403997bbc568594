"""A folder reached by its descriptor: no link in it leads anywhere else."""

from __future__ import annotations

import multiprocessing
import os
import socket
from pathlib import Path

import pytest

from hypervisor.system.folder import Folder, NotPlain, walk


@pytest.mark.parametrize("make", [False, True])
def test_no_folder_below_is_entered_through_a_link(tmp_path: Path, make: bool) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").symlink_to(tmp_path / "outside")
    folder = Folder.at(str(tmp_path / "in"))
    for names in (("a",), ("a", "b")):
        with pytest.raises(OSError):
            folder.below(*names, make=make)
    assert os.listdir(tmp_path / "outside") == []


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../a", "/etc"])
def test_a_name_is_one_word_below_the_folder(tmp_path: Path, name: str) -> None:
    folder = Folder.at(str(tmp_path))
    for use in (folder.open, folder.read, folder.remove, folder.look, folder.below):
        with pytest.raises(ValueError):
            use(name)


def test_what_is_no_plain_file_with_one_name_is_not_opened(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path))
    (tmp_path / "mine").write_text("precious")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("mine")
    (tmp_path / "second").hardlink_to(tmp_path / "mine")
    for name, kind in (("fifo", NotPlain), ("second", NotPlain), ("link", OSError)):
        with pytest.raises(kind):
            folder.open(name, os.O_RDWR | os.O_TRUNC)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError):
            folder.open("socket")
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_written_file_replaces_a_link_and_leaves_what_it_led_to(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path))
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "link").symlink_to("mine")
    folder.write("link", b"ours", sync=True)
    assert (tmp_path / "mine").read_text() == "precious"
    assert folder.read("link") == b"ours" and not (tmp_path / "link").is_symlink()
    assert folder.names() == ["link", "mine"]


def test_walking_passes_by_links_and_whatever_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").touch()
    (tmp_path / "a" / "link").symlink_to("b")
    os.mkfifo(tmp_path / "a" / "fifo")
    found = [(*above, name) for above, name, _ in walk(Folder.at(str(tmp_path)), "a")]
    assert found == [("a", "b", "file")]


def test_a_folder_is_closed_when_it_goes(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(50):
        Folder.at(str(tmp_path)).below("x", make=True)
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert after <= before + 1


def add_one(folder: str) -> None:
    for _ in range(50):
        with Folder.at(folder).locked("lock"):
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
    folder = Folder.at(str(tmp_path))
    with pytest.raises(OSError), folder.locked("lock"):
        pass
    with folder.locked("precious"):
        pass
    assert (tmp_path / "precious").read_text() == "keep"


def test_a_file_larger_than_any_of_ours_is_refused_unread(tmp_path: Path) -> None:
    folder = Folder.at(str(tmp_path))
    (tmp_path / "ours").write_bytes(b"ours")
    assert folder.read("ours", 4) == b"ours"
    with pytest.raises(NotPlain):
        folder.read("ours", 3)
    os.truncate(tmp_path / "ours", 1 << 40)
    with pytest.raises(NotPlain):
        folder.read("ours")
