"""Pools as a user starts them, on queues over real task files."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypervisor.ledger import Ledger
from hypervisor.ledger.findings import Result
from hypervisor.system import killing
from repository import REPO
from worker.support import open_queue, write_task

NAMES = {"HYPERVISOR_POOL", "HYPERVISOR_AGENT"}


def lay_out(root: Path, count: int, **options: Any) -> None:
    """Open the queue `q` over `count` task files."""
    for number in range(1, count + 1):
        write_task(root, f"t-{number:03}")
    open_queue(root, **options)


def script(root: Path, text: str) -> Path:
    """Write a shell script beside the project and return its path."""
    path = root.parent / f"script-{len(list(root.parent.glob('script-*')))}"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


class Started:
    """A running `hypervisor work q --agent command`."""

    def __init__(self, root: Path, *words: str | Path, env: dict[str, str] | None = None) -> None:
        self.root = root
        self.process = subprocess.Popen(
            [REPO / "bin/hypervisor", "work", "q", "--agent", "command", *words],
            cwd=root,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        out, err = self.process.communicate(timeout=timeout)
        return subprocess.CompletedProcess([], self.process.returncode, out, err)

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    @property
    def session(self) -> str:
        """The pool's name, once it has one."""
        with Ledger.open(str(self.root)) as ledger:
            found = ledger.store.row("select id from session where pid = ?", (self.process.pid,))
        return str(found["id"]) if found else ""


@contextlib.contextmanager
def pool(root: Path, *words: str | Path, env: dict[str, str] | None = None) -> Iterator[Started]:
    """Start a pool; whatever the test does, nothing of it is left behind."""
    started = Started(root, *words, env=env)
    try:
        yield started
    finally:
        session = started.session
        if started.process.poll() is None:
            started.process.kill()
        started.process.communicate()
        if session:
            killing.kill_marked("HYPERVISOR_POOL", session)


def eventually(condition: Callable[[], Any], what: str, timeout: float = 20) -> Any:
    """Wait until `condition()` holds and return its value."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        time.sleep(0.02)
    return value


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def counts(root: Path) -> dict[str, int]:
    """The states that have items, and how many."""
    with Ledger.open(str(root)) as ledger:
        return {state: count for state, count in ledger.queues.stats("q").items() if count}


def items(root: Path) -> dict[str, Result]:
    """Each item of the queue with its accepted report."""
    with Ledger.open(str(root)) as ledger:
        return {row.id: row for row in ledger.queries.results("q")}


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
