"""What a pool shows on a terminal, and what becomes of it when the terminal is gone."""

from __future__ import annotations

import os
import pty
import re
import select
import time
from pathlib import Path

from agents.pool.support import REPO, counts, eventually, lay_out, lines, script
from hypervisor.system import killing


def in_terminal(root: Path, *words: str | Path) -> tuple[int, int]:
    """Start a pool in a terminal of its own; return its process and the terminal's other end."""
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(root)
        os.environ["TERM"] = "xterm-256color"
        os.environ.pop("NO_COLOR", None)
        command = [str(REPO / "bin/hypervisor"), "work", "q", "--agent", "command"]
        os.execv(command[0], [*command, *map(str, words)])
    return pid, master


def read_all(master: int, timeout: float = 60) -> str:
    """Return all that a terminal shows until its last program has left."""
    text, end = b"", time.monotonic() + timeout
    while time.monotonic() < end:
        if not select.select([master], [], [], 0.2)[0]:
            continue
        try:
            chunk = os.read(master, 65536)
        except OSError:
            break
        if not chunk:
            break
        text += chunk
    os.close(master)
    return text.decode("utf-8", "replace")


def test_a_terminal_shows_a_line_per_worker_a_bar_and_the_time_left(project: Path) -> None:
    lay_out(project, 6)
    work = script(project, "sleep 0.8")
    pid, master = in_terminal(project, "--workers", "2", "--", work)
    shown = read_all(master)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    assert "command-" in shown and "t-003" in shown
    assert "━" in shown and "/6" in shown and re.search(r"about \d+ s", shown)
    assert "queue q: \x1b[32mdrained\x1b[0m, 6 items: \x1b[32m6 done\x1b[0m" in shown


def test_a_pool_whose_terminal_is_gone_ends_its_agents_and_loses_nothing(project: Path) -> None:
    lay_out(project, 3)
    work = script(project, "echo $HYPERVISOR_POOL >>../log; sleep 300")
    pid, master = in_terminal(project, "--workers", "2", "--", work)
    session = eventually(lambda: lines(project.parent / "log"), "it has begun")[0]
    os.close(master)
    os.waitpid(pid, 0)
    eventually(lambda: not killing.marked("HYPERVISOR_POOL", session), "its agents are gone")
    assert counts(project) == {"ready": 3}
