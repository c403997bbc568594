"""Claim and finish with a report: the ledger against queue libraries and the seed, in turns.

    pip install -r requirements-bench.txt
    python bench/ledger.py [--items 10000 100000] [--processes 1 4 8] [--seconds 8] [--rounds 1]
                           [--part cells|size|seed …] [--dir FOLDER]

Every process claims items and ends each with a report of about 300 bytes until the queue is empty
or the time is up. A cell shows items per second, the best round of each; `~` marks one that was cut
off by the time. The contenders of a cell run one right after the other. All run in WAL mode with
synchronous=NORMAL; `as shipped` is ours with FULL for every finish. Ours makes and removes a lock
per item. `ours` and `as shipped` end and claim in one transaction, as `hypervisor done --next`
does; `two calls` is `hypervisor done`, then `hypervisor next`. huey runs each message as its own
worker does and stores the result: that is what ours is held to. `bare` is the least that can be
asked of huey's storage: take a message, store a result, nothing checked; no user of huey has it,
and it is listed to show what the checks of both cost. The peers take one item at a time in every
cell, litequeue keeps no report, and persist-queue is only listed: each item that two processes got
is counted. Without `--dir` all files lie in a temporary folder beside this script, which is on a
real disk.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import platform
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from hypervisor.ledger import Ledger, NewItem
from hypervisor.ledger.store import Store

REPORT = {
    "summary": "The loader reads the new key, falls back to the old one and says so once. " * 3,
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "files": ["lib/loader.py", "tests/test_loader.py"],
}
FORK = multiprocessing.get_context("fork")


def item_id(number: int) -> str:
    return f"task-{number:07}"


class Normal(Ledger):
    """The ledger with synchronous=NORMAL for all that it writes, as the others have it."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        write = store.write
        # A class of its own would have to be known to `Ledger`.
        store.write = lambda durable=False: write(False)  # type: ignore[method-assign] (this one)


# -- contenders: fill(folder, count) makes a queue; work(folder, batch) yields ids as they end --


def fill_ours(folder: str, count: int) -> None:
    with Ledger.open(folder, create=True) as ledger:
        ledger.generations.open(
            "bench",
            (
                NewItem(item_id(number), f"tasks/{item_id(number)}.md", title="Rename the key")
                for number in range(count)
            ),
        )


def _ours(kind: type[Ledger], folder: str, batch: int) -> Iterator[list[str]]:
    with kind.open(folder) as ledger:
        worker = f"w{os.getpid()}"
        claims = ledger.claims.claim("bench", worker, batch)
        while claims:
            ended = [claim.id for claim in claims]
            ends = [(claim.token, "done", REPORT) for claim in claims]
            states, claims = ledger.claims.finish_and_claim(ends, "bench", worker, batch)
            assert states == ["done"] * len(ended)
            yield ended


def work_normal(folder: str, batch: int) -> Iterator[list[str]]:
    """One transaction ends a batch and claims the next."""
    return _ours(Normal, folder, batch)


def work_shipped(folder: str, batch: int) -> Iterator[list[str]]:
    return _ours(Ledger, folder, batch)


def work_two_calls(folder: str, batch: int) -> Iterator[list[str]]:
    with Normal.open(folder) as ledger:
        worker = f"w{os.getpid()}"
        while claims := ledger.claims.claim("bench", worker, batch):
            ledger.ends.finish_many([(claim.token, "done", REPORT) for claim in claims])
            yield [claim.id for claim in claims]


def _huey(folder: str) -> Any:
    from huey import SqliteHuey

    huey = SqliteHuey("bench", filename=os.path.join(folder, "huey.db"))
    huey.storage.conn.execute("pragma synchronous = normal")
    return huey, huey.task()(rename)


def rename(name: str) -> dict[str, Any]:
    """The task that huey's messages name; what it returns is stored as its result."""
    return REPORT


def fill_huey(folder: str, count: int) -> None:
    huey, task = _huey(folder)
    connection = huey.storage.conn
    connection.execute("begin")
    connection.executemany(
        "insert into task (queue, data, priority) values ('bench', ?, 0)",
        ((huey.serialize_task(task.s(item_id(number))),) for number in range(count)),
    )
    connection.execute("commit")
    huey.storage.close()


