"""The index says what pre-flight says, whatever happened to the files since the last look."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.config.settings import load
from hypervisor.intake.index import TaskIndex, files, index, keeping
from hypervisor.intake.preflight import check
from hypervisor.intake.sources import expand
from hypervisor.system.state import State

STATUSES = ("active", "active", "active", "done", "blocked", "cancelled", "odd", "in_progress")


@pytest.fixture(params=["told by the kernel", "looking at every file"])
def root(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    if request.param == "looking at every file":
        monkeypatch.setattr(files, "_watch", lambda root: None)
    (tmp_path / "tasks" / "archive").mkdir(parents=True)
    State.create(str(tmp_path))
    return tmp_path


def write(path: Path, item_id: str, **keys: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"id": item_id, "title": f"T {item_id}", "status": "active", **keys}
    path.write_text("---\n" + "".join(f"{k}: {v}\n" for k, v in told.items()) + "---\nText.\n")


def preflight_says(root: Path) -> set[str]:
    settings = load(str(root))
    found = expand(["tasks"], root=str(root), cwd=str(root), settings=settings)
    return {entry.path or "" for entry in check(found, root=str(root), settings=settings).ready}


def index_says(tasks: TaskIndex) -> set[str]:
    tasks.refresh()
    ready = {entry.path for entry in tasks.ready()}
    assert ready == {entry.path for entry in tasks.entries() if entry.is_ready}
    return ready


@pytest.mark.parametrize("seed", range(6))
def test_after_any_change_the_same_tasks_are_ready_as_for_a_new_preflight(
    root: Path, seed: int
) -> None:
    rng = random.Random(seed)
    tasks = TaskIndex(str(root))
    for _ in range(40):
        for _ in range(rng.randrange(3)):
            change(root, rng)
        assert index_says(tasks) == preflight_says(root)
    again = TaskIndex(str(root))
    assert index_says(again) == preflight_says(root)


def change(root: Path, rng: random.Random) -> None:
    """Do one of the things that people and tools do to task files."""
    name = f"t-{rng.randrange(12)}"
    folder = rng.choice(["tasks", "tasks", "tasks/deep", "tasks/archive"])
    path = root / folder / f"{name}.md"
    kind = rng.randrange(8)
    if kind == 0 and path.exists():
        path.unlink()
    elif kind == 1 and path.exists():
        path.rename(root / "tasks" / f"moved-{rng.randrange(5)}.md")
    elif kind == 2 and path.exists():
        with open(path, "r+b") as file:  # in place, and of the same length
            text = file.read()
            file.seek(0)
            file.write(text.replace(b"active", b"paused"))
    elif kind == 3:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("---\nid: x\ntitle: a: b\n---\n")
    else:
        keys = {"status": rng.choice(STATUSES), "type": rng.choice(["task", "epic"])}
        if rng.random() < 0.4 and "archive" not in folder:
            keys["parent"] = f"t-{rng.randrange(12)}"
        if rng.random() < 0.5:
            others = ", ".join(f"T-{rng.randrange(12)}" for _ in range(rng.randrange(1, 3)))
            keys["depends_on"] = f"[{others}]"
        if rng.random() < 0.2:
            keys["blocks"] = f"[T-{rng.randrange(12)}]"
        write(path, name, **keys)


def test_what_is_kept_on_the_disk_spares_reading_and_is_never_believed_over_a_file(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_WORTH_SAVING", 1)
    for number in range(8):
        write(root / "tasks" / f"t-{number}.md", f"t-{number}")
    for path in (root / "tasks").iterdir():
        os.utime(path, (1, 1))
    monkeypatch.setattr(files, "_TICK_NS", 0)
    first = TaskIndex(str(root))
    assert len(index_says(first)) == 8
    read: list[str] = []
    monkeypatch.setattr(index, "read", lambda path: read.append(path) or files_read(path))
    second = TaskIndex(str(root))
    assert len(index_says(second)) == 8 and read == []
    write(root / "tasks" / "t-3.md", "t-3", status="blocked")
    assert len(index_says(TaskIndex(str(root)))) == 7
    assert read == [str(root / "tasks" / "t-3.md")]
    kept = root / ".hypervisor" / keeping.NAME
    for damaged in (b"", b"{", b"[]", b'{"key": 1}', kept.read_bytes()[:-40], b"\xff"):
        kept.write_bytes(damaged)
        assert len(index_says(TaskIndex(str(root)))) == 7
    told = json.loads(kept.read_text())
    told["entries"] = [[1, 2]]
    kept.write_text(json.dumps(told))
    assert len(index_says(TaskIndex(str(root)))) == 7
    assert kept.stat().st_mode & 0o077 == 0


from hypervisor.tasks.read import read as files_read  # noqa: E402


def test_links_and_second_names_are_followed(root: Path) -> None:
    (root / ".hidden").mkdir()
    write(root / ".hidden" / "real.md", "t-1")
    (root / "tasks" / "t-1.md").symlink_to(root / ".hidden" / "real.md")
    tasks = TaskIndex(str(root))
    assert index_says(tasks) == {"tasks/t-1.md"}
    write(root / ".hidden" / "real.md", "t-1", status="blocked")
    assert index_says(tasks) == set()
    (root / "tasks" / "t-1.md").unlink()
    assert list(tasks.entries()) and index_says(tasks) == set() and not tasks.entries()
    write(root / ".hidden" / "other.md", "t-2")
    os.link(root / ".hidden" / "other.md", root / "tasks" / "t-2.md")
    assert index_says(tasks) == {"tasks/t-2.md"}
    with open(root / ".hidden" / "other.md", "r+") as file:
        text = file.read()
        file.seek(0)
        file.write(text.replace("active", "paused"))
    assert index_says(tasks) == set()


def test_a_project_without_state_gets_none(tmp_path: Path) -> None:
    write(tmp_path / "t-1.md", "t-1")
    tasks = TaskIndex(str(tmp_path))
    tasks.refresh()
    tasks.save()
    assert [entry.name for entry in tmp_path.iterdir()] == ["t-1.md"]


def test_what_another_task_blocks_is_ready_once_that_is_done(root: Path) -> None:
    tasks = TaskIndex(str(root))
    write(root / "tasks" / "a.md", "a")
    write(root / "tasks" / "b.md", "b", blocks="[a]")
    assert index_says(tasks) == preflight_says(root) == {"tasks/b.md"}
    write(root / "tasks" / "b.md", "b", blocks="[a]", status="done")
    assert index_says(tasks) == preflight_says(root) == {"tasks/a.md"}
    write(root / "tasks" / "b.md", "b", blocks="[a]", status="waiting")
    assert index_says(tasks) == preflight_says(root) == set()
    write(root / "tasks" / "b.md", "b", status="waiting")
    assert index_says(tasks) == preflight_says(root) == {"tasks/a.md"}
