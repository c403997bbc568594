"""Files that are gone, moved, or another task's now: triage ends no item by that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.triage.batch_directory import open_batch, stats, work
from hypervisor.worker import presence

Tasks = Callable[[int], list[Path]]
Listed = Callable[[list[Path]], Path]


def ended(folder: Path) -> list[str]:
    return [end.claim.id for end in work(open_batch(str(folder)), 100)]


@pytest.mark.parametrize("gone", ["removed", "another task's"])
def test_what_is_missing_is_passed_over_counted_apart_and_triaged_when_it_is_back(
    tasks: Tasks, listed: Listed, gone: str
) -> None:
    paths = tasks(4)
    folder = listed(paths)
    batch = open_batch(str(folder))
    before = [path.read_text() for path in paths[:3]]
    for path in paths[:3]:
        if gone == "removed":
            path.unlink()
        else:
            path.write_text(path.read_text().replace("id: t-", "id: other-"))
    theirs = {path: path.read_text() for path in paths[:3] if path.exists()}
    assert ended(folder) == ["t-003"]
    counts = stats(batch)
    assert (counts["remaining"], counts["missing"], counts["outcomes"]["failed"]) == (3, 3, 0)
    assert {path: path.read_text() for path in theirs} == theirs, "others' tasks stay as they are"
    for path, text in zip(paths, before, strict=False):
        path.write_text(text)
    assert ended(folder) == ["t-000", "t-001", "t-002"]
    assert stats(batch)["missing"] == 0


def test_a_task_that_was_moved_is_triaged_where_it_is(
    tasks: Tasks, listed: Listed, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "_SEARCH_SECONDS", 0.0)
    [path] = tasks(1)
    folder = listed([path])
    open_batch(str(folder))
    moved = path.rename(project / "elsewhere.md")
    assert ended(folder) == ["t-000"]
    assert "assignee: bot" in moved.read_text()
