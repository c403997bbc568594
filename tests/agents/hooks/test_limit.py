"""A hook ends soon, whatever it meets."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from repository import REPO

SOURCE = REPO / "src"
BEGIN = "import sys; sys.path.insert(0, sys.argv[1])\nfrom hypervisor.agents.hooks import limit\n"

STUCK = {
    "work in Python": "while True: pass",
    "work in SQLite": (
        "import sqlite3; sqlite3.connect(':memory:').execute("
        "'with recursive n(x) as (select 1 union all select x + 1 from n) "
        "select count(*) from n').fetchone()"
    ),
    "a pattern without end": "import re; re.match('(a+)+$', 'a' * 60 + '!')",
    "a fifo": "import os; os.mkfifo(sys.argv[2]); open(sys.argv[2]).read()",
    "a lock": (
        "import fcntl; a = open(sys.argv[2], 'w'); fcntl.flock(a, 2); "
        "b = open(sys.argv[2]); fcntl.flock(b, 2)"
    ),
}


@pytest.mark.parametrize("what", STUCK)
def test_a_hook_ends_whatever_it_meets(what: str, tmp_path: Path) -> None:
    begin = f"{BEGIN}limit.WORK, limit.WAIT = 0.5, 1.5\nlimit.begin()\n"
    code = f"{begin}{STUCK[what]}\nprint('not reached')"
    begun = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", code, str(SOURCE), str(tmp_path / "x")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.stdout == ""
    assert time.monotonic() - begun < 40, "seconds of its own, on a busy machine some more"
    if what != "a pattern without end":
        assert (ended.returncode, ended.stderr) == (0, "")


def test_a_hook_in_time_is_not_ended() -> None:
    code = f"{BEGIN}limit.begin()\nimport time; time.sleep(0.3); print('reached')"
    ended = subprocess.run(
        [sys.executable, "-c", code, str(SOURCE)], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (0, "reached\n")
