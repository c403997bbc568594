"""Whose process lives is judged where its number means it, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.config import caller
from hypervisor.ledger import Ledger
from hypervisor.system import machine
from hypervisor.worker.settle import settle
from repository import REPO
from worker.support import open_queue, states, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]
# What a sandbox or a container does: namespaces of its own, with their own /proc.
APART = """
import ctypes, os, sys
c, user, group = ctypes.CDLL(None, use_errno=True), os.getuid(), os.getgid()
if c.unshare(0x10000000 | 0x20000000 | 0x00020000):
    sys.exit(77)
open("/proc/self/setgroups", "w").write("deny")
open("/proc/self/uid_map", "w").write(f"{user} {user} 1")
open("/proc/self/gid_map", "w").write(f"{group} {group} 1")
if pid := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
assert not c.mount(b"proc", b"/proc", b"proc", 0, None)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def client() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for a client."""
    process = subprocess.Popen(["sleep", "300"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def held(project: Path, client: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> str:
    """The token of an item that a session with a living client holds."""
    write_task(project, "a")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        ledger.sessions.meet("s", pid=client.pid, pid_start=caller.started(client.pid))
        monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", "s")
        [claim] = worker.take(ledger, "q", "w")
        monkeypatch.delenv("CLAUDE_CODE_SESSION_ID")
    return claim.token


def _apart(project: Path, *words: str, env: dict[str, str] | None = None) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", APART, REPO / "bin/hypervisor", *words], cwd=project,
        env={**os.environ, **(env or {})}, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("words", [("status", "q"), ("next", "q"), ("summary", "q")])
def test_a_look_from_another_pid_namespace_frees_nothing(
    project: Path, held: str, run_hypervisor: Run, words: tuple[str, ...]
) -> None:
    _apart(project, *words)
    assert states(project) == {"a": "claimed"}
    assert run_hypervisor("done", held, "--summary", "x").returncode == 0


def test_a_command_of_the_session_itself_in_a_sandbox_frees_nothing(
    project: Path, held: str, client: subprocess.Popen[bytes]
) -> None:
    write_task(project, "b")
    env = {
        "CLAUDE_CODE_SESSION_ID": "s", "CLAUDE_PID": str(client.pid),
        "CLAUDE_CODE_ENTRYPOINT": "cli",
    }  # fmt: skip
    _apart(project, "open", "q", "tasks", env=env)
    _apart(project, "status", "q", env=env)
    assert states(project) == {"a": "claimed", "b": "ready"}
    with Ledger.open(str(project)) as ledger:
        row = ledger.sessions.find("s")
        assert row is not None and (row.pid, row.host) == (client.pid, ledger.store.place())


def test_a_process_of_an_earlier_boot_is_gone(
    project: Path, held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "boot_id", lambda: "another boot")
    with Ledger.open(str(project)) as ledger:
        row = ledger.sessions.find("s")
        assert row is not None and ledger.sessions.is_gone(row)
        assert ledger.followers.followed("s")
        assert settle(ledger)[0] == 1
        assert not ledger.followers.followed("s")
        [item] = ledger.queries.results("q")
        told = (item.state, item.deaths, item.abrupt, item.cause)
        assert told == ("ready", 0, 0, "the machine was restarted")


def test_where_the_boot_or_the_namespace_is_hidden_no_process_is_judged(
    project: Path, held: str, client: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.kill()
    client.wait()
    monkeypatch.setattr(machine, "process_space", lambda: None)
    with Ledger.open(str(project)) as ledger:
        row = ledger.sessions.find("s")
        assert row is not None and not ledger.sessions.is_gone(row)


def test_a_claim_knows_the_process_that_its_commands_come_from_where_no_agent_has_a_name(
    project: Path, run_hypervisor: Run
) -> None:
    for name in "abc":
        write_task(project, name)
    open_queue(project)
    run_hypervisor("next", "q")
    run_hypervisor("next", "q")
    run_hypervisor("next", "q", env={"CLAUDE_CODE_SESSION_ID": "s"})
    ours = f"{machine.process_space()}:{os.getpid()}:{caller.started(os.getpid())}"
    with Ledger.open(str(project)) as ledger:
        rows = ledger.store.rows("select process from claim order by no").fetchall()
    assert [process for (process,) in rows] == [ours, ours, None]


def test_a_killed_session_that_no_hook_has_told_of_holds_nothing(
    project: Path, client: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(project, "a")
    open_queue(project)
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", "unheard")
    monkeypatch.setenv("CLAUDE_PID", str(client.pid))
    with Ledger.open(str(project)) as ledger:
        assert worker.take(ledger, "q", "w")
        settle(ledger)
        assert states(project) == {"a": "claimed"}
        client.kill()
        client.wait()
        settle(ledger)
    assert states(project) == {"a": "ready"}
