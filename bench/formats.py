"""A file with many items: how long pre-flight takes, and one end of an item.

    python bench/formats.py [--boxes 10000] [--rows 100000] [--rounds 5]

Of check boxes each figure is the least of the rounds, in milliseconds of processor time within the
process: what the reading of the items costs, the whole of a pre-flight without the start of the
program, and one end, from the reading of the file to its replacement. The goals, for 10,000 boxes,
are 500 for the pre-flight and 30 for the end.

A JSONL file is looked at in a process of its own for each round: the least seconds of processor
time of its pre-flight, and the most memory that the process ever held. The goals, for 100,000 rows,
are 2 seconds and 200 MB. It exits with 1 where one is missed.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from preflight import peak

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

GOALS = {"pre-flight": 500.0, "end": 30.0}
GOALS_OF_ROWS = {"seconds": 2.0, "MB": 200.0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boxes", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    # As pre-flight has it.
    gc.disable()
    print("| format | items | pre-flight | end |\n|---|---|---|---|")
    late = False
    for name, (place, line, head) in KINDS.items():
        with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".bench-") as at:
            root = os.path.realpath(at)
            path = Path(root, place)
            path.parent.mkdir(parents=True)
            path.write_text(_text(args.boxes, line, head))
            if name == "obsidian-tasks":
                plugin = Path(root, ".obsidian/plugins/obsidian-tasks-plugin/data.json")
                plugin.parent.mkdir(parents=True)
                plugin.write_text(json.dumps({"globalFilter": "#task"}))
            figures = _measure(name, root, str(path), args.boxes, args.rounds)
        print(f"| {name} | {' | '.join(f'{one:.0f}' for one in figures)} |", flush=True)
        late = late or figures[1] > GOALS["pre-flight"] or figures[2] > GOALS["end"]
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".bench-") as at:
        seconds, most = _of_rows(os.path.realpath(at), args.rows, args.rounds)
    print("\n| JSONL | pre-flight, s | peak, MB |\n|---|---|---|")
    print(f"| {args.rows} rows | {seconds:.2f} | {most:.0f} |")
    late = late or seconds > GOALS_OF_ROWS["seconds"] or most > GOALS_OF_ROWS["MB"]
    return int(late)


def _of_rows(root: str, count: int, rounds: int) -> tuple[float, float]:
    """Return the least seconds of the rounds, and the most MB."""
    with open(os.path.join(root, "rows.jsonl"), "w", encoding="utf-8") as rows:
        for number in range(count):
            told = f"Read interview {number} and list what was said of the price. " * 3
            row = {"id": f"p-{number:06}", "title": f"Interview {number}", "prompt": told}
            rows.write(json.dumps(row | {"priority": number % 5, "language": "en"}) + "\n")
    figures = []
    for _ in range(rounds):
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            figures.append(pool.submit(_look_at_rows, root, count).result())
    return min(seconds for seconds, _ in figures), max(most for _, most in figures)


def _look_at_rows(root: str, count: int) -> tuple[float, float]:
    from hypervisor.config.settings import load
    from hypervisor.intake.preflight.check import check
    from hypervisor.intake.sources import expand

    settings = load(root)
    start = time.process_time()
    found = expand(["rows.jsonl"], root=root, cwd=root, settings=settings, files_are_items=True)
    result = check(found, root=root, settings=settings, instructions=True)
    took = time.process_time() - start
    assert len(result.ready) == count
    return took, peak() / 1024


KINDS: dict[str, tuple[str, Callable[[int], str], Callable[[int], str]]] = {
    "spec-kit": (
        "specs/001-x/tasks.md",
        lambda n: f"- [ ] T{n + 1:03} {'[P] ' * (n % 3 > 0)}[US1] Add part {n} in src/part_{n}.py",
        lambda n: f"## Phase {n + 1}: Part {n + 1}",
    ),
    "openspec": (
        "openspec/changes/add/tasks.md",
        lambda n: f"- [ ] {n // 100 + 1}.{n % 100 + 1} Add part {n} of the import in src/a_{n}.py",
        lambda n: f"## {n + 1}. Part {n + 1}",
    ),
    "kiro": (
        ".kiro/specs/import/tasks.md",
        lambda n: f"  - [ ] {n // 100 + 1}.{n % 100 + 1} Add part {n} of it in src/a_{n}.py",
        lambda n: f"- [ ] {n + 1}. Part {n + 1}",
    ),
    "agent-os": (
        "agent-os/specs/2026-01-02-import/tasks.md",
        lambda n: f"  - [ ] {n // 100 + 1}.{n % 100 + 1} Add part {n} of it in src/a_{n}.py",
        lambda n: f"- [ ] {n + 1}. Part {n + 1}",
    ),
    "obsidian-tasks": (
        "notes/import.md",
        lambda n: f"- [ ] #task Add part {n} 🆔 a{n} ⛔ a{max(0, n - 100)} ⏫ 📅 2026-01-09",
        lambda n: f"## Part {n + 1}",
    ),
    "checklist": (
        "docs/todo.md",
        lambda n: f"- [ ] Add part {n} of the import in src/part_{n}.py",
        lambda n: f"## Part {n + 1}",
    ),
}


def _text(boxes: int, line: Callable[[int], str], head: Callable[[int], str]) -> str:
    told = ["# Tasks", ""]
    for number in range(boxes):
        if number % 100 == 0:
            told += ["", head(number // 100), ""]
        told.append(line(number))
    return "\n".join([*told, ""])


def _measure(name: str, root: str, path: str, boxes: int, rounds: int) -> list[float]:
    from hypervisor.config.settings import load
    from hypervisor.intake.preflight.check import check
    from hypervisor.intake.sources import expand
    from hypervisor.system.state import State
    from hypervisor.tasks import formats
    from hypervisor.tasks.formats import mark
    from hypervisor.tasks.undo import UndoLog

    kind = formats.get(name)
    settings = load(root)
    reading, flight, end = [], [], []
    log = UndoLog(State.create(root), "q")
    items = kind.items(path, mark.text_of(path)[1])
    assert len(items) == boxes, (name, len(items))
    for number in range(rounds):
        start = time.process_time()
        kind.items(path, mark.text_of(path)[1])
        reading.append(time.process_time() - start)
        start = time.process_time()
        found = expand([path], root=root, cwd=root, settings=settings)
        result = check(found, root=root, settings=settings)
        flight.append(time.process_time() - start)
        assert len(result.ready) + len(result.held) + len(result.skipped) == boxes
        one = items[boxes // 2 + number]
        start = time.process_time()
        mark.put(path, name, f"q#{one.id}", one.id, one.title, "done", log, lambda: True)
        end.append(time.process_time() - start)
    return [min(reading) * 1000, min(flight) * 1000, min(end) * 1000]


if __name__ == "__main__":
    sys.exit(main())
