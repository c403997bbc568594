"""A soak: hosts out of network namespaces work a queue off while they, and the server, are hurt.

    python bench/soak.py [--items 300] [--restarts 1] [--workers 6] [--seconds 0.3] [--lease 20]

Run as root in the environment of tests/run; needs iproute2, util-linux, openssl, git, faketime.

One PostgreSQL (from a wheel; TLS, password) and a bare repository behind `git daemon` stand on
the switch; four hosts with `--workers` each have their own clone, home, processes and clock:
h1 runs a script of `next --branch` and `done` (10 minutes fast), h2 (10 minutes slow), h3 and h4
run `hypervisor work --agent command --branch`; the switch runs `hypervisor integrate` all along.
h1 is cut off in mid-item until its leases have run out, and comes back; the server is killed with
SIGKILL and started again, `--restarts` times; all of h2 is killed with SIGKILL and started again.
In the end: each item was accepted exactly once, each accepted change is merged, no other one is.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))
sys.path.insert(0, str(HERE))

import hosts
import psycopg
from soak_site import QUEUE, Site

NAMES = ("h1", "h2", "h3", "h4")
CLOCKS = {"h1": "+600s", "h2": "-600s"}
# So long the ledger may stand still before the run is given up, in seconds.
STILL = 240
# The work: in one of ten files, an item's own line tells the claim that it was done under.
COMMAND = 'sleep "$1" && sed -i "s/^$HYPERVISOR_ID:.*/$HYPERVISOR_ID: $HYPERVISOR_TOKEN/" out/*'
# Items that another host has taken over from the one that was cut off.
TAKEN = (
    "select count(*) from hypervisor_soak.claim a join hypervisor_soak.claim b on b.item = a.item "
    "and b.no > a.no where a.worker like 'h1-%' and a.outcome = 'expired' "
    "and b.worker not like 'h1-%'"
)
POOL = (
    'while :; do hypervisor work "$1" --agent command --branch --workers "$2" -- '
    'sh -c "$3" sh "$4"; [ $? != 3 ] || exit 0; sleep 2; done'
)


class Told(NamedTuple):
    """What a soak ended with; `faults` are the sentences that do not hold."""

    figures: dict[str, Any]
    faults: list[str]


class Soak(Site):
    """One run in `folder`; `close` ends whatever it has started."""

    def __init__(self, folder: Path, args: argparse.Namespace) -> None:
        super().__init__(folder, NAMES)
        self.args = args
        self.figures: dict[str, Any] = {"items": args.items, "workers": args.workers * len(NAMES)}
        self.integrator: subprocess.Popen[Any] | None = None

    def close(self) -> None:
        """End everything and remove the network."""
        if self.integrator is not None:
            self.integrator.kill()
            self.integrator.wait()
        super().close()

    # -- what happens --

    def start(self, name: str) -> None:
        """Start the workers of a host, as its supervisor does after every start."""
        args, worker = self.args, HERE / "soak_worker.sh"
        if name == "h1":
            # It takes longer over an item than over its commands, so that a cut finds it at work.
            each = f'"$1" {QUEUE} h1-$n {5 * args.seconds} & '
            script = f"for n in $(seq {args.workers}); do {each} done; wait"
            words = ["sh", "-c", script, "sh", str(worker)]
        else:
            told = [QUEUE, str(args.workers), COMMAND, str(args.seconds)]
            words = ["sh", "-c", POOL, "sh", *told]
        offset = hosts.clock(CLOCKS[name]) if name in CLOCKS else {}
        with open(self.folder / f"{name}.log", "ab") as log:
            process = self.hosts.start(
                name, words, cwd=self.clone(name), env=self.environment(name) | offset,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.running.setdefault(name, []).append(process)

    def run(self) -> None:
        """Start all hosts, do the harm at its times, and wait for the end."""
        begun = time.monotonic()
        for name in NAMES:
            self.start(name)
        harm: list[tuple[float, Any]] = [(0.1, self._cut_off), (0.5, self._kill)]
        harm += [(0.9 * (n + 1) / (self.args.restarts + 1), self._restart)
                 for n in range(self.args.restarts)]  # fmt: skip
        for share, hurt in sorted(harm, key=lambda one: one[0]):
            self._await(
                f"{share:.0%} of the items to end",
                lambda share=share: self.ended() >= share * self.args.items,
            )
            hurt()
        self._await("all workers to leave", self._all_gone)
        self._retry_the_unlucky()
        self.figures["seconds until all were accepted"] = round(time.monotonic() - begun, 1)
        if self.integrator is not None:
            self.integrator.wait()
        for _ in range(3):
            if self.hypervisor("integrate", QUEUE, check=False).returncode == 0:
                break
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.figures["seconds of a core, without what was killed"] = round(
            spent.ru_utime + spent.ru_stime
        )
        self.figures["seconds until all were merged"] = round(time.monotonic() - begun, 1)

    def _all_gone(self) -> bool:
        return all(one.poll() is not None for name in NAMES for one in self.running[name])

    def _retry_the_unlucky(self) -> None:
        """An item that was cut off, killed and cut off again has failed: a person says retry."""
        failed = "select count(*) from hypervisor_soak.item where state = 'failed'"
        self.figures["items that lost three workers, and were retried"] = self.count(failed)
        for _ in range(3):
            if not self.count(failed):
                return
            self.hypervisor("retry", QUEUE)
            self.start("h3")
            self._await("the retried items to end", self._all_gone)

    def ended(self) -> int:
        return self.count("select count(*) from hypervisor_soak.item where turn is null")

    def count(self, sql: str) -> int:
        """Return one number out of the ledger."""
        assert self.server is not None
        with psycopg.connect(self.server.address("work")) as connection:
            row = connection.execute(sql.encode()).fetchone()
        return int(row[0]) if row else 0

    def _await(self, what: str, done: Any) -> None:
        """Wait for something, as long as the ledger changes now and then."""
        moved, seen = time.monotonic(), None
        while not done():
            now = (self.ended(), self.count("select count(*) from hypervisor_soak.claim"))
            if now != seen:
                moved, seen = time.monotonic(), now
            if time.monotonic() - moved > STILL:
                raise SystemExit(self._where_it_stands(what))
            if self.integrator is None or self.integrator.poll() is not None:
                with open(self.folder / "integrate.log", "ab") as log, self.hosts.within():
                    self.integrator = subprocess.Popen(
                        ["hypervisor", "integrate", QUEUE], cwd=self.clone("switch"),
                        env=self.environment("switch"), stdout=log, stderr=log,
                    )  # fmt: skip
            self.serve()
            time.sleep(1)

    def _where_it_stands(self, what: str) -> str:
        """What a reader of a CI's output needs, who can't look into the folder."""
        told = [f"nothing has changed for {STILL} s; waiting for {what}; see {self.folder}"]
        told.append(self.hypervisor("status", QUEUE, check=False).stdout)
        for path in sorted(self.folder.glob("*.log")):
            lines = path.read_text("utf-8", "replace").splitlines()
            told += [f"-- {path.name}", *lines[-12:]]
        for name in NAMES:
            live = sum(one.poll() is None for one in self.running[name])
            told.append(f"-- {name}: {live} running")
        ps = self.command("ps", "-eo", "pid,ppid,etimes,stat,args", check=False).stdout
        told += [line[:160] for line in ps.splitlines() if "hypervisor" in line or "git" in line]
        return "\n".join(told)

    def _at_work(self) -> int:
        """How many of the first host's workers have begun an item and not ended it."""
        log = (self.folder / "h1.log").read_text("utf-8", "replace")
        return log.count("begun ") - log.count("accepted ") - log.count("refused ")

    def _cut_off(self) -> None:
        held = "from hypervisor_soak.claim where outcome is null and worker like 'h1-%'"
        half = (self.args.workers + 1) // 2
        deadline = time.monotonic() + STILL
        # Items take a second or two: who looks less often finds nobody at work.
        while self._at_work() < half and time.monotonic() < deadline:
            time.sleep(0.02)
        self.hosts.cut("h1")
        self.figures["claims of the host that was cut off"] = self.count(f"select count(*) {held}")
        self._await("the lost claims to expire",
                    lambda: self.count(f"select count(*) {held}") == 0)  # fmt: skip
        # What nobody else has taken meanwhile is still its own; pools that had nothing more to do
        # have left.
        self.start("h3")
        self._await("another host to take what it has lost", lambda: self.count(TAKEN) > 0)
        self.hosts.join("h1")

    def _kill(self) -> None:
        self.running["h2"][-1].kill()
        self.running["h2"][-1].wait()
        self.start("h2")

    def _restart(self) -> None:
        assert self.server is not None
        self.server.stop(signal.SIGKILL)
        time.sleep(3)
        with self.hosts.within():
            self.server.start()

    # -- what came of it --

    def told(self) -> Told:
        """Compare the ledger with what the remote holds."""
        summary = json.loads(self.hypervisor("summary", QUEUE, "--json").stdout)
        log = self.hypervisor("log", QUEUE, "--json").stdout
        events = [json.loads(line) for line in log.splitlines()]
        accepted = [one["token"] for one in events if one["event"] == "done"]
        claimed = [one["token"] for one in events if one["event"] == "claimed"]
        won = {one["id"]: one["token"] for one in events if one["event"] == "done"}
        once = Counter(one["id"] for one in events if one["event"] == "done")
        origin = str(self.folder / "git" / "origin.git")
        patch = self.command("git", "-C", origin, "log", "main", "--no-merges", "--format=", "-p",
                          "--", "out").stdout  # fmt: skip
        merged = [line.split()[1] for line in patch.splitlines() if _is_work(line)]
        held = self.command("git", "-C", origin, "grep", "-h", "^t", "main", "--", "out").stdout
        lines = dict(line.split(": ") for line in held.splitlines() if ": " in line)
        refs = self.command("git", "-C", origin, "for-each-ref", "--format=%(refname)",
                         "refs/heads/hypervisor/").stdout.split()  # fmt: skip
        late = {ref.rsplit("/", 1)[1] for ref in refs} - set(accepted)
        logs = "".join(
            (self.folder / f"{name}.log").read_text("utf-8", "replace") for name in NAMES
        )
        self.figures |= {
            "items accepted": len(once),
            "claims": len(claimed),
            "claims that were lost or given back": len(claimed) - len(accepted),
            "changes on the remote that were not accepted": len(late),
            "`done` refused to a late worker": logs.count("\nrefused "),
            "times that a worker said that it waits": logs.count("waiting for up to"),
            "changes merged": len(merged),
        }
        faults = []
        for sentence, holds in (
            ("each item has ended as done", summary["counts"]["success"] == self.args.items),
            ("each item was accepted exactly once",
             len(once) == self.args.items and set(once.values()) == {1}),
            ("each accepted change is merged, once", sorted(merged) == sorted(accepted)),
            ("no change that was not accepted is merged", not late & set(merged)),
            ("each item's line tells its accepted claim", lines == won),
            ("the host that was cut off had something to lose",
             len(late) > 0 or "\nrefused " in logs),
        ):  # fmt: skip
            if not holds:
                faults.append(sentence)
        return Told(self.figures, faults)