def work_huey(folder: str, batch: int) -> Iterator[list[str]]:
    """What huey's own worker does with each message."""
    huey, _ = _huey(folder)
    while task := huey.dequeue():
        huey.execute(task)
        yield [task.args[0]]


def work_huey_bare(folder: str, batch: int) -> Iterator[list[str]]:
    """The least that can be asked of huey: no check whether the task was revoked, no signals."""
    huey, _ = _huey(folder)
    while task := huey.dequeue():
        huey.put_result(task.id, REPORT)
        yield [task.args[0]]


def _litequeue(folder: str) -> Any:
    from litequeue import LiteQueue

    # Its own settings: WAL, synchronous=NORMAL.
    return LiteQueue(os.path.join(folder, "lite.db"), timeout=60)


def fill_litequeue(folder: str, count: int) -> None:
    queue = _litequeue(folder)
    queue.conn.execute("begin")
    for number in range(count):
        queue.put(item_id(number))
    queue.conn.execute("commit")
    queue.conn.close()


def work_litequeue(folder: str, batch: int) -> Iterator[list[str]]:
    queue = _litequeue(folder)
    while message := queue.pop():
        queue.done(message.message_id)
        yield [message.data]


def _persist_queue(folder: str) -> Any:
    from persistqueue import SQLiteAckQueue

    queue = SQLiteAckQueue(folder, multithreading=True, auto_resume=False, timeout=60)
    for connection in {queue._getter, queue._putter}:
        connection.execute("pragma synchronous = normal")
    return queue


def fill_persist_queue(folder: str, count: int) -> None:
    queue = _persist_queue(folder)
    with queue._putter as connection:
        connection.executemany(
            queue._sql_insert,
            ((queue._serializer.dumps(item_id(number)), 0.0) for number in range(count)),
        )
    queue.close()


def work_persist_queue(folder: str, batch: int) -> Iterator[list[str]]:
    from persistqueue.exceptions import Empty

    queue = _persist_queue(folder)
    while True:
        try:
            raw = queue.get(block=False, raw=True)
        except Empty:
            return
        queue.ack(id=raw["pqid"])
        yield [raw["data"]]


def fill_seed(folder: str, count: int) -> None:
    os.mkdir(os.path.join(folder, "locks"))
    os.mkdir(os.path.join(folder, "results"))
    with open(os.path.join(folder, "queue.txt"), "w", encoding="utf-8") as queue:
        queue.writelines(f"{item_id(number)}\n" for number in range(count))


def work_seed(folder: str, batch: int) -> Iterator[list[str]]:
    """The seed's scheme: `mkdir` down the list from its top for every batch."""
    with open(os.path.join(folder, "queue.txt"), encoding="utf-8") as queue:
        names = queue.read().split()
    while True:
        claimed = []
        for name in names:
            try:
                os.mkdir(f"{folder}/locks/{name}")
            except FileExistsError:
                continue
            with open(f"{folder}/results/{name}.json", "w", encoding="utf-8") as out:
                json.dump(REPORT, out)
            claimed.append(name)
            if len(claimed) == batch:
                break
        if not claimed:
            return
        yield claimed


Contender = tuple[Callable[[str, int], None], Callable[[str, int], Iterator[list[str]]], bool]
# Fill, work, and whether it knows batches: the others take one item at a time in every cell.
CONTENDERS: dict[str, Contender] = {
    "ours": (fill_ours, work_normal, True),
    "ours, two calls": (fill_ours, work_two_calls, True),
    "ours as shipped": (fill_ours, work_shipped, True),
    "huey": (fill_huey, work_huey, False),
    "huey, bare": (fill_huey, work_huey_bare, False),
    "litequeue": (fill_litequeue, work_litequeue, False),
    "persist-queue": (fill_persist_queue, work_persist_queue, False),
}
PEERS = ("huey", "litequeue")


