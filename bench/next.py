"""What a worker calls for each item, from process start and through the launcher, against a bare
start of Python.

    python bench/next.py [--rounds 40] [--items 10000] [--dir FOLDER]

Every round runs all commands one after the other, a bare start of the same interpreter
(`python -I -S -c pass`) before each, and before a `done` also a bare script that brings the same
to the disk: two commits, what the file was, the file, its folder. One row is the loading of the
modules of a `next` alone, which no `next` can fall below. Figures are medians, ratios those of the
pairs, by the time that passed and by that of the processor. The queue holds Markdown tasks, with
locks on, in one folder. Without `--dir` it is laid out in a temporary folder beside this script,
which is on a real disk.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).resolve().parent.parent
HYPERVISOR = REPO / "bin" / "hypervisor"
sys.path.insert(0, str(REPO / "src"))

# Times a bare start; a `done` may also take so many times the bare script.
GOALS = {"next": 3.0, "done": 6.0, "done --next": 6.0, "status": 4.0}
WRITES_GOAL = 1.6
DURABLE = """
import os, sqlite3
ledger = sqlite3.connect("durable.db", isolation_level=None)
ledger.execute("pragma journal_mode = wal")
ledger.execute("create table if not exists item (no integer primary key, told text)")
for _ in range(2):
    ledger.execute("begin immediate")
    ledger.execute("insert into item (told) values ('x')")
    ledger.execute("commit")
def write(name, flags):
    made = os.open(name, os.O_WRONLY | os.O_CREAT | flags, 0o600)
    os.write(made, b"x" * 500)
    os.fsync(made)
    os.close(made)
