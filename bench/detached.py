"""A detached pool killed at random moments, over and over: one pool at most, nothing twice.

`python bench/detached.py [TIMES] [SEED]` kills it 100 times; each time two are started at once. A
run of an item that finds another run of it at work, or a second pool, is told, and the exit code is
1. Prints one line of what came out.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
ITEMS = 1500
# A lock per item and one for the pool: whoever finds one taken by another says so.
COMMAND = """#!/bin/sh
exec 9>>../one-$HYPERVISOR_ID
flock -n 9 || echo "$HYPERVISOR_ID" >>../twice
echo "$HYPERVISOR_POOL" >>../pools
sleep 0.05
"""


def hypervisor(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one command line in `root`."""
    return subprocess.run(
        [REPO / "bin/hypervisor", *words], cwd=root, capture_output=True, text=True
    )


def pools(root: Path) -> list[int]:
    """The processes that hold the lock of a detached pool of `root`."""
    found, lock = {}, str(root / ".hypervisor/detached/q.lock")
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            held = {os.readlink(one) for one in (path / "fd").iterdir()}
            parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if b"--detached" in words and lock in held:
            found[int(path.name)] = int(parent)
    # An agent that has not become its command yet is none.
    return [pid for pid, parent in found.items() if parent not in found]


def main(times: int, seed: int) -> int:
    """Kill `times` pools, and return 0 if nothing was done twice."""
    chance, killed = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "project"
        (root / "tasks").mkdir(parents=True)
        for number in range(ITEMS):
            text = f"---\nid: t{number}\ntitle: T\nstatus: active\ntype: task\n---\n\nDo it.\n"
            (root / f"tasks/t{number}.md").write_text(text)
        command = root.parent / "command"
        command.write_text(COMMAND)
        command.chmod(0o755)
        opened = hypervisor(root, "open", "q", "tasks", "--max-deaths", "1000")
        assert opened.returncode == 0, opened.stderr
        words = ["work", "q", "--agent", "command", "--detach", "--workers", "3"]
        words += ["--", str(command)]
        for _ in range(times):
            starts = [
                subprocess.Popen(
                    [REPO / "bin/hypervisor", *words], cwd=root, stdout=subprocess.DEVNULL
                )
                for _ in range(2)
            ]
            time.sleep(chance.random() * 1.2)
            for pid in pools(root):
                os.kill(pid, signal.SIGKILL)
                killed += 1
            for one in starts:
                one.wait()
        while hypervisor(root, *words).returncode == 0:
            time.sleep(0.2)
        status = json.loads(hypervisor(root, "status", "q", "--json").stdout)
        reports = [
            path.read_text().count("<!-- hypervisor:report ") for path in root.glob("tasks/*.md")
        ]
        twice = root.parent / "twice"
        said = twice.read_text().split() if twice.exists() else []
        began = (root.parent / "pools").read_text().split()
        blocks = [pool for pool, _ in itertools.groupby(began)]
    done = status["counts"]["done"]
    odd = sum(count != 1 for count in reports)
    mixed = len(blocks) - len(set(blocks))
    print(
        f"{killed} pools killed in {times} rounds, {mixed} times two were at work; "
        f"{done} of {ITEMS} done, {odd} without exactly one report, "
        f"{len(said)} runs beside another run of their item"
    )
    return int(done != ITEMS or bool(mixed) or bool(said) or set(reports) != {1})


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*given, *(100, 1)[len(given) :]))
