"""What a call costs with the store on PostgreSQL, beside the same call with the embedded store.

    python bench/engines.py [--rounds 40] [--items 10000] [--dir FOLDER]

Whole processes, through the launcher. Every round calls each command once in a project of either
kind, one right after the other; what is compared are the pairs. The processor's time is that of the
command alone, not of the server. That is one from a wheel, on loopback, without TLS, with passwords
by SCRAM and with fsync on. Without `--dir` all is laid out in a temporary folder beside this
script, which is on a real disk. Beside other work, a server that waits for its turn is all that one
sees; `chrt -r 5 python bench/engines.py` goes ahead of that.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))
sys.path.insert(0, str(HERE.parent / "src"))
sys.path.insert(0, str(HERE))

import next as calls

from hypervisor.config.store import VARIABLE
from server import Server

GOAL = 35.0
NAMES = ("next", "done", "done --next", "status")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--dir", help="where to lay out the tasks and the server")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.dir or HERE, prefix=".bench-") as at:
        server = Server(
            Path(at, "server").resolve(),
            {"fsync": "on"},
            ("host all all 127.0.0.1/32 scram-sha-256",),
        )
        server.start()
        try:
            server.sql(
                "create role worker login password 'secret'", "create database work owner worker"
            )
            own = {VARIABLE: "sqlite"}
            shared = {VARIABLE: server.tcp("work", user="worker"), "PGPASSWORD": "secret"}
            pairs = measure(Path(at).resolve(), (own, shared), args.items, args.rounds)
        finally:
            server.stop()
    ahead = ", ahead of it by real-time priority" if os.sched_getscheduler(0) else ""
    print(f"{args.items} tasks, {args.rounds} rounds; load {os.getloadavg()[0]:.1f}{ahead}\n")
    print("| whole process, median ms | SQLite | PostgreSQL | more, of the pairs | of processor |")
    print("|---|---|---|---|---|")
    met = True
    for name, times in pairs.items():
        ours, theirs = zip(*times, strict=True)
        embedded, shared = (calls.median(one.passed for one in each) for each in (ours, theirs))
        more = calls.median(two.passed - one.passed for one, two in times)
        spent = calls.median(two.spent - one.spent for one, two in times)
        print(f"| {name} | {embedded:.1f} | {shared:.1f} | {more:.1f} | {spent:.1f} |")
        met = met and more <= GOAL
    print(f"\ngoal, at most {GOAL:g} ms more: {'met' if met else 'MISSED'}")
    return 0 if met else 1


def measure(
    at: Path, stores: tuple[dict[str, str], ...], items: int, rounds: int
) -> dict[str, list[tuple[calls.Took, ...]]]:
    """Return, for each command, what it took with each of `stores` in every round."""
    places = []
    for number, store in enumerate(stores):
        root = at / f"project-{number}"
        root.mkdir()
        os.environ.update(store)
        calls.lay_out(root, items)
        places.append((root, calls.ENVIRONMENT | store))
    pairs: dict[str, list[tuple[calls.Took, ...]]] = {name: [] for name in NAMES}
    for number in range(rounds + 1):
        held = [[_call(root, env, "next", "q")[1].split()[1]] for root, env in places]
        for name in NAMES:
            took = []
            for place, (root, env) in enumerate(places):
                words = {
                    "next": ["next", "q"],
                    "done": ["done", held[place][0], "--summary", "did it"],
                    "done --next": ["done", held[place][-1], "--summary", "did it", "--next"],
                    "status": ["status"],
                }[name]
                one, shown = _call(root, env, *words)
                took.append(one)
                if name == "next":
                    held[place].append(shown.split()[1])
            if number:  # the first round fills the caches
                pairs[name].append(tuple(took))
    return pairs


def _call(root: Path, env: dict[str, str], *words: str) -> tuple[calls.Took, str]:
    return calls.timed(root, [calls.HYPERVISOR, *words], env)


if __name__ == "__main__":
    sys.exit(main())
