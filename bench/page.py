"""How long `hypervisor report` takes from process start, and how large its page is.

    python bench/page.py [--rounds 5] [--items 60 2000 5000]

The batches are those of tests/page: the ledger's own verbs, with one worker per 40 items, every
kind of end, tokens and notices. Figures are medians.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO / "src"), str(REPO / "tests")]

from views.page import batches


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--items", type=int, nargs="+", default=[60, 2000, 5000])
    args = parser.parse_args()
    print("| items | workers | seconds from process start | bytes | bytes per item |")
    print("|---|---|---|---|---|")
    large = 0
    for items in args.items:
        workers = max(4, items // 40)
        with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".bench-") as at:
            root = Path(at).resolve()
            batches.work_off(root, "inbox", items, workers)
            seconds, size = measure(root, args.rounds)
        print(f"| {items:,} | {workers} | {seconds:.2f} | {size:,} | {size // items} |", flush=True)
        large += items <= 2000 and size >= 1_000_000
    return 1 if large else 0


def measure(root: Path, rounds: int) -> tuple[float, int]:
    """Return the median seconds that the command takes at `root`, and the bytes of its page."""
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        command = [REPO / "bin" / "hypervisor", "report", "inbox"]
        ran = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        took.append(time.perf_counter() - start)
    return statistics.median(took), Path(ran.stdout.strip()).stat().st_size


if __name__ == "__main__":
    raise SystemExit(main())
