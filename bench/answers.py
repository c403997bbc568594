"""`hypervisor results` of a large queue, from process start: a processor's time and
peak memory.

    python bench/answers.py [--rows 100000] [--rounds 3]

Each row has three columns and is done, with a report, an answer of four values and tokens; a third
was done in a second generation, and the source's order has changed since. Goals: 3 s and 100 MB at
100,000 rows. Beside it stands a bare loop that writes as many rows with `csv`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent / "src"
sys.path.insert(0, str(SOURCES))

from hypervisor.config.roots import create_state
from hypervisor.ledger import Ledger, NewItem, Options

SECONDS, MEGABYTES = 3, 100
TEXT = "The loader reads the old key and falls back to the default without a word."


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".bench-") as at:
        root = Path(at, "project")
        root.mkdir()
        os.environ["HYPERVISOR_STATE"] = os.path.join(at, "state")
        create_state(str(root))
        # What this process has held counts as the peak of those that it starts.
        if not (child := os.fork()):
            lay_out(str(root), args.rows)
            os._exit(0)
        os.waitpid(child, 0)
        print(f"{args.rows:,} rows, {os.cpu_count()} cores, median of {args.rounds}\n")
        print("| | seconds | MB at most | MB written |\n|---|---|---|---|")
        missed = False
        for name, words in (("CSV", ()), ("JSON lines", ("--jsonl",))):
            out = root / f"{name[0]}.out"
            rounds = [measure(root, out, words) for _ in range(args.rounds)]
            seconds = statistics.median(one for one, _ in rounds)
            memory = max(one for _, one in rounds)
            size = out.stat().st_size / 1e6
            lines = sum(1 for _ in out.open())
            assert lines == args.rows + (name == "CSV"), lines
            print(f"| {name} | {seconds:.2f} | {memory:.0f} | {size:.0f} |")
            missed |= seconds > SECONDS or memory > MEGABYTES
        print(f"| bare `csv` | {bare(root / 'bare.csv', args.rows):.2f} | | |")
    print("\n" + ("missed" if missed else "met"))
    return int(missed)


def lay_out(root: str, rows: int) -> None:
    """Make a queue of that many rows, all done; the last third in a generation of its own."""
    parts = range(rows * 2 // 3), range(rows * 2 // 3, rows)
    ids = [str(n) for n in reversed(range(rows))]
    answer = json.dumps({"label": "request", "sure": 0.75, "why": {"page": 3, "quote": TEXT}})
    report = json.dumps({"summary": "Labelled as a request; two words were unclear."})
    with Ledger.open(root, create=True) as ledger:
        for part in parts:
            ledger.generations.open(
                "q",
                (
                    NewItem(str(n), "rows.csv", payload={"id": str(n), "text": TEXT, "n": n})
                    for n in part
                ),
                Options(answer='{"type": "object"}', sequence=ids),
            )
            queue = ledger.queues.get("q").no
            store = ledger.items._store
            with store.write():
                # What a hundred thousand hand-outs would have left.
                store.change(
                    "insert into claim (token, item, worker, lease_ms, attempt, claimed_at, "
                    "ended_at, outcome, report, answer, input_tokens, output_tokens, "
                    "cache_read_tokens, cache_write_tokens) select 'x', no, 'w', 1, 1, 1.0, 2.0, "
                    "'done', ?, ?, 900, 80, 20000, 500 from item where queue = ?",
                    (report, answer, queue),
                )
                store.change(
                    "update item set state = 'done', turn = null, finished_at = 2.0, finish_no = "
                    "no, claim = (select max(no) from claim) - (select max(no) from item) + no "
                    "where queue = ?",
                    (queue,),
                )


def measure(root: Path, out: Path, words: tuple[str, ...]) -> tuple[float, float]:
    """Return the seconds of a processor and the peak of megabytes of one call."""
    command = [sys.executable, "-m", "hypervisor", "results", "q", *words, "--out", str(out)]
    environment = os.environ | {"PYTHONPATH": str(SOURCES)}
    process = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, status
    process.returncode = 0
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def bare(path: Path, rows: int) -> float:
    """Return the seconds that a loop takes which writes such rows and knows nothing."""
    begun = time.process_time()
    with path.open("w", newline="") as file:
        write = csv.writer(file).writerow
        for n in range(rows):
            answer = "request", 0.75, 3, TEXT
            ours = "success", "claimed", "", n, 1, "", 21480, "", TEXT[:20], TEXT[:20]
            write((n, TEXT, n, *answer, *ours))
    return time.process_time() - begun


if __name__ == "__main__":
    sys.exit(main())