class Cell:
    """What one contender did in one cell: items per second, whether it was cut off, and how many
    items were handed out twice."""

    def __init__(self, rate: float, cut: bool, twice: int, ended: int) -> None:
        self.rate = rate
        self.cut = cut
        self.twice = twice
        self.ended = ended

    def __str__(self) -> str:
        twice = f" ({self.twice} twice)" if self.twice else ""
        return f"{'~' if self.cut else ''}{self.rate:,.0f}{twice}"


def _process(
    work: Callable[[str, int], Iterator[list[str]]],
    folder: str,
    batch: int,
    seconds: float,
    start: Any,
    pipe: Any,
) -> None:
    ended: list[str] = []
    cut, failed = False, ""
    start.wait()
    until = time.monotonic() + seconds
    try:
        for ids in work(folder, batch):
            ended += ids
            if time.monotonic() > until:
                cut = True
                break
    except sqlite3.Error as error:
        failed = str(error)
    pipe.send((ended, cut, time.monotonic(), failed))


def run(
    contender: Contender, at: str, count: int, processes: int, batch: int, seconds: float
) -> Cell:
    """Fill a fresh queue and let `processes` work on it at once."""
    fill, work, _ = contender
    folder = tempfile.mkdtemp(dir=at)
    try:
        fill(folder, count)
        start = FORK.Barrier(processes + 1)
        pipes = [FORK.Pipe(False) for _ in range(processes)]
        started = [
            FORK.Process(target=_process, args=(work, folder, batch, seconds, start, send))
            for _, send in pipes
        ]
        for process in started:
            process.start()
        start.wait()
        begun = time.monotonic()
        told = [receive.recv() for receive, _ in pipes]
        for process in started:
            process.join()
    finally:
        shutil.rmtree(folder)
    times: Counter[str] = Counter()
    for ended, _, _, _ in told:
        times.update(ended)
    took = max(at for _, _, at, _ in told) - begun
    for failed in {failed for *_, failed in told if failed}:
        print(f"(a process ended with: {failed})", flush=True)
    return Cell(
        sum(times.values()) / took,
        any(cut for _, cut, _, _ in told),
        sum(1 for count in times.values() if count > 1),
        len(times),
    )


def cells(args: argparse.Namespace, at: str) -> bool:
    """Print a table per number of items; True if ours is ahead of each peer in every cell."""
    ahead = True
    for count in args.items:
        print(f"\n### {count:,} items, claim and finish with a report, items per second\n")
        print(
            "| processes | batch | "
            + " | ".join(CONTENDERS)
            + " | ours to the best peer | to bare |"
        )
        print("|---|---|" + "---|" * (len(CONTENDERS) + 2))
        for processes in args.processes:
            for batch in args.batches:
                told: dict[str, list[Cell]] = {name: [] for name in CONTENDERS}
                for _ in range(args.rounds):
                    for name, contender in CONTENDERS.items():
                        seconds = args.seconds
                        made = run(contender, at, count, processes, batch, seconds)
                        told[name].append(made)
                best = {name: max(runs, key=lambda cell: cell.rate) for name, runs in told.items()}
                for name, runs in told.items():
                    best[name].twice = max(cell.twice for cell in runs)
                ratio = best["ours"].rate / max(best[name].rate for name in PEERS)
                ahead = ahead and ratio > 1 and not best["ours"].twice
                bare = best["ours"].rate / best["huey, bare"].rate
                row = " | ".join(str(best[name]) for name in CONTENDERS)
                print(f"| {processes} | {batch} | {row} | {ratio:.2f} | {bare:.2f} |", flush=True)
    return ahead


def size(args: argparse.Namespace, at: str) -> bool:
    """Print what a claim costs in a small and in a large ledger, claimed from in turns."""
    small, large = 10_000, 1_000_000
    ledgers = {}
    for count in (small, large):
        folder = tempfile.mkdtemp(dir=at)
        fill_ours(folder, count)
        ledgers[count] = Ledger.open(folder)
    took: dict[int, list[float]] = {small: [], large: []}
    for _ in range(3000):
        for count, ledger in ledgers.items():
            begun = time.perf_counter()
            ledger.claims.claim("bench", "w")
            took[count].append(time.perf_counter() - begun)
    for ledger in ledgers.values():
        ledger.close()
    medians = {count: statistics.median(took[count]) * 1e6 for count in took}
    ratio = medians[large] / medians[small]
    print("\n### One claim, 3,000 in turns from each\n")
    print("| items | median of a claim |")
    print("|---|---|")
    for count, median in medians.items():
        print(f"| {count:,} | {median:.0f} µs |")
    print(f"\nratio {ratio:.2f}; the goal is at most 1.5")
    return ratio <= 1.5


