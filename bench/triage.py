"""Triage of task files that all change, against the bare loop that any safe edit costs.

    python bench/triage.py [--files 10000] [--rounds 3] [--dir FOLDER]

Each round runs, on fresh copies in one folder and one after the other: the bare loop (one process:
read, write a temporary file, fsync, rename), triage with 1 and with 4 worker processes, and the
scheme that locks by mkdir (every batch walks the queue from the top, one lock per file, plain
write without fsync). The folder has to lie on a real disk: in memory, fsync costs nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO / "src"))

import frontmatter

from hypervisor.config.roots import create_state
from hypervisor.ledger import Ledger, NewItem, Options
from hypervisor.triage.processes import Processes

TASK = """---
id: bench-{number:08x}
title: Rename config key {number} in loader
permalink: bench-{number:08x}
alias:
- bench-{number:08x}-rename-config-key-in-loader
- bench-{number:08x}
type: task
status: active
priority: 2
order: 0
created: '2026-01-20T06:51:36.823842+00:00'
modified: '2026-01-20T07:00:05.737037+00:00'
parent: bench-00000000
depends_on: []
soft_depends_on: []
depth: 2
leaf: true
project: aops
---

# Rename config key {number} in loader

{prose}

## Acceptance Criteria

- [ ] tests pass

## Relationships

- [parent] [[bench-00000000]]
"""
PROSE = "The loader reads one key under two names, and callers can't tell which one counts.\n" * 20


def lay_out(folder: Path, count: int) -> list[Path]:
    """Write `count` tasks of about 2.4 KB, as a generated folder of them looks."""
    paths = []
    for number in range(count):
        path = folder / f"{number // 500:03}" / f"bench-{number:08x}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(TASK.format(number=number, prose=PROSE))
        paths.append(path)
    os.sync()
    return paths


def bare_loop(folder: Path, paths: list[Path]) -> None:
    """Read, change a line, write a temporary file, fsync, rename."""
    for path in paths:
        raw = path.read_bytes()
        temporary = str(path) + ".tmp"
        with open(temporary, "wb") as out:
            out.write(raw.replace(b"project: aops", b"project: aops\nassignee: bot"))
            out.flush()
            os.fsync(out.fileno())
        os.rename(temporary, path)


def triage(workers: int) -> Callable[[Path, list[Path]], None]:
    """Return a run of the worker processes, from their start to the last accepted report."""

    def run(folder: Path, paths: list[Path]) -> None:
        with Ledger.open(str(folder), create=True) as ledger:
            processes = Processes(ledger, "bench", workers, 50)
            processes.run(lambda counts: None)
            counts = ledger.queues.stats("bench")
        assert counts["done"] == len(paths), counts

    return run


def prepare_queue(folder: Path, paths: list[Path]) -> None:
    """Open the queue that `triage` works off."""
    create_state(str(folder))
    # Or nothing would be assigned, and less of each file would change.
    (folder / "hypervisor.toml").write_text('preset = "aops"\n')
    with Ledger.open(str(folder), create=True) as ledger:
        items = [NewItem(path.stem, str(path.relative_to(folder))) for path in paths]
        ledger.generations.open("bench", items, Options(purpose="triage", max_attempts=1))


def mkdir_scheme(folder: Path, paths: list[Path]) -> None:
    """One lock folder per file, each batch of 50 from the top of the list; no fsync, no rename."""
    locks = folder / "locks"
    locks.mkdir()
    while True:
        mine = 0
        for path in paths:
            try:
                (locks / path.stem).mkdir(exist_ok=False)
            except FileExistsError:
                continue
            post = frontmatter.load(str(path))
            text = post.content.lower() + " " + str(post["title"]).lower()
            automatable = re.search(r"\bupdate\b.*\b(config|schema)\b", text) or "- [ ]" in text
            post["assignee"] = "bot" if automatable else "nic"
            post.content = post.content.replace("\n", "\n\nProject: [[academicOps]]\n", 1)
            path.write_text(frontmatter.dumps(post, sort_keys=False))
            mine += 1
            if mine == 50:
                break
        if not mine:
            return


def measure(
    run: Callable[[Path, list[Path]], None], base: Path, count: int, prepare: bool
) -> float:
    """Return the seconds that `run` takes on fresh files."""
    folder = Path(tempfile.mkdtemp(prefix="bench-triage-", dir=base))
    try:
        paths = lay_out(folder, count)
        if prepare:
            prepare_queue(folder, paths)
        os.sync()
        start = time.perf_counter()
        run(folder, paths)
        return time.perf_counter() - start
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Print the table: medians over the rounds, and each round's ratio to its bare loop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=REPO, help="a folder on a real disk")
    args = parser.parse_args()
    runs = {
        "bare loop, 1 process": (bare_loop, False),
        "hypervisor triage, 1 process": (triage(1), True),
        "hypervisor triage, 4 processes": (triage(4), True),
        "mkdir scheme, 1 process, no fsync": (mkdir_scheme, False),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(args.rounds):
        for name, (run, prepare) in runs.items():
            seconds[name].append(measure(run, args.dir, args.files, prepare))
    bare = seconds["bare loop, 1 process"]
    print(f"{args.files} files, median of {args.rounds} rounds\n")
    print("| run | seconds | files/s | times the bare loop's speed (each round) |")
    print("|---|---|---|---|")
    for name, times in seconds.items():
        ratios = [mine / own for mine, own in zip(bare, times, strict=True)]
        median = statistics.median(times)
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(
            f"| {name} | {median:.2f} | {args.files / median:,.0f} "
            f"| {statistics.median(ratios):.2f} ({each}) |"
        )


if __name__ == "__main__":
    main()
