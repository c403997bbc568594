"""What work on branches costs: git's part of each step, and what naming files costs a claim.

    python bench/branches.py [FILES] [ITEMS]     (in the environment of tests/run)

Claims are timed in one process, without the start of Python; medians. Merging is without a check,
with the reports that it writes into the tasks and all that is cleared away; on a busy machine the
time of the processor says more of it. The goal is 15 merges a second.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from hypervisor import worker
from hypervisor.config.roots import create_state
from hypervisor.ledger import Ledger, NewItem
from hypervisor.system.checkout import head
from hypervisor.system.files import fingerprint_of
from hypervisor.worker.integrate import integrate

GOAL = 15


def spent() -> float:
    """Return the seconds of the processor that we and the processes we started have used."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def task(root: str, number: int) -> NewItem:
    """Write a task file and return its item."""
    path = Path(root, "tasks", f"t{number}.md")
    path.write_text(f"---\nid: t{number}\ntitle: T\nstatus: active\n---\n\nDo it.\n")
    seen = fingerprint_of(path.stat())
    return NewItem(f"t{number}", f"tasks/t{number}.md", title="T", fingerprint=seen)


def git(root: str, *words: str) -> None:
    who = ("-c", "user.name=b", "-c", "user.email=b@example.org")
    subprocess.run(["git", *who, "-C", root, *words], check=True, capture_output=True)


def timed(times: list[float], action: Callable[[], Any]) -> Any:
    begun = time.perf_counter()
    told = action()
    times.append((time.perf_counter() - begun) * 1000)
    return told


def on_branches(files: int, items: int) -> list[tuple[str, float]]:
    """Return the medians (ms) of each step with `items` items in a repository of `files` files."""
    with tempfile.TemporaryDirectory() as root:
        create_state(root)
        git(root, "init", "--quiet", "-b", "main")
        git(root, "config", "user.name", "b")
        git(root, "config", "user.email", "b@example.org")
        for number in range(files):
            folder = os.path.join(root, f"d{number // 100}")
            os.makedirs(folder, exist_ok=True)
            Path(folder, f"f{number}.txt").write_text(f"{number}\n" * 20)
        os.mkdir(os.path.join(root, "tasks"))
        tasks = [task(root, number) for number in range(items)]
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "-m", "first")
        looks: list[float] = []
        plain: list[float] = []
        begins: list[float] = []
        ends: list[float] = []
        with Ledger.open(root, create=True) as ledger:
            ledger.generations.open("plain", [NewItem(f"p{n}") for n in range(items)])
            ledger.generations.open("q", tasks)
            for _ in range(items):
                timed(looks, lambda: head(root))
                timed(plain, lambda: worker.take(ledger, "plain", "w"))
            for number in range(items):
                [claim] = timed(begins, lambda: worker.take(ledger, "q", "w", branch=True))
                Path(claim.worktree, f"new{number}").write_text("x\n")
                told = {"summary": "x"}
                timed(ends, lambda c=claim, t=told: worker.finish(ledger, c.token, "done", t))
            begun, used = time.perf_counter(), spent()
            merged = len(integrate(ledger, "q").merged)
            each = (time.perf_counter() - begun) * 1000 / merged
            processor = (spent() - used) * 1000 / merged
        assert merged == items
        return [
            ("reading the commit that the root stands at", statistics.median(looks)),
            ("claim", statistics.median(plain)),
            ("claim with a branch and a tree", statistics.median(begins)),
            ("done on a branch", statistics.median(ends)),
            ("integrate, for each item", each),
            ("integrate, for each item, of the processor's time", processor),
        ]


def naming_files(count: int) -> list[tuple[str, float]]:
    """Return the medians (ms) of a claim from `count` items that name no files, or others, or all
    the same one, of which the first is in work."""
    told = []
    for name, files in (
        ("no item names files", lambda n: ()),
        ("each names another file", lambda n: (f"src/f{n}.py", f"tests/f{n}.py")),
        ("all name one that is in work", lambda n: ("src/a.py",)),
    ):
        with tempfile.TemporaryDirectory() as root:
            create_state(root)
            with Ledger.open(root, create=True) as ledger:
                ledger.generations.open(
                    "q", [NewItem(f"t{n}", files=files(n)) for n in range(count)]
                )
                times: list[float] = []
                for _ in range(50):
                    timed(times, lambda: ledger.claims.claim("q", "w"))
                told.append((name, statistics.median(times)))
    return told


def main() -> int:
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    items = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    print(f"{items} items, a repository of {files} files\n\n| step | median ms |\n|---|---|")
    told = on_branches(files, items)
    for name, value in told:
        print(f"| {name} | {value:.2f} |")
    rates = [1000 / value for name, value in told if name.startswith("integrate")]
    print("\nmerges a second: {:.1f}, by the processor's time {:.1f}".format(*rates))
    print(f"goal: {GOAL}: {'met' if rates[0] >= GOAL else 'MISSED'}")
    print("\nA claim from 10,000 items, up to 50 of them in work\n\n| | median ms |\n|---|---|")
    for name, value in naming_files(10_000):
        print(f"| {name} | {value:.2f} |")
    return 0 if rates[0] >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