write("durable.undo", os.O_APPEND)
write("durable.tmp", os.O_TRUNC)
os.rename("durable.tmp", "durable.md")
folder = os.open(".", os.O_RDONLY)
os.fsync(folder)
ledger.close()
"""
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("CLAUDE", "PYTHON", "HYPERVISOR_WORKER"))
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--dir", help="where to lay out the tasks")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.dir or Path(__file__).parent, prefix=".bench-") as at:
        root = Path(at).resolve()
        lay_out(root, args.items)
        run(root, "--version")
        python = interpreter()
        pairs = measure(root, python, args.rounds)
    print(f"{args.items} tasks, {args.rounds} rounds; {python}; load {os.getloadavg()[0]:.1f}\n")
    print("| from process start | median ms | times a bare start | of the processor's time |")
    print("|---|---|---|---|")
    bare = [start for name in pairs if name != WRITES for start, _ in pairs[name]]
    print(f"| python -I -S -c pass | {median(one.passed for one in bare):.1f} | 1.0 | 1.0 |")
    writes = median(took.passed for _, took in pairs[WRITES])
    met = True
    for name, pair in pairs.items():
        passed = statistics.median(took.passed / start.passed for start, took in pair)
        spent = statistics.median(took.spent / start.spent for start, took in pair)
        milliseconds = median(took.passed for _, took in pair)
        print(f"| {name} | {milliseconds:.1f} | {passed:.2f} | {spent:.2f} |")
        goal = GOALS.get(name)
        as_writes = name.startswith("done") and milliseconds <= WRITES_GOAL * writes
        met = met and (goal is None or passed <= goal or as_writes)
    told = ", ".join(f"{name} {goal:g}" for name, goal in GOALS.items())
    print(
        f"\ngoals, times a bare start: {told}; or, of a done, {WRITES_GOAL:g} times the bare "
        f"script ({WRITES_GOAL * writes:.1f} ms): {'met' if met else 'MISSED'}"
    )
    return 0 if met else 1


class Took(NamedTuple):
    """Seconds of one process: that `passed`, and that it `spent` on the processor."""

    passed: float
    spent: float


WRITES = "the same writes, bare"
LOADED = "what next loads, nothing else"


def loading(root: Path, python: Path) -> str:
    """Return a script that loads the modules that a `next` loads, and ends as that does."""
    program = REPO / "src" / "hypervisor" / "__main__.py"
    told = subprocess.run(
        [python, "-I", "-S", "-X", "utf8", "-X", "importtime", program, "next", "q"],
        cwd=root,
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
        text=True,
    ).stderr
    names = [line.rpartition("|")[2].strip() for line in told.splitlines()]
    modules = [name for name in names if name.split(".")[0] in ("hypervisor", "_sqlite3", "_json")]
    source = str(REPO / "src")
    return (
        f"import gc, os, sys; gc.disable(); sys.path.insert(0, {source!r})\n"
        f"import {', '.join(modules)}\nos._exit(0)"
    )


def median(seconds: Iterable[float]) -> float:
    """Return the median in ms."""
    return statistics.median(seconds) * 1000


def lay_out(root: Path, count: int) -> None:
    """Open the queue `q` over `count` tasks, and `changed` over as many as are edited later."""
    from hypervisor.ledger import Ledger, NewItem
    from hypervisor.system.files import fingerprint_of

    (root / "tasks").mkdir()
    items = []
    for number in range(count):
        path = task_path(root, number)
        path.write_text(task(number, "Update `lib/loader.py`."))
        seen = fingerprint_of(os.stat(path))
        items.append(
            NewItem(f"task-{number}", str(path.relative_to(root)), title="T", fingerprint=seen)
        )
    with Ledger.open(str(root), create=True) as ledger:
        half = count // 2
        ledger.generations.open("q", items[:half])
        ledger.generations.open("changed", items[half:])


def task_path(root: Path, number: int) -> Path:
    return root / "tasks" / f"task-{number:06}.md"


def task(number: int, text: str) -> str:
    return (
        f"---\nid: task-{number}\ntitle: Rename config key {number}\ntype: task\nstatus: active\n"
        f"depends_on: []\nproject: aops\n---\n\n# Rename config key {number}\n\n{text}\n\n"
        "## Acceptance Criteria\n\n- [x] tests pass\n"
    )


def interpreter() -> Path:
    """Return the Python that the launcher starts; the launcher has made it by now."""
    home = os.environ.get("HYPERVISOR_HOME")
    if not home:
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        home = os.path.join(cache, "hypervisor")
    with open(REPO / "requirements.txt") as pins:
        key = pins.readline().split()[-1]
    asked = "asked." if os.environ.get("HYPERVISOR_PYTHON") else ""
    return Path(home, Path(home, f"{key}.{asked}env").read_text().split("\n")[0], "bin", "python")


def measure(root: Path, python: Path, rounds: int) -> dict[str, list[tuple[Took, Took]]]:
    """Return (a bare start, the command) of each round and command."""
    names = (
        LOADED, "next", "next, changed file", WRITES, "done", "done --next", "status",
        "status --json",
    )  # fmt: skip
    scripts = {WRITES: DURABLE, LOADED: loading(root, python)}
    pairs: dict[str, list[tuple[Took, Took]]] = {name: [] for name in names}
    half = sum(1 for _ in (root / "tasks").iterdir()) // 2
    for number in range(half, half + rounds + 1):
        task_path(root, number).write_text(task(number, "Changed."))
    for number in range(rounds + 1):
        tokens = [run(root, "next", "q").split()[1]]
        for name in names:
            line = {
                "next": ["next", "q"],
                "next, changed file": ["next", "changed"],
                "done": ["done", tokens[0], "--summary", "did it"],
                "done --next": ["done", tokens[-1], "--summary", "did it", "--next"],
                "status": ["status"],
                "status --json": ["status", "q", "--json"],
            }.get(name)
            bare, _ = timed(root, [python, "-I", "-S", "-c", "pass"])
            if line is None:
                took, shown = timed(root, [python, "-I", "-S", "-X", "utf8", "-c", scripts[name]])
            else:
                took, shown = timed(root, [HYPERVISOR, *line])
            if name == "next":
                tokens.append(shown.split()[1])
            if number:  # the first round fills the caches
                pairs[name].append((bare, took))
    return pairs


def timed(
    root: Path, line: Sequence[str | Path], env: dict[str, str] = ENVIRONMENT
) -> tuple[Took, str]:
    """Run a command in `root`; return what it took and what it printed."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run(
        line,
        cwd=root,
        env=env,
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    passed, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(passed, spent), ended.stdout


def run(root: Path, *line: str) -> str:
    return timed(root, [HYPERVISOR, *line])[1]


if __name__ == "__main__":
    sys.exit(main())
