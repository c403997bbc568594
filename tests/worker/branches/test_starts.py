"""How often git is started for an item: each start costs a core some milliseconds, and `integrate`
holds its lease meanwhile."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from worker.branches.support import git, lay_out

Run = Callable[..., "subprocess.CompletedProcess[str]"]
ITEMS = 3


@pytest.fixture
def starts(
    project: Path, run_hypervisor: Run, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, Any]]:
    """`starts(*words)`: how often a command started git, and what it told."""
    folder, log = project.parent / "first-on-path", project.parent / "starts"
    folder.mkdir()
    wrapper = folder / "git"
    wrapper.write_text(f'#!/bin/sh\necho x >>"{log}"\nexec "{shutil.which("git")}" "$@"\n')
    wrapper.chmod(0o755)

    def count(*words: str) -> tuple[int, Any]:
        log.write_text("")
        with monkeypatch.context() as patch:
            patch.setenv("PATH", str(folder), prepend=":")
            ran = run_hypervisor(*words, "--json")
        assert ran.returncode == 0, ran.stderr
        return log.read_text().count("\n"), json.loads(ran.stdout)

    return count


@pytest.mark.parametrize(
    ("remote", "at_next", "at_done", "at_integrate", "for_each"),
    [(False, 5, 8, 9, 5), (True, 8, 9, 12, 6)],
)
def test_git_is_started_a_few_times_for_an_item(
    remote: bool, at_next: int, at_done: int, at_integrate: int, for_each: int,
    project: Path, starts: Callable[..., tuple[int, Any]],
) -> None:  # fmt: skip
    lay_out(project, ITEMS)
    if remote:
        hub = str(project.parent / "hub.git")
        git(project, "init", "--quiet", "--bare", "-b", "main", hub)
        git(project, "remote", "add", "origin", hub)
        git(project, "push", "--quiet", "origin", "main")
        git(project, "config", "hypervisor.remote", "origin")
    for number in range(ITEMS):
        count, told = starts("next", "q", "--branch")
        assert count <= at_next
        [claim] = told["claims"]
        (Path(claim["worktree"]) / f"{number}.txt").write_text("x")
        count, _ = starts("done", claim["token"], "--summary", "x")
        assert count <= at_done
    count, told = starts("integrate", "q")
    assert len(told["merged"]) == ITEMS
    assert count <= at_integrate + ITEMS * for_each
