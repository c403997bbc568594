"""Where the store becomes the limit: recorded item times, replayed for 10 to 10,000 workers.

    python bench/simulate.py [--times bench/item-times.json] [--workers 10 100 1000 10000]
                             [--dir FOLDER]                       (in the environment of tests/run)

The times are those of a real run (`hypervisor summary QUEUE --json`; how they came about stands in
the file). The store's figure is measured on the spot: eight processes end an item and claim the
next as fast as they can, once on SQLite and once on PostgreSQL (from a wheel, on its socket),
which is the most claims per second that this machine's store gives to anybody. The replay draws an
item for each worker over and over; each end-and-claim waits its turn at the store, which serves
one after the other at that rate. A store is the limit where workers wait for longer than they work.
What a worker spends on starting its own process, or on its model, is not the store's.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))
sys.path.insert(0, str(HERE.parent / "src"))
sys.path.insert(0, str(HERE))

import stores

from server import Server

CLAIMERS = 8
ITEMS_EACH = 8


def replay(times: list[float], workers: int, rate: float) -> tuple[float, float]:
    """Return items per second, and the share of their time that workers wait for the store.

    `times` are seconds that an item takes, `rate` the store's ends and claims per second.
    """
    chance = random.Random(workers)
    # All begin at once, as an array job does: the start is a part of what is measured.
    ready = [(0.0, number) for number in range(workers)]
    left = [ITEMS_EACH] * workers
    free = waited = worked = end = 0.0
    heapq.heapify(ready)
    while ready:
        at, number = heapq.heappop(ready)
        free = max(at, free) + 1 / rate
        waited += free - at
        if not left[number]:
            end = max(end, free)
            continue
        left[number] -= 1
        took = chance.choice(times)
        worked += took
        heapq.heappush(ready, (free + took, number))
    return workers * ITEMS_EACH / end, waited / (waited + worked)


def rates(folder: str, seconds: float) -> dict[str, float]:
    """Return how many ends and claims per second each store gives to eight processes."""
    server = Server(Path(folder) / "pg", {"fsync": "on"})
    server.start()
    try:
        told = {}
        for name in ("ours, SQLite", "ours, PostgreSQL"):
            place = stores.Place(stores.CONTENDERS[name], folder, server, 20_000)
            told[name.split(", ")[1]] = stores.run(place, CLAIMERS, 1, seconds).rate
            place.remove()
        return told
    finally:
        server.stop()


def first_limit(times: list[float], rate: float) -> int:
    """Return the number of workers from which on they wait for longer than they work."""
    # Where all wait for as long as they work, the store serves one of them per 2 * mean / workers.
    low, high = 1, round(4 * rate * statistics.mean(times)) + 2
    while high - low > max(1, low // 30):
        middle = (low + high) // 2
        if replay(times, middle, rate)[1] > 0.5:
            high = middle
        else:
            low = middle
    return high


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=Path, default=HERE / "item-times.json")
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--seconds", type=float, default=5, help="for which a store is measured")
    parser.add_argument("--dir", help="where the stores' files go")
    args = parser.parse_args()
    recorded: dict[str, Any] = json.loads(args.times.read_text())
    times: list[float] = recorded["seconds"]
    with tempfile.TemporaryDirectory(dir=args.dir, prefix="hv-sim-") as folder:
        os.chmod(folder, 0o711)
        measured = rates(folder, args.seconds)
    middle = statistics.median(times)
    print(f"{len(times)} recorded items ({recorded['of']}): median {middle:.2f} s, "
          f"{min(times):.2f} to {max(times):.2f} s.\n")  # fmt: skip
    for name, rate in measured.items():
        print(f"{name}: {rate:,.0f} ends and claims per second ({1000 / rate:.2f} ms each).")
    minute = [took * 60 / middle for took in times]
    for title, those in (("as recorded", times), ("stretched to a median of a minute", minute)):
        print(f"\n### Items {title}\n")
        print("| workers | " + " | ".join(f"{name}: items/s | waits" for name in measured) + " |")
        print("|---|" + "---|---|" * len(measured))
        for workers in args.workers:
            cells = []
            for rate in measured.values():
                pace, waits = replay(those, workers, rate)
                cells.append(f"{pace:,.1f} | {waits:.1%}")
            print(f"| {workers:,} | " + " | ".join(cells) + " |")
        for name, rate in measured.items():
            limit = first_limit(those, rate)
            print(f"\n{name} is the limit from about {round(limit, -1):,} workers on.")
    print(f"\nLoad average of the {os.cpu_count()} cores while this ran: {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
