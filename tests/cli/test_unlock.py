from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger, NewItem, Options
from hypervisor.system import keys
from worker.support import locks, open_queue, states, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("kind", ["directory", "file", "link", "file beside"])
def test_a_lock_of_another_tool_is_passed_over_shown_and_ended_by_unlock_only(
    project: Path, run: Run, kind: str
) -> None:
    write_task(project, "a")
    open_queue(project)
    lock = project / ".hypervisor/locks" / ("a.lock" if kind == "file beside" else "a")
    if kind == "directory":
        lock.mkdir()
    elif kind == "link":
        lock.symlink_to("somebody-else")
    else:
        lock.touch()
    ended = run("next", "q")
    assert ended.returncode == 0
    name = "somebody-else" if kind == "link" else f"another tool ({lock.relative_to(project)})"
    assert ended.stdout.startswith(f"nothing ready now; a is locked by {name} since ")
    asked = run("next", "q", "--id", "a").stdout
    assert asked.startswith(f"a is locked by {name} since ")
    run("expire")
    assert lock.is_symlink() or lock.exists()
    told = run("unlock", "a")
    assert told.returncode == 0
    assert told.stdout.startswith(f"removed {lock} (")
    assert re.search(r", [0-9]+ m?s old\)", told.stdout)
    if kind == "link":
        assert "somebody-else" in told.stdout
    assert run("next", "q").stdout.startswith("claim ")


def test_the_lock_of_a_live_claim_is_refused_with_the_verb_that_gives_it_back(
    project: Path, run: Run
) -> None:
    write_task(project, "a")
    open_queue(project)
    token = run("next", "q").stdout.split()[1]
    told = run("unlock", "a")
    assert told.returncode == 2
    assert f"held by the live claim {token}\nhint: hypervisor release {token}" in told.stderr
    assert locks(project) == ["a"]
    assert run("done", token, "--summary", "x").returncode == 0
    assert locks(project) == []


@pytest.mark.parametrize(
    "key",
    [
        "../../victim",
        "/etc/passwd",
        "..",
        ".",
        "",
        "a/b",
        "a\nb",
        "-x",
        "x" * 300,
        "$(touch pwned)",
        "%2e%2e",
    ],
)
def test_a_hostile_key_reaches_nothing_outside_the_lock_folder(
    project: Path, run: Run, key: str
) -> None:
    open_any(project)
    victim = project / "victim"
    victim.mkdir()
    told = run("unlock", "--", key)
    assert told.returncode == 3, told
    assert victim.is_dir()
    assert not (project / "pwned").exists()
    lock = project / ".hypervisor/locks" / keys.key(key)
    lock.mkdir()
    assert run("unlock", "--", key).returncode == 0
    assert not lock.exists()


def open_any(root: Path) -> None:
    with Ledger.open(str(root), create=True) as ledger:
        ledger.generations.open("q", [NewItem("z")])


def test_the_name_of_an_encoded_lock_is_a_key_too(project: Path, run: Run) -> None:
    open_any(project)
    lock = project / ".hypervisor/locks" / keys.key("tasks/ä b.md")
    lock.mkdir()
    assert run("unlock", lock.name).returncode == 0
    assert not lock.exists()


def test_a_lock_folder_with_something_in_it_is_left_to_its_owner(project: Path, run: Run) -> None:
    open_any(project)
    lock = project / ".hypervisor/locks/a"
    lock.mkdir()
    (lock / "owner").write_text("me")
    told = run("unlock", "a")
    assert told.returncode == 2
    assert "look into it and remove it yourself" in told.stderr
    assert (lock / "owner").exists()


def test_locks_of_a_batch_directory_and_of_configured_folders_are_found(
    project: Path, run: Run
) -> None:
    batch = project / "batch"
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("b", [NewItem("a")], Options(lock_dir=str(batch / "locks")))
    (project / "hypervisor.toml").write_text('[preflight]\nlock_folders = ["theirs"]\n')
    for folder in (batch / "locks", project / "theirs"):
        folder.mkdir(parents=True)
        (folder / "a").mkdir()
    told = run("unlock", "a")
    assert told.returncode == 0
    assert told.stdout.count("removed ") == 2
    with Ledger.open(str(project)) as ledger:
        assert [claim.id for claim in worker.take(ledger, "b", "w")] == ["a"]
    assert [entry.name for entry in (batch / "locks").iterdir()] == ["a"]
    assert states(project, "b") == {"a": "claimed"}


def test_a_lock_can_be_ended_where_there_is_no_ledger(project: Path, run: Run) -> None:
    (project / "locks").mkdir()
    (project / "locks/a").mkdir()
    assert run("unlock", "a").returncode == 0
    assert list((project / "locks").iterdir()) == []


@pytest.mark.parametrize("how", ["../mine", "{mine}", "link", "locks"])
def test_nothing_outside_of_the_project_is_taken_for_a_lock(
    project: Path, run: Run, how: str
) -> None:
    mine = project.parent / "mine"
    mine.mkdir()
    (mine / "a").write_text("precious")
    (project / "link").symlink_to(mine)
    (project / "locks").symlink_to(mine)
    folder = how.format(mine=mine)
    (project / "hypervisor.toml").write_text(f"[preflight]\nlock_folders = ['{folder}']\n")
    open_any(project)
    assert run("unlock", "a").returncode == 3
    assert (mine / "a").read_text() == "precious"
