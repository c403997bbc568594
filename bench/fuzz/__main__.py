"""Files as nobody would write them, given to what reads files of others: a bounded run.

    python bench/fuzz [--minutes 1] [--seed 1] [--target NAME]
    python bench/fuzz --seed S --round N [--keep FOLDER]

Each round makes a project with something odd in it and has the program read it, in turns for each
target: the functions named in TARGETS say what they are about. Counted are
- crashes: a traceback or a signal, where there should be an answer or an error of one line;
- hangs: a round of more than LIMIT seconds;
- writes: a byte, mode or time that changed in the tree beside the project.
A named pipe as the source of `rows` is waited for 10 s, as its reader promises: that is no hang.
A finding is printed with the seed and the round that make it again.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import files
import state
from rounds import Batch, Told

LIMIT = 20.0
TARGETS = (
    files.tasks, files.edits, files.settings, files.rows, files.transcripts, files.calls,
    state.ledgers, state.planted, state.journals, state.notes, state.events,
)  # fmt: skip
BAD = ("CRASH", "HANG", "WRITE")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--round", type=int, help="make this one again, and no other")
    parser.add_argument("--target", choices=[one.__name__ for one in TARGETS], help="no other")
    parser.add_argument("--keep", type=Path, help="with --round: what it left goes here")
    args = parser.parse_args()
    counts = {one.__name__: Counter[str]() for one in TARGETS}
    slowest = dict.fromkeys(counts, 0.0)
    until = time.monotonic() + args.minutes * 60
    with tempfile.TemporaryDirectory(prefix="hv-fuzz-") as at:
        number = args.round or 0
        while time.monotonic() < until:
            numbers = _numbers(number, args.target, one=args.round is not None)
            batch = Batch(Path(at), args.seed, numbers, TARGETS, until, LIMIT)
            for told in batch.run():
                counts[told.target][told.what] += 1
                slowest[told.target] = max(slowest[told.target], told.took)
                number = told.number + 1
                if told.what in BAD:
                    _print(told, args.seed)
            if args.round is not None:
                if args.keep:
                    shutil.move(batch.place, args.keep)
                break
            shutil.rmtree(batch.place, ignore_errors=True)
    return _table(counts, slowest, f"{args.minutes:g} min, seed {args.seed}")


def _numbers(start: int, target: str | None, *, one: bool) -> list[int]:
    """Return the rounds of the next batch: a process of its own for some hundred of them."""
    if one:
        return [start]
    names = [each.__name__ for each in TARGETS]
    every = range(start, start + 200 * (len(TARGETS) if target else 1))
    return [number for number in every if target in (None, names[number % len(names)])]


def _print(told: Told, seed: int) -> None:
    print(f"--- seed {seed} round {told.number} {told.target}: {told.what}, {told.took:.1f} s")
    print(told.detail.rstrip()[-6000:], flush=True)


def _table(counts: dict[str, Counter[str]], slowest: dict[str, float], title: str) -> int:
    total = sum(sum(one.values()) for one in counts.values())
    print(f"\n{total:,} rounds in {title}\n")
    print("| target | rounds | crashes | hangs | writes outside | slowest, s |")
    print("|---|---|---|---|---|---|")
    for name, one in counts.items():
        cells = (name, sum(one.values()), *(one[what] for what in BAD), f"{slowest[name]:.1f}")
        print("| " + " | ".join(map(str, cells)) + " |")
    return 1 if any(one[what] for one in counts.values() for what in BAD) else 0


if __name__ == "__main__":
    sys.exit(main())
