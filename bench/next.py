"""`hypervisor next` from process start, through the launcher, against a bare start of Python.

    python bench/next.py [--rounds 40] [--items 10000] [--dir FOLDER]

Every round runs all commands one after the other, a bare start of the same interpreter
(`python -I -S -c pass`) before each; figures are medians, ratios those of the pairs. The queue
holds Markdown tasks, with locks on. Without `--dir` it is laid out in a temporary folder beside
this script, which is on a real disk.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
HYPERVISOR = REPO / "bin" / "hypervisor"
sys.path.insert(0, str(REPO / "src"))

GOAL = 5.0
STATUS_GOAL = 0.100
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
    bare = statistics.median(start for pair in pairs.values() for start, _ in pair)
    print(f"{args.items} tasks, {args.rounds} rounds; {python}\n")
    print("| from process start | median ms | times a bare start |")
    print("|---|---|---|")
    print(f"| python -I -S -c pass | {bare * 1000:.1f} | 1.0 |")
    ratios, medians = {}, {}
    for name, pair in pairs.items():
        medians[name] = statistics.median(took for _, took in pair)
        ratios[name] = statistics.median(took / start for start, took in pair)
        print(f"| {name} | {medians[name] * 1000:.1f} | {ratios[name]:.2f} |")
    more = medians["status"] - bare
    met = ratios["next"] <= GOAL and more <= STATUS_GOAL
    print(
        f"\ngoals: next at most {GOAL:g} times a bare start, status at most "
        f"{STATUS_GOAL * 1000:.0f} ms more than one ({more * 1000:.1f}): "
        f"{'met' if met else 'MISSED'}"
    )
    return 0 if met else 1


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


def measure(root: Path, python: Path, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return (seconds of a bare start, seconds of the command) of each round and command."""
    names = ("next", "next, changed file", "done", "done --next", "status", "status --json")
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
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
            }[name]
            begin = time.perf_counter()
            subprocess.run([python, "-I", "-S", "-c", "pass"], check=True)
            between = time.perf_counter()
            shown = run(root, *line)
            took = time.perf_counter() - between
            if name == "next":
                tokens.append(shown.split()[1])
            if number:  # the first round fills the caches
                pairs[name].append((between - begin, took))
    return pairs


def run(root: Path, *line: str) -> str:
    ended = subprocess.run(
        [HYPERVISOR, *line],
        cwd=root,
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    return ended.stdout


if __name__ == "__main__":
    sys.exit(main())
