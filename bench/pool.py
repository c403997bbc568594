"""What a pool of commands adds to the commands' own time, beside GNU parallel on the same ones.

    python bench/pool.py [--items 200] [--rounds 3] [--workers 1 4] [--seconds 0 0.05] [--dir DIR]

Each round runs the same command over the same items with GNU parallel (`--joblog`, which keeps what
became of each, flushed to no disk) and with `hypervisor work`, over task files, whose report it
writes into each, and over rows, which have no file. Overhead is the wall time less the commands'
own, items * seconds / workers, per item; medians over the rounds. Starting the command itself (a
shell, a few milliseconds) counts as overhead for both. The folder has to lie on a real disk.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
PROGRAM = str(REPO / "bin" / "hypervisor")


def lay_out(folder: Path, count: int, kind: str) -> list[str]:
    """Open the queue `q` in `folder` and return its items' ids."""
    ids = [f"bench-{number:05}" for number in range(count)]
    words = [PROGRAM, "open", "q"]
    if kind == "rows":
        rows = "\n".join(json.dumps({"id": one}) for one in ids)
        (folder / "rows.jsonl").write_text(rows)
        (folder / "do.md").write_text("Do it.\n")
        words += ["rows.jsonl", "--id", "id", "--instructions", "do.md"]
    else:
        (folder / "tasks").mkdir()
        for one in ids:
            task = f"---\nid: {one}\ntitle: T\ntype: task\nstatus: active\n---\n\nDo it.\n"
            (folder / "tasks" / f"{one}.md").write_text(task)
        words.append("tasks")
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return ids


def with_parallel(folder: Path, ids: list[str], workers: int, seconds: float) -> float:
    """Return how long GNU parallel takes for all items."""
    names = folder / "names"
    names.write_text("\n".join(ids) + "\n")
    begin = time.perf_counter()
    subprocess.run(
        ["parallel", "--no-notice", "-j", str(workers), "--joblog", "log", "-a", "names",
         f"sleep {seconds}; echo {{}}"],
        cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - begin


def with_pool(folder: Path, workers: int, seconds: float) -> float:
    """Return how long a pool takes for all items."""
    begin = time.perf_counter()
    subprocess.run(
        [PROGRAM, "work", "q", "--agent", "command", "--workers", str(workers), "--",
         "sh", "-c", f'sleep {seconds}; echo "$1"', "x", "{id}"],
        cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - begin


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.0, 0.05])
    parser.add_argument("--dir", help="a folder on a real disk")
    args = parser.parse_args()
    print(f"{args.items} items, {os.cpu_count()} cores; overhead in ms per item")
    print(f"{'workers':>7} {'command':>8} {'parallel':>9} {'pool, files':>12} {'pool, rows':>11}")
    for workers in args.workers:
        for seconds in args.seconds:
            told: dict[str, list[float]] = {"parallel": [], "files": [], "rows": []}
            for _ in range(args.rounds):
                for kind, took in told.items():
                    with tempfile.TemporaryDirectory(dir=args.dir) as name:
                        folder = Path(name)
                        ids = lay_out(folder, args.items, "rows" if kind == "rows" else "files")
                        if kind == "parallel":
                            wall = with_parallel(folder, ids, workers, seconds)
                        else:
                            wall = with_pool(folder, workers, seconds)
                    took.append((wall - args.items * seconds / workers) / args.items * 1000)
            cells = [statistics.median(took) for took in told.values()]
            print(
                f"{workers:7} {seconds:7g}s {cells[0]:9.1f} {cells[1]:12.1f} {cells[2]:11.1f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
