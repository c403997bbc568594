"""How often the truth lies within the forecast of what is left: by Student's prediction interval,
and by the bootstrap that it stands in for.

    python bench/forecast.py [--times bench/item-times.json] [--tries 1000]

Of the recorded items some are drawn as those that have ended, and the rest is what is left: in a
random order, and, since items of a batch are seldom alike from end to end, in the recorded one,
begun anywhere. Prints of 100 forecasts how many held, and how wide they were.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

from hypervisor.ledger import forecast

ENDED = (3, 10, 30)
_DRAWS = 200

Bounds = Callable[[list[float], int, random.Random], tuple[float, float]]


def student(ended: list[float], left: int, chance: random.Random) -> tuple[float, float]:
    """Return the interval that the program tells."""
    told = forecast.of(ended, left)
    assert told is not None
    return told.low, told.high


def bootstrap(ended: list[float], left: int, chance: random.Random) -> tuple[float, float]:
    """Return the middle 90 % of what means of the ended items, drawn again, come to."""
    count = len(ended)
    sums = sorted(sum(chance.choices(ended, k=count)) * left / count for _ in range(_DRAWS))
    return sums[_DRAWS // 20], sums[-_DRAWS // 20 - 1]


def held(seconds: list[float], count: int, bounds: Bounds, tries: int, *, shuffled: bool) -> str:
    """Return of 100 tries how many held, and how wide they were on the average, by the truth."""
    chance, right, width = random.Random(1), 0, 0.0
    for _ in range(tries):
        start = chance.randrange(len(seconds))
        order = seconds[start:] + seconds[:start]
        if shuffled:
            chance.shuffle(order)
        ended, rest = order[:count], order[count:]
        low, high = bounds(ended, len(rest), chance)
        right += low <= sum(rest) <= high
        width += (high - low) / sum(rest)
    return f"{100 * right / tries:5.1f} ({100 * width / tries:.0f} %)"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=Path, default=HERE / "item-times.json")
    parser.add_argument("--tries", type=int, default=1000)
    args = parser.parse_args()
    recorded = json.loads(args.times.read_text())
    seconds: list[float] = recorded["seconds"]
    print(f"{len(seconds)} items: {recorded['of']}")
    print("held of 100 (width by the truth)   " + "".join(f"n = {n:<14}" for n in ENDED))
    for name, bounds in (("Student", student), ("bootstrap", bootstrap)):
        for order, shuffled in (("at random", True), ("as recorded", False)):
            cells = [held(seconds, n, bounds, args.tries, shuffled=shuffled) for n in ENDED]
            print(f"{name + ', ' + order:<35}" + "".join(f"{cell:<18}" for cell in cells))


if __name__ == "__main__":
    main()