def _is_work(line: str) -> bool:
    return line.startswith("+t") and not line.endswith(":")


def soak(folder: Path, args: argparse.Namespace) -> Told:
    """Run one soak in an empty folder and return what came of it."""
    run = Soak(folder, args)
    try:
        run.lay_out(args.items, args.lease)
        run.run()
        return run.told()
    finally:
        run.close()


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Return what a run is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--workers", type=int, default=6, help="on each of the four hosts")
    parser.add_argument("--restarts", type=int, default=1, help="of the server, by SIGKILL")
    parser.add_argument("--seconds", type=float, default=0.3, help="that an item takes")
    parser.add_argument("--lease", type=int, default=20, help="seconds")
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    return parser.parse_args(words)


def main() -> int:
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # Short, since a socket's path may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="hv-soak-"))
    told = soak(folder, args)
    print("| | |\n|---|---|")
    for name, value in told.figures.items():
        print(f"| {name} | {value:,} |")
    print(f"| load average of the {os.cpu_count()} cores at the end | {os.getloadavg()[0]:.1f} |")
    for sentence in told.faults:
        print(f"\nDOES NOT HOLD: {sentence}")
    if args.keep or told.faults:
        print(f"\n{folder}")
    else:
        shutil.rmtree(folder)
    return int(bool(told.faults))


if __name__ == "__main__":
    sys.exit(main())
