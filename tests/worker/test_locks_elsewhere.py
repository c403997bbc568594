"""A lock of another tool counts at every hand-out, in every folder that pre-flight looks into."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.config import lock_folders, settings
from hypervisor.config.roots import user_file
from hypervisor.ledger import Ledger
from worker.support import open_queue, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]

LOCKS: dict[str, tuple[str, Callable[[str], None]]] = {
    "a folder in locks/": ("locks/t0", os.mkdir),
    "a file in locks/": ("locks/t0.lock", lambda path: Path(path).touch()),
    "a link in locks/": ("locks/t0", lambda path: os.symlink("somebody@else", path)),
    "by the name of the file": ("locks/file", os.mkdir),
    "a file beside the task": ("tasks/file.md.lock", lambda path: Path(path).touch()),
    "a folder of the settings": ("theirs/t0", os.mkdir),
}
SETTINGS = '[preflight]\n"lock\\u005ffolders" = ["theirs"]\n'


@pytest.fixture(params=LOCKS)
def lock(project: Path, request: pytest.FixtureRequest) -> Callable[[], Path]:
    """Lock the first of two tasks, which are open in a queue, as another tool does."""
    write_task(project, "t0").rename(project / "tasks/file.md")
    write_task(project, "t1")
    place, make = LOCKS[request.param]
    (project / place).parent.mkdir(exist_ok=True)
    if place.startswith("theirs"):
        (project / "hypervisor.toml").write_text(SETTINGS)
    open_queue(project)

    def lock() -> Path:
        make(str(project / place))
        return project / place

    return lock


def test_a_lock_that_came_after_open_is_passed_over_told_and_free_when_it_is_gone(
    project: Path, lock: Callable[[], Path], run_hypervisor: Run
) -> None:
    place = lock()
    with Ledger.open(str(project)) as ledger:
        assert [claim.id for claim in worker.take(ledger, "q", "w", 2)] == ["t1"]
        assert worker.take(ledger, "q", "w", only="t0") == []
    shown = place.relative_to(project).as_posix()
    for words in (["next", "q"], ["next", "q", "--id", "t0"]):
        said = run_hypervisor(*words).stdout
        assert "t0 is locked by" in said, said
        assert place.is_symlink() or shown in said
    told = json.loads(run_hypervisor("show", "t0", "--json").stdout)
    assert [one["path"] for one in told["locks"]] == [str(place)]
    if place.is_dir() and not place.is_symlink():
        place.rmdir()
    else:
        place.unlink()
    with Ledger.open(str(project)) as ledger:
        assert [claim.id for claim in worker.take(ledger, "q", "w")] == ["t0"]


def test_a_lock_counts_for_the_next_item_of_the_worker_that_has_just_ended_one(
    project: Path, lock: Callable[[], Path], run_hypervisor: Run
) -> None:
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w", only="t1")
    lock()
    said = run_hypervisor("done", claim.token, "--summary", "did it", "--next")
    assert "claim " not in said.stdout and "t0 is locked by" in said.stdout


@pytest.mark.parametrize(
    ("project_says", "user_says"),
    [
        ("", ""),
        ("preflight.lock_folders = ['mine', '../out', '/tmp/batch/locks']", ""),
        ("", "preflight.lock_folders = ['/srv/locks']"),
        ("preflight.lock_folders = ['mine', 'locks']", "preflight.lock_folders = []"),
        ("", '[project."{root}".preflight]\nlock_folders = ["this"]'),
        ("", '[project."/else".preflight]\nlock_folders = ["this"]'),
        ('[preflight]\n"lock\\u005ffolders" = ["mine"]', ""),
    ],
)
def test_lock_folders_are_the_same_read_quickly_and_with_all_settings(
    project: Path, project_says: str, user_says: str
) -> None:
    root = os.path.realpath(project)
    (project / "hypervisor.toml").write_text(project_says)
    user = Path(user_file())
    user.parent.mkdir(parents=True, exist_ok=True)
    user.write_text(user_says.format(root=root))
    assert lock_folders.lock_folders(root) == settings.load(root).lock_folders


def test_the_usual_lock_folders_are_those_of_the_shipped_settings() -> None:
    assert list(lock_folders.USUAL) == settings.defaults()["preflight"]["lock_folders"]
