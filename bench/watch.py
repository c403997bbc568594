"""The live view and `status` over a large queue with many workers.

    python bench/watch.py [--items 100000] [--workers 50] [--rounds 20] [--seconds 30]
                          [--rate 20] [--dir FOLDER]

Three fifths of the items have ended, one is held by each worker, and while the live view runs a
process ends and claims --rate items a second. `status` is measured from process start, through the
launcher, a bare start of the same interpreter (`python -I -S -c pass`) before each, in time and in
seconds of a core, which other programs on the machine disturb less; the live view
on a pseudo-terminal of 120 by 40, its share of one core from what the kernel counts. One refresh is
a look at the ledger and a drawing, in a process of its own while items end. Without `--dir` the
ledger is laid out in a temporary folder beside this script, which is on a real disk.
"""

from __future__ import annotations

import argparse
import fcntl
import multiprocessing
import os
import pty
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from next import ENVIRONMENT, HYPERVISOR, interpreter, run

from hypervisor.ledger import Ledger, NewItem, Options

STATUS_GOAL = 0.100
CPU_GOAL = 0.10
REPORT = {"summary": "The loader reads the new key, falls back to the old one and says so once."}
FORK = multiprocessing.get_context("fork")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--dir", help="where to lay out the ledger")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.dir or Path(__file__).parent, prefix=".bench-") as at:
        root = Path(at).resolve()
        lay_out(root, args.items, args.workers)
        run(root, "--version")
        python = interpreter()
        print(f"{args.items:,} items, {args.workers} workers, load {os.getloadavg()[0]:.1f}")
        print("\n| from process start | median ms | more than a bare start | of a core |")
        print("|---|---|---|---|")
        more = status(root, python, args.rounds)
        busy = FORK.Process(target=work, args=(root, args.rate, args.workers))
        busy.start()
        try:
            print("\n| the live view | |\n|---|---|")
            share = watch(root, args.seconds)
            refresh(root)
        finally:
            busy.terminate()
            busy.join()
    met = more <= STATUS_GOAL and share <= CPU_GOAL
    print(
        f"\ngoals: status at most {STATUS_GOAL * 1000:.0f} ms more than a bare start, the live "
        f"view at most {CPU_GOAL:.0%} of a core: {'met' if met else 'MISSED'}"
    )
    return 0 if met else 1


def lay_out(root: Path, items: int, workers: int) -> None:
    """Open the queue `q`: three fifths ended, one item with each worker."""
    with Ledger.open(str(root), create=True) as ledger:
        ledger.generations.open(
            "q",
            [
                NewItem(f"task-{n:07}", f"tasks/task-{n:07}.md", title="Rename the key")
                for n in range(items)
            ],
            Options(max_attempts=1),
        )
        for number in range(workers):
            claims = ledger.claims.claim("q", f"worker-{number}", session="s", lease_seconds=36_000)
            ledger.sessions.assign("s", f"agent-{number}", [claim.token for claim in claims])
            ledger.agents.join(f"agent-{number}", "s", 1, None)
            ledger.agents.saw_tool(f"agent-{number}", "Bash: npm test -- --filter loader")
            ledger.agents.set_usage(f"agent-{number}", (1, 2, 30_000, 4), {}, complete=False)
        for batch in range(items * 3 // 5 // 200):
            outcome = "failed" if batch % 50 == 7 else "done"
            claims = ledger.claims.claim("q", "w", 200)
            ledger.ends.finish_many([(claim.token, outcome, REPORT) for claim in claims])


def status(root: Path, python: Path, rounds: int) -> float:
    """Print what `status` takes; return the seconds that it takes more than a bare start."""
    worst = 0.0
    for line in (["status"], ["status", "q", "--json"]):
        bare, took, cores = [], [], []
        for number in range(rounds + 1):
            begin = time.perf_counter()
            subprocess.run([python, "-I", "-S", "-c", "pass"], check=True)
            between, used = time.perf_counter(), _children()
            run(root, *line)
            if number:  # the first round fills the caches
                bare.append(between - begin)
                took.append(time.perf_counter() - between)
                cores.append(_children() - used)
        more = statistics.median(a - b for a, b in zip(took, bare, strict=True))
        worst = max(worst, more)
        times = [statistics.median(took), more, statistics.median(cores)]
        print(f"| {' '.join(line)} | " + " | ".join(f"{one * 1000:.0f}" for one in times) + " |")
    return worst


def work(root: Path, rate: float, workers: int) -> None:
    """End items and claim the next ones, so many a second."""
    with Ledger.open(str(root)) as ledger:
        while True:
            [claim] = ledger.claims.claim("q", "busy")
            time.sleep(1 / rate)
            ledger.ends.finish(claim.token, "done", REPORT)


def watch(root: Path, seconds: float) -> float:
    """Print what the live view costs; return its share of a core."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    seen = bytearray()
    threading.Thread(target=_drain, args=(master, seen), daemon=True).start()
    shown = subprocess.Popen(
        [HYPERVISOR, "status", "--watch"],
        cwd=root,
        env=ENVIRONMENT | {"TERM": "xterm-256color", "LANG": "C.UTF-8"},
        stdin=slave,
        stdout=slave,
        start_new_session=True,
    )
    time.sleep(3)
    before, screens = _cpu(shown.pid), seen.count(b"q leaves")
    begun = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - begun
    share = (_cpu(shown.pid) - before) / took
    drawn = (seen.count(b"q leaves") - screens) / took
    memory = _memory(shown.pid)
    os.write(master, b"q")
    code = shown.wait(timeout=20)
    os.close(slave)
    print(f"| share of a core, over {took:.0f} s | {share:.1%} |")
    print(f"| screens a second | {drawn:.2f} |")
    print(f"| memory | {memory:.0f} MB |")
    assert code == 0
    return share


def refresh(root: Path) -> None:
    """Print how long one look and one drawing take."""
    from rich.console import Console

    from hypervisor.views.watch import Look
    from hypervisor.views.watch.screen import View, draw
    from hypervisor.worker.settle import settle

    looks, drawings = [], []
    with Ledger.open(str(root)) as ledger, open(os.devnull, "w") as nowhere:
        console = Console(file=nowhere, force_terminal=True, width=120, height=40)
        look, view = Look(ledger, None, settle), View(str(root))
        for _ in range(30):
            look.dirty()
            begin = time.perf_counter()
            view.queues = look.refresh()
            between = time.perf_counter()
            view.at = look.at
            console.print(draw(view, 120, 40))
            looks.append(between - begin)
            drawings.append(time.perf_counter() - between)
            time.sleep(0.1)
    for name, times in (("look at the ledger", looks), ("drawing", drawings)):
        median, worst = statistics.median(times) * 1000, max(times) * 1000
        print(f"| {name}, median (longest) | {median:.1f} ms ({worst:.1f}) |")


def _drain(master: int, seen: bytearray) -> None:
    while True:
        try:
            seen += os.read(master, 65536)
        except OSError:
            return


def _children() -> float:
    """Return the seconds of a core that ended children have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cpu(pid: int) -> float:
    """Return the seconds of a core that a process has used."""
    fields: list[Any] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    told = Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2]
    return int(told.split()[0]) / 1000


if __name__ == "__main__":
    sys.exit(main())