def seed(args: argparse.Namespace, at: str) -> bool:
    """Print the seed's full drain of 10,000 items, and its cost per claim along 100,000."""
    contender: Contender = (fill_seed, work_seed, True)
    ahead = True
    print("\n### The seed's scan (mkdir per item, from the top of the list for every batch)\n")
    print("| items | processes | batch | seed | ours | ours as shipped | ours to the seed |")
    print("|---|---|---|---|---|---|---|")
    for batch in args.batches:
        for processes in (1, 4):
            limit = 3600.0
            theirs = run(contender, at, 10_000, processes, batch, limit)
            mine = run(CONTENDERS["ours"], at, 10_000, processes, batch, limit)
            shipped = run(CONTENDERS["ours as shipped"], at, 10_000, processes, batch, limit)
            ratio = mine.rate / theirs.rate
            ahead = ahead and ratio >= 4
            row = f"{10_000 / theirs.rate:.1f} s | {10_000 / mine.rate:.2f} s | "
            row += f"{10_000 / shipped.rate:.2f} s | {ratio:.1f}"
            print(f"| 10,000 | {processes} | {batch} | {row} |", flush=True)
    count = 100_000
    folder = tempfile.mkdtemp(dir=at)
    fill_seed(folder, count)
    costs: dict[int, list[tuple[int, float]]] = {batch: [] for batch in args.batches}
    done = 0
    for level in (0, 20_000, 40_000, 60_000, 80_000, 99_000):
        for number in range(done, level):
            os.mkdir(f"{folder}/locks/{item_id(number)}")
        done = level
        for batch in args.batches:
            working = work_seed(folder, batch)
            begun = time.perf_counter()
            rounds = 3
            taken = sum(len(next(working)) for _ in range(rounds))
            costs[batch].append((level, (time.perf_counter() - begun) / taken))
            done += taken
    notes = []
    for batch, points in costs.items():
        whole = sum(
            (right[0] - left[0]) * (left[1] + right[1]) / 2
            for left, right in itertools.pairwise(points)
        )
        mine = run(CONTENDERS["ours"], at, count, 1, batch, 3600)
        shipped = run(CONTENDERS["ours as shipped"], at, count, 1, batch, 3600)
        shown = ", ".join(f"{cost * 1e3:.2f}" for _, cost in points)
        ratio = mine.rate / (count / whole)
        row = f"about {whole:,.0f} s | {count / mine.rate:.1f} s | {count / shipped.rate:.1f} s"
        print(f"| 100,000 | 1 | {batch} | {row} | {ratio:.0f} |", flush=True)
        notes.append(f"batch {batch}: {shown}")
    shutil.rmtree(folder)
    print("\nThe seed's ms an item with 0, 20k, 40k, 60k, 80k, 99k claimed, " + "; ".join(notes))
    return ahead


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 50])
    parser.add_argument("--seconds", type=float, default=8.0, help="the longest that a cell runs")
    parser.add_argument("--rounds", type=int, default=1)
    parts = {"cells": cells, "size": size, "seed": seed}
    parser.add_argument("--part", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--dir", help="where to lay out the files")
    args = parser.parse_args()
    print(
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; "
        f"cells end after {args.seconds:g} s, best of {args.rounds}"
    )
    with tempfile.TemporaryDirectory(dir=args.dir or Path(__file__).parent, prefix=".bench-") as at:
        met = {name: parts[name](args, at) for name in args.part}
    print("\n" + ", ".join(f"{name}: {'met' if ok else 'NOT MET'}" for name, ok in met.items()))
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
