"""Claims in each store: ours in SQLite and in PostgreSQL, and the queue libraries beside them.

    pip install -r requirements-dev.txt -r requirements-postgres.txt -r requirements-bench.txt
    python bench/stores.py [--items 10000 100000 1000000] [--claimers 1 4 8] [--batches 1 50]
                           [--seconds 4] [--rounds 1] [--only NAME …]
                           [--part cells|killed|many …] [--dir FOLDER]

Every claimer is a process: it claims, and ends each item with a report of about 300 bytes where
the library keeps one. A cell runs for `--seconds`, or until its queue is empty (then filled anew),
and shows items per second and the milliseconds that one of its claimers needs for a call that ends
a batch and claims the next. A queue is filled once per size and used for all cells of that size
while more than half of it is left; a server has analyzed and written out all of it before. What
takes one item at a time does so in the cells of 50, too.

Ours in SQLite is as shipped (an end reaches the disk before it is accepted); the libraries there
run with synchronous=NORMAL. All stores on PostgreSQL share one server, from a wheel, through its
socket, with fsync and synchronous_commit on. `procrastinate` is its own job manager as its workers
call it; `its functions` calls the same SQL functions through bare psycopg, the least that can be
asked of it: no user of procrastinate has that.

`many` lets 64 claimers work off 100,000 items of ours on PostgreSQL. `killed` counts what
`kill -9` of the workers, and then of the server, leaves behind.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))
sys.path.insert(0, str(HERE.parent / "src"))
sys.path.insert(0, str(HERE))

import ledger as peers
from hypervisor.config.store import VARIABLE
from hypervisor.ledger import Ledger
from server import Server

FORK = peers.FORK
QUEUE = "bench"


class Contender(NamedTuple):
    """`fill(at, count)` makes a queue; `work(at, batch, lease)` yields the ids that ended."""

    fill: Callable[[str, int], None]
    work: Callable[[str, int], Iterator[list[str]]]
    on_server: bool
    in_batches: bool


# -- ours --


def work_ours(at: str, batch: int) -> Iterator[list[str]]:
    """As `hypervisor done --next` does: end a batch and claim the next in one commit."""
    with Ledger.open(at) as ledger:
        worker = f"w{os.getpid()}"
        claims = ledger.claims.claim(QUEUE, worker, batch, lease_seconds=LEASE)
        while claims:
            ends = [(claim.token, "done", peers.REPORT) for claim in claims]
            ended = [claim.id for claim in claims]
            states, claims = ledger.claims.finish_and_claim(
                ends, QUEUE, worker, batch, lease_seconds=LEASE
            )
            assert states == ["done"] * len(ended)
            yield ended


# -- procrastinate --


def _app() -> Any:
    import logging

    import procrastinate

    logging.disable(logging.WARNING)
    connector = procrastinate.PsycopgConnector(
        conninfo=os.environ[VARIABLE], min_size=1, max_size=1
    )
    return procrastinate.App(connector=connector)


def fill_procrastinate(at: str, count: int) -> None:
    import psycopg

    app = _app()
    with app.open():
        app.schema_manager.apply_schema()
    with psycopg.connect(os.environ[VARIABLE], autocommit=True) as connection:
        connection.execute(
            "insert into procrastinate_jobs (queue_name, task_name, args) select 'bench', 'rename',"
            " jsonb_build_object('id', 'task-' || lpad(no::text, 7, '0')) "
            "from generate_series(0, %s) as made (no)",
            [count - 1],
        )
        connection.execute("vacuum analyze procrastinate_jobs")


def work_procrastinate(at: str, batch: int) -> Iterator[list[str]]:
    """Its own job manager, driven from a plain loop: each step runs its coroutine to the end."""
    from procrastinate.jobs import Status

    loop = asyncio.new_event_loop()
    app = _app()
    loop.run_until_complete(app.open_async())
    manager = app.job_manager
    worker = loop.run_until_complete(manager.register_worker())

    async def one() -> str | None:
        job = await manager.fetch_job(queues=[QUEUE], worker_id=worker)
        if job is None:
            return None
        await manager.finish_job(job, status=Status.SUCCEEDED, delete_job=False)
        return str(job.task_kwargs["id"])

    try:
        while (ended := loop.run_until_complete(one())) is not None:
            yield [ended]
    finally:
        loop.run_until_complete(app.close_async())


def work_procrastinate_bare(at: str, batch: int) -> Iterator[list[str]]:
    import psycopg

    with psycopg.connect(os.environ[VARIABLE], autocommit=True) as connection:
        [(worker,)] = connection.execute("select worker_id from procrastinate_register_worker_v1()")
        while True:
            [(number, args)] = connection.execute(
                "select id, args from procrastinate_fetch_job_v2(%s::varchar[], %s)",
                [[QUEUE], worker],
            )
            if number is None:
                return
            connection.execute(
                "select procrastinate_finish_job_v1(%s, 'succeeded', false)", [number]
            )
            yield [args["id"]]


LEASE = 900.0
CONTENDERS = {
    "ours, SQLite": Contender(peers.fill_ours, work_ours, False, True),
    "huey": Contender(peers.fill_huey, peers.work_huey, False, False),
    "litequeue": Contender(peers.fill_litequeue, peers.work_litequeue, False, False),
    "persist-queue": Contender(peers.fill_persist_queue, peers.work_persist_queue, False, False),
    "ours, PostgreSQL": Contender(peers.fill_ours, work_ours, True, True),
    "procrastinate": Contender(fill_procrastinate, work_procrastinate, True, False),
    "its functions": Contender(fill_procrastinate, work_procrastinate_bare, True, False),
}
MINE, THEIRS = "ours, PostgreSQL", ("procrastinate",)


class Place:
    """A filled queue of one contender, and how much of it is left."""

    def __init__(self, contender: Contender, at: str, server: Server, count: int) -> None:
        self.contender, self.server, self.count = contender, server, count
        self.folder = tempfile.mkdtemp(dir=at)
        self.database = ""
        if contender.on_server:
            self.database = server.database()
            os.environ[VARIABLE] = server.address(self.database)
        else:
            os.environ.pop(VARIABLE, None)
        contender.fill(self.folder, count)
        if self.database:
            # What the fill has left to do would be paid for by the first cell alone.
            server.sql("vacuum analyze", "checkpoint", database=self.database)
        self.left = count

    def use(self) -> None:
        """Have this process and those that it starts see this place."""
        os.environ.pop(VARIABLE, None)
        if self.database:
            os.environ[VARIABLE] = self.server.address(self.database)

    def remove(self) -> None:
        shutil.rmtree(self.folder)
        if self.database:
            self.server.drop(self.database)


class Cell(NamedTuple):
    """Items per second, milliseconds per call of a claimer, and how many items came twice."""

    rate: float
    call: float
    twice: int

    def __str__(self) -> str:
        return f"{self.rate:,.0f} ({self.call:.2f})" + (f" {self.twice} twice" * bool(self.twice))


def _claim(
    contender: Contender, folder: str, batch: int, seconds: float, start: Any, pipe: Any
) -> None:
    ended: list[str] = []
    calls, failed = 0, ""
    start.wait()
    begun = time.monotonic()
    try:
        for ids in contender.work(folder, batch):
            ended += ids
            calls += 1
            if time.monotonic() - begun > seconds:
                break
    except sqlite3.Error as error:
        failed = str(error)
    pipe.send((ended, calls, time.monotonic() - begun, failed))


def run(place: Place, claimers: int, batch: int, seconds: float) -> Cell:
    """Let `claimers` processes work at once."""
    place.use()
    start = FORK.Barrier(claimers + 1)
    pipes = [FORK.Pipe(False) for _ in range(claimers)]
    processes = [
        FORK.Process(
            target=_claim, args=(place.contender, place.folder, batch, seconds, start, send)
        )
        for _, send in pipes
    ]
    for process in processes:
        process.start()
    start.wait()
    told = [receive.recv() for receive, _ in pipes]
    for process in processes:
        process.join()
    for failed in {failed for *_, failed in told if failed}:
        print(f"(a process ended with: {failed})", flush=True)
    times: Counter[str] = Counter()
    for ended, *_ in told:
        times.update(ended)
    total = sum(times.values())
    # What a claimer held when the time was up stays claimed: it is not left for the next cell.
    place.left -= total + claimers * batch
    took = max(took for _, _, took, _ in told)
    spent = sum(took for _, _, took, _ in told)
    calls = sum(calls for _, calls, _, _ in told)
    return Cell(total / took, spent / max(calls, 1) * 1000, sum(1 for n in times.values() if n > 1))


def better(one: Cell | None, other: Cell) -> Cell:
    """Return the quicker of two rounds of a cell; what came twice in either counts."""
    if one is None:
        return other
    best = max(one, other)
    return best._replace(twice=max(one.twice, other.twice))


def cells(args: argparse.Namespace, at: str, server: Server) -> bool:
    """Print a table per number of items; True if ours is ahead of procrastinate in each cell."""
    ahead = True
    growth: dict[str, dict[int, float]] = {name: {} for name in args.only}
    for count in args.items:
        print(f"\n### {count:,} items: items per second (ms per call of a claimer)\n")
        print("| claimers | batch | " + " | ".join(args.only) + " | ours to procrastinate |")
        print("|---|---|" + "---|" * (len(args.only) + 1))
        places: dict[str, Place] = {}
        for claimers in args.claimers:
            for batch in args.batches:
                row: dict[str, Cell] = {}
                for name in list(args.only) * args.rounds:
                    place = places.get(name)
                    if place is None or place.left < count / 2:
                        if place is not None:
                            place.remove()
                        place = places[name] = Place(CONTENDERS[name], at, server, count)
                    made = run(place, claimers, batch, args.seconds)
                    row[name] = better(row.get(name), made)
                    if (claimers, batch) == (1, 1):
                        growth[name][count] = row[name].call
                told = "–"
                if MINE in row and (best := [row[name].rate for name in THEIRS if name in row]):
                    ratio = row[MINE].rate / max(best)
                    ahead = ahead and ratio > 1 and not row[MINE].twice
                    told = f"{ratio:.2f}"
                shown = " | ".join(str(row[name]) for name in args.only)
                print(f"| {claimers} | {batch} | {shown} | {told} |", flush=True)
        for place in places.values():
            place.remove()
    if len(args.items) > 1 and 1 in args.claimers and 1 in args.batches:
        small, large = min(args.items), max(args.items)
        print(f"\n### Growth of a call from {small:,} to {large:,} items (1 claimer, batch 1)\n")
        print("| store | ms | ms | ratio |\n|---|---|---|---|")
        for name, calls in growth.items():
            ratio = calls[large] / calls[small]
            print(f"| {name} | {calls[small]:.2f} | {calls[large]:.2f} | {ratio:.2f} |")
    return ahead


def many(args: argparse.Namespace, at: str, server: Server) -> bool:
    """Let 64 claimers work off 100,000 items on PostgreSQL; True if none came twice."""
    count, claimers = 100_000, 64
    place = Place(CONTENDERS[MINE], at, server, count)
    begun = time.monotonic()
    cell = run(place, claimers, 50, 3600)
    place.use()
    with Ledger.open(place.folder) as ledger:
        done = ledger.queues.stats(QUEUE)["done"]
        claims = ledger.store.row("select count(*), count(distinct item) from claim")
    print(f"\n### {claimers} claimers on {count:,} items on PostgreSQL, 50 at a time\n")
    print(
        f"{done:,} done in {time.monotonic() - begun:.0f} s, {cell.rate:,.0f} items per second; "
        f"{claims[0]:,} claims of {claims[1]:,} items, {cell.twice} came twice"
    )
    place.remove()
    return done == count and tuple(claims) == (count, count) and not cell.twice


def _tell(contender: Contender, folder: str, path: str) -> None:
    # One whose server was killed ends with many words about that.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for ids in contender.work(folder, 5 if contender.in_batches else 1):
        os.write(log, "".join(f"{one}\n" for one in ids).encode())


def killed(args: argparse.Namespace, at: str, server: Server) -> bool:
    """Print what killed workers, and a killed server, leave of 2,000 items."""
    global LEASE
    LEASE = 1.0
    count, fine = 2000, True
    print("\n### kill -9 of 4 workers, twice, and of the server while they work\n")
    print("| store | killed | told as ended | came twice | not told | never came back |")
    print("|---|---|---|---|---|---|")
    for name in args.only:
        contender = CONTENDERS[name]
        for what in ("workers", "server") if contender.on_server else ("workers",):
            place = Place(contender, at, server, count)
            place.use()
            log = os.path.join(place.folder, "told")
            for _ in range(2):
                workers = [
                    FORK.Process(target=_tell, args=(contender, place.folder, log))
                    for _ in range(4)
                ]
                for worker in workers:
                    worker.start()
                time.sleep(0.7)
                if what == "server":
                    server.stop(signal.SIGKILL)
                    time.sleep(0.2)
                    server.start()
                    time.sleep(0.5)
                for worker in workers:
                    worker.kill()
                    worker.join()
            time.sleep(1.5)
            # Whoever comes next finds what is ready, and what comes back by itself.
            last = FORK.Process(target=_tell, args=(contender, place.folder, log))
            last.start()
            last.join(60)
            last.kill()
            with open(log, encoding="utf-8") as lines:
                times = Counter(lines.read().split())
            unsaid, lost = _left(name, place, count, times)
            twice = sum(1 for n in times.values() if n > 1)
            if name.startswith("ours"):
                fine = fine and not twice and not lost
            print(f"| {name} | {what} | {len(times):,} | {twice} | {unsaid} | {lost} |", flush=True)
            place.remove()
    return fine


def _left(name: str, place: Place, count: int, times: Counter[str]) -> tuple[str, int]:
    """Return how many items ended unnoticed of their worker, and how many never will."""
    place.use()
    silent = count - len(times)
    if name in ("procrastinate", "its functions"):
        import psycopg

        with psycopg.connect(os.environ[VARIABLE]) as connection:
            found = connection.execute("select status, count(*) from procrastinate_jobs group by 1")
            states = {str(status): int(number) for status, number in found}
        return f"{states.get('succeeded', 0) - len(times)} accepted, unsaid", states.get("doing", 0)
    if not name.startswith("ours"):
        return str(silent), silent
    with Ledger.open(place.folder) as ledger:
        done = ledger.queues.stats(QUEUE)["done"]
    return f"{done - len(times)} accepted, unsaid", count - done


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--claimers", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 50])
    parser.add_argument("--seconds", type=float, default=4.0, help="the longest that a cell runs")
    parser.add_argument("--rounds", type=int, default=1, help="the best of so many is shown")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parts = {"cells": cells, "killed": killed, "many": many}
    parser.add_argument("--part", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--dir", help="where to lay out the files; a real disk")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.dir, prefix="hv-bench-") as at:
        server = Server(
            Path(at) / "server",
            {"fsync": "on", "shared_buffers": "256MB", "max_wal_size": "4GB"},
        )
        server.start()
        try:
            print(
                f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, PostgreSQL "
                f"{server.version}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the "
                f"start; cells end after {args.seconds:g} s, best of {args.rounds}"
            )
            met = {name: parts[name](args, at, server) for name in args.part}
        finally:
            server.stop()
    print("\n" + ", ".join(f"{name}: {'met' if ok else 'NOT MET'}" for name, ok in met.items()))
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
