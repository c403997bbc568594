"""The machine that the commits go through: away for a while, asked by many, holding much."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from hypervisor.system import waiting
from hypervisor.system.git import Git, GitError
from hypervisor.system.remote import run_remote
from hypervisor.worker.branches import worktrees
from ledger.support import Child
from worker.branches.support import commit_all, git, lay_out, take


@pytest.fixture
def clone(project: Path) -> Path:
    """A clone with two tasks whose remote is `hub.git` beside it."""
    lay_out(project, 2)
    git(project, "init", "--quiet", "--bare", "-b", "main", "../hub.git")
    git(project, "remote", "add", "origin", "../hub.git")
    git(project, "push", "--quiet", "origin", "main")
    git(project, "config", "hypervisor.remote", "origin")
    return project


def serve(folder: Path, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", f"--port={port}",
         f"--base-path={folder}"],
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def end(server: subprocess.Popen[bytes]) -> None:
    # git starts the daemon as a process beside it.
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()


@pytest.fixture
def port(clone: Path) -> int:
    """The port of a machine that is not there yet; the clone's remote is on it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
    git(clone, "remote", "set-url", "origin", f"git://127.0.0.1:{found}/hub.git")
    return found


def test_a_remote_that_takes_a_call_and_says_nothing_is_not_listened_to_for_ever(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(waiting, "say", said.append)
    monkeypatch.setattr("hypervisor.system.remote._DEAD_SECONDS", 1)
    monkeypatch.setenv("HYPERVISOR_STORE_WAIT", "2")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/hub.git"
        git(clone, "remote", "set-url", "origin", address)
        begun = time.monotonic()
        with pytest.raises(GitError, match="too slow"):
            run_remote(Git(str(clone)), "fetch", "origin")
        assert time.monotonic() - begun < 60
    assert "waiting for up to" in said[0]


def test_a_remote_that_is_away_is_waited_for_and_the_wait_is_told(
    clone: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(waiting, "say", said.append)
    started: list[subprocess.Popen[bytes]] = []
    timer = threading.Timer(1.5, lambda: started.append(serve(clone.parent, port)))
    timer.start()
    try:
        claim = take(clone)
    finally:
        timer.join()
        end(started[0])
    assert Path(claim.worktree).is_dir()
    assert "waiting for up to" in said[0] and "answers again after" in said[-1]


def test_a_remote_that_stays_away_ends_the_command_and_the_item_is_free(
    clone: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPERVISOR_STORE_WAIT", "1")
    begun = time.monotonic()
    with pytest.raises(GitError, match="fetch"):
        take(clone)
    assert time.monotonic() - begun >= 1
    git(clone, "remote", "set-url", "origin", "../hub.git")
    assert take(clone).id == "t0"


def test_what_a_person_has_to_mend_is_told_at_once(clone: Path) -> None:
    git(clone, "remote", "set-url", "origin", "../nowhere.git")
    begun = time.monotonic()
    with pytest.raises(GitError, match="nowhere"):
        run_remote(Git(str(clone)), "fetch", "--quiet", "origin")
    assert time.monotonic() - begun < 30


def test_many_workers_of_one_clone_fetch_what_is_new_at_once(clone: Path) -> None:
    other = clone.parent / "other"
    git(clone, "clone", "--quiet", "../hub.git", str(other))

    def fetch(number: int) -> str:
        return worktrees.make(Git(str(clone)), f"i{number}", f"{number}-abcd").base

    for round_ in range(3):
        (other / f"new{round_}").write_text("x")
        new = commit_all(other)
        git(other, "push", "--quiet", "origin", "main")
        children = [Child(fetch, 10 * round_ + number) for number in range(6)]
        assert [child.result() for child in children] == [new] * 6


def test_the_branches_of_others_are_not_fetched_by_who_begins_an_item(clone: Path) -> None:
    git(clone, "push", "--quiet", "origin", "main:refs/heads/hypervisor/t9/1-abcd")
    git(clone, "update-ref", "-d", "refs/remotes/origin/hypervisor/t9/1-abcd")
    assert take(clone).id == "t0"
    told = git(clone, "for-each-ref", "--format=%(refname)", "refs/remotes/origin")
    assert told.split() == ["refs/remotes/origin/main"]


def test_a_branch_that_the_remote_does_not_know_begins_at_the_checkout(clone: Path) -> None:
    git(clone, "checkout", "--quiet", "-b", "mine")
    (clone / "mine.txt").write_text("x")
    here = commit_all(clone)
    assert take(clone).base_commit == here
