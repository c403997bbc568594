"""Many files replaced together: each as if alone, and nothing left beside them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hypervisor.system.errors import FileChanged
from hypervisor.tasks import write
from hypervisor.tasks.read import NO_IDENTITY, Identity


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    made = [tmp_path / f"{number:03}.md" for number in range(150)]
    for path in made:
        path.write_text(f"old {path.stem}\n")
    return made


def edits(paths: list[Path]) -> list[tuple[str, write.Seen, bytes]]:
    return [(str(path), write.look(str(path)), b"new " + path.name.encode()) for path in paths]


def test_all_are_replaced_and_their_identities_told(paths, tmp_path):
    results = write.replace_many(edits(paths))
    for path, result in zip(paths, results, strict=True):
        assert path.read_bytes() == b"new " + path.name.encode()
        assert result == write.look(str(path)).identity
    assert sorted(tmp_path.iterdir()) == paths


def test_mode_attributes_and_links_are_kept(paths, tmp_path):
    paths[0].chmod(0o640)
    os.setxattr(paths[0], "user.note", b"kept") if hasattr(os, "setxattr") else None
    link = tmp_path / "link.md"
    link.symlink_to(paths[1])
    write.replace_many(edits([paths[0], link]))
    assert paths[0].stat().st_mode & 0o777 == 0o640
    assert not hasattr(os, "getxattr") or os.getxattr(paths[0], "user.note") == b"kept"
    assert link.is_symlink()
    assert paths[1].read_bytes() == b"new link.md"


def test_one_that_was_edited_or_cant_be_written_keeps_its_bytes_and_stops_no_other(paths, tmp_path):
    paths[2].chmod(0o444)
    planned = edits(paths[:6])
    paths[1].write_text("edited\n")
    paths[3].unlink()
    results = write.replace_many(planned)
    assert isinstance(results[1], FileChanged)
    assert isinstance(results[2], write.NotWritten)
    assert isinstance(results[3], FileChanged)
    assert [isinstance(results[place], Identity) for place in (0, 4, 5)] == [True] * 3
    assert paths[1].read_text() == "edited\n"
    assert paths[2].read_text() == "old 002\n"
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


@pytest.mark.parametrize("change", ["bytes", "mode"])
def test_an_edit_between_writing_and_exchanging_wins(paths, tmp_path, monkeypatch, change):
    sync = os.fsync

    def edited_meanwhile(descriptor: int) -> None:
        sync(descriptor)
        if change == "bytes":
            paths[1].write_text("edited\n")
        else:
            paths[1].chmod(0o600)

    planned = edits(paths[:2])
    monkeypatch.setattr(os, "fsync", edited_meanwhile)
    results = write.replace_many(planned)
    assert isinstance(results[1], FileChanged)
    assert isinstance(results[0], Identity)
    assert paths[1].read_text() == ("edited\n" if change == "bytes" else "old 001\n")
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


def test_the_same_file_twice_is_changed_once(paths):
    results = write.replace_many([*edits(paths[:1]), *edits(paths[:1])])
    assert isinstance(results[0], Identity)
    assert isinstance(results[1], FileChanged)


def test_a_file_seen_without_an_identity_is_compared_by_its_bytes(paths):
    seen = write.Seen(paths[0].read_bytes(), NO_IDENTITY)
    (result,) = write.replace_many([(str(paths[0]), seen, b"new")])
    assert isinstance(result, Identity)
    assert paths[0].read_bytes() == b"new"


def test_a_disk_that_refuses_leaves_all_as_they_were_and_nothing_beside_them(
    paths, tmp_path, monkeypatch
):
    def refuses(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = [path.read_bytes() for path in paths]
    planned = edits(paths)
    monkeypatch.setattr(os, "fsync", refuses)
    results = write.replace_many(planned)
    assert {str(result).partition(": ")[2] for result in results} == {
        "not written: No space left on device; free some space on the disk"
    }
    assert [path.read_bytes() for path in paths] == before
    assert sorted(tmp_path.iterdir()) == paths
