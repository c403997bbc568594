"""Chaos: random verbs, kills, checkouts, renames, edits, clock steps and a full disk, and a check.

    python bench/chaos.py [--minutes 20] [--engine sqlite|postgres|both] [--seed N] [--items 40]

Run in the environment of tests/run, as root for the full disk; with a C compiler for the clock.

A project of task files, a spec-kit list and rows (on branches in working trees) has one queue for
each; workers (chaos_worker.py) and pools work on them with a short lease, while this script does to
them what a machine and a person do. In the end the queues are worked off in peace, and checked
(chaos_check.py): each item accepted at most once, none lost, every byte that a worker wrote in a
commit, a kept folder or a tree, every other byte as this script left it. The seed decides what
happens in which order; when it meets what, the machine's scheduler does.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests"), str(HERE.parent / "src")]

import chaos_check
from chaos_site import SOURCES, Site, task
from chaos_worker import note

SESSION = "CLAUDE_CODE_SESSION_ID"
VERBS = (
    ("status",), ("status", "{queue}"), ("status", "{queue}", "--json"), ("summary", "{queue}"),
    ("expire",), ("retry", "{queue}"), ("retry", "{queue}", "--failed"), ("pause", "{queue}"),
    ("resume", "{queue}"), ("resume", "{queue}"), ("integrate", "rows"), ("integrate", "rows"),
    ("log", "{queue}"), ("report", "{queue}"), ("doctor",), ("prune",),
    ("cancel", "{queue}", "--missing"), ("plan", "{queue}"), ("results", "rows"),
)  # fmt: skip


class Chaos:
    """One run on a site. `texts` is what each task file holds on each branch, without our marks."""

    def __init__(self, site: Site, seed: int, workers: int) -> None:
        self.site, self.dice, self.wanted = site, random.Random(seed), workers
        self.running: list[tuple[str, subprocess.Popen[Any], subprocess.Popen[Any] | None]] = []
        self.did: Counter[str] = Counter()
        names = [f"t{number:03}" for number in range(site.items)]
        self.texts = {
            "main": {name: task(name) for name in names},
            "side": {name: task(name) for name in names[::2]},
        }
        self.faults: list[str] = []
        # How often a person has asked for a queue's items once more, by `undo` or `open --again`.
        self.again: Counter[str] = Counter()

    # -- who works --

    def start(self) -> None:
        """Start a worker, a worker of a session, or a pool."""
        kind = self.dice.choices(("worker", "session", "pool"), (6, 2, 2))[0]
        queue = self.dice.choice(list(SOURCES))
        seed = str(self.dice.getrandbits(32))
        worker = [sys.executable, str(HERE / "chaos_worker.py")]
        env, lead = dict(self.site.env), None
        if kind == "session":
            lead = subprocess.Popen(["sleep", "9999"])
            env |= {SESSION: f"s-{seed}", "CLAUDE_PID": str(lead.pid)}
        words = [*worker, queue, self.site.log, seed]
        branch = ["--branch"] if queue == "rows" else []
        if kind == "pool":
            words = ["hypervisor", "work", queue, "--agent", "command", "--workers", "2",
                     *branch, "--force", "--", *worker, "--once", self.site.log, seed]  # fmt: skip
        with open(self.site.folder / f"{kind}.log", "ab") as log:
            one = subprocess.Popen(
                words if kind == "pool" else words + branch, cwd=self.site.project, env=env,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.running.append((kind, one, lead))

    def kill(self) -> None:
        """Kill a worker, its session, or a pool, with all it started or alone."""
        if not self.running:
            return
        kind, one, lead = self.running.pop(self.dice.randrange(len(self.running)))
        self.did[f"kills: {kind}"] += 1
        alone = self.dice.random() < 0.5
        _end(one, group=not alone)
        if lead is not None:
            _end(lead, group=False)

    def end_all(self) -> None:
        """Kill whatever still works."""
        for _, one, lead in self.running:
            _end(one, group=True)
            if lead is not None:
                _end(lead, group=False)
        self.running.clear()

    # -- what is done to them --

    def verb(self) -> None:
        self.say(*(word.format(queue=self.queue()) for word in self.dice.choice(VERBS)))

    def queue(self) -> str:
        return self.dice.choice(list(SOURCES))

    def say(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a person does, and keep it if it broke."""
        done = self.site.hypervisor(*words)
        if "Traceback" in done.stdout + done.stderr or done.returncode == 124:
            self.faults.append(f"{' '.join(words)}: {done.stderr[-1500:]}")
        return done

    def open(self) -> None:
        self.site.open(self.queue())

    def mend(self) -> None:
        """Do one of what takes something back, and retry what that left."""
        queue = self.queue()
        how = self.dice.choice(("undo", "undo one", "cancel", "again", "pull"))
        self.did[f"mends: {how}"] += 1
        if how in ("undo", "again"):
            self.again[queue] += 1
        if how == "undo":
            self.say("undo", queue)
        elif how == "undo one":
            self.again["files"] += 1
            self.say("undo", "files", self.dice.choice(sorted(self.texts["main"])))
        elif how == "cancel":
            self.say("cancel", queue, "--reason", "a person's choice")
        elif how == "again":
            self.site.open(queue, "--again")
        else:
            self.pull()
        self.say("retry", queue)
        if how == "cancel" or self.dice.random() < 0.5:
            self.site.open(queue)

    def pull(self) -> None:
        """Claim a task as a person does, and end it, give it back, or forget it."""
        got = self.say("pull", self.dice.choice(sorted(self.texts["main"])), "--worker", "person")
        found = re.search(r"^claim (\S+)", got.stdout, re.MULTILINE)
        if found:
            verb = self.dice.choice((("done", "--summary", "by hand"), ("release",), ()))
            if verb:
                said = self.say(verb[0], found[1], *verb[1:])
                told = said.stdout + said.stderr
                note(self.site.log, said=verb[0], token=found[1], code=said.returncode, told=told)

    def edit(self) -> None:
        """Append a line to a task's text, under the lock that editors of one file share."""
        branch = self.branch()
        name = self.dice.choice(sorted(self.texts[branch]))
        line = f"A person's line {self.dice.getrandbits(32):08x}.\n"
        for path in self.paths(name):
            with open(path, "r+b") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                if os.fstat(held.fileno()).st_ino != os.stat(path).st_ino:
                    return
                text = held.read().decode()
                temporary = path.with_name(f".{path.name}.edit")
                temporary.write_text(text.replace("Do it.\n", f"Do it.\n{line}", 1))
                os.replace(temporary, path)
            kept = self.texts[branch][name]
            self.texts[branch][name] = kept.replace("Do it.\n", f"Do it.\n{line}", 1)

    def rename(self) -> None:
        """Give a task's file another name or folder, or swap two."""
        if self.branch() != "main":
            return
        name, other = self.dice.sample(sorted(self.texts["main"]), 2)
        how = self.dice.choice(("rename", "move", "back", "swap"))
        tail = f"{self.dice.getrandbits(16):04x}"
        for path in self.paths(name):
            tasks = self.site.project / "tasks"
            if how == "swap":
                for second in self.paths(other):
                    between = path.with_name(f"{path.name}.swapped")
                    os.rename(path, between)
                    os.rename(second, path)
                    os.rename(between, second)
                return
            folder = tasks / "completed" if how == "move" else tasks
            folder.mkdir(exist_ok=True)
            target = folder / f"{name}-{tail}.md"
            os.rename(path, target)

    def checkout(self) -> None:
        """Commit what the tasks hold now, and go to the other branch for a while or for good."""
        before = self.branch()
        self.commit()
        other = "side" if before == "main" else "main"
        self.site.git("switch", "--quiet", other, check=False)
        if self.dice.random() < 0.8:
            time.sleep(self.dice.uniform(0.2, 3))
            self.commit()
            self.site.git("switch", "--quiet", before, check=False)

    def commit(self) -> None:
        """Commit what stands in the folders of tasks and of boxes."""
        for folder in ("tasks", "specs"):
            self.site.git("add", "--all", "--", folder, check=False)
        self.site.git("commit", "--quiet", "-m", "as it stands", check=False)

    def step(self) -> None:
        """Step the wall clock of all, forwards or backwards."""
        self.site.clock.write_text(str(self.dice.choice((0, 3600, -3600, -600, 90))))

    def fill(self) -> None:
        """Fill the disk for a while."""
        if not self.site.mounted:
            return
        filler = self.site.disk / "filler"
        with open(filler, "wb", buffering=0) as out:
            try:
                while True:
                    out.write(bytes(1 << 16))
            except OSError:
                pass
        time.sleep(self.dice.uniform(0.5, 3))
        filler.unlink()

    def server(self) -> None:
        if self.site.server is not None:
            self.site.restart()

    def branch(self) -> str:
        return self.site.git("branch", "--show-current").stdout.strip()

    def paths(self, name: str) -> list[Path]:
        """Return the files of the work tree whose front matter has this id."""
        found = []
        for path in sorted((self.site.project / "tasks").rglob("*.md")):
            try:
                if path.read_text().startswith(f"---\nid: {name}\n"):
                    found.append(path)
            except FileNotFoundError:
                continue
        return found

    # -- the run --

    def run(self, minutes: float) -> None:
        """Hurt for so long."""
        acts = {
            self.verb: 8, self.mend: 3, self.kill: 6, self.open: 2, self.edit: 4, self.rename: 3,
            self.checkout: 2, self.commit: 1, self.step: 1, self.fill: 1, self.server: 1,
        }  # fmt: skip
        until = time.monotonic() + minutes * 60
        while time.monotonic() < until:
            while len(self.running) < self.wanted:
                self.start()
            self.running = [one for one in self.running if one[1].poll() is None or _end(one[2])]
            act = self.dice.choices(list(acts), list(acts.values()))[0]
            self.did[act.__name__] += 1
            with open(self.site.folder / "acts.log", "a") as out:
                out.write(f"{time.time():.3f} {act.__name__}\n")
            act()
            time.sleep(self.dice.uniform(0, 0.5))

    def settle(self, seconds: float) -> None:
        """Have the queues worked off in peace, on `main`."""
        self.end_all()
        self.site.clock.write_text("0")
        self.commit()
        self.site.git("switch", "--quiet", "main")
        until = time.monotonic() + seconds
        # No hook tells the ledger of these sessions, and what one holds stands for an hour.
        told = json.loads(self.site.hypervisor("status", "--json").stdout)
        for queue in told["queues"]:
            for worker in queue["workers"]:
                for held in worker["holds"]:
                    self.site.hypervisor("release", held["token"])
        for _ in range(3):
            for queue in SOURCES:
                if self._reopened(self.site.open(queue).stdout):
                    self.site.open(queue)
                self.site.hypervisor("resume", queue)
                self.site.hypervisor("retry", queue)
            while time.monotonic() < until and self._drain():
                time.sleep(0.5)
        self.site.hypervisor("integrate", "rows")
        self.site.hypervisor("status")

    def _reopened(self, told: str) -> bool:
        """Do as `open` says of what is held: take reports back, or set the status back."""
        for name in re.findall(r"blocked; .*?hypervisor undo files (\S+) takes", told):
            self.site.hypervisor("undo", "files", name)
        for name in re.findall(r"^  (\S+)  .*set its status back", told, re.MULTILINE):
            for path in self.paths(name):
                text = path.read_text()
                path.write_text(text.replace("status: blocked", "status: active", 1))
        return "takes that back" in told or "set its status back" in told

    def _drain(self) -> bool:
        """Do one item of each queue; False once none is handed out or held."""
        busy = False
        for queue in SOURCES:
            branch = ("--branch",) if queue == "rows" else ()
            got = self.site.hypervisor("next", queue, "--worker", "peace", *branch)
            found = re.search(r"^claim (\S+)", got.stdout, re.MULTILINE)
            if found:
                self.site.hypervisor("done", found[1], "--summary", "in peace", "--force")
            busy |= bool(found) or "claimed" in got.stdout + got.stderr
        return busy


def _end(one: subprocess.Popen[Any] | None, group: bool = False) -> bool:
    """Kill a process, with its session's group or alone, and return False."""
    if one is not None:
        try:
            if group:
                os.killpg(one.pid, signal.SIGKILL)
            one.kill()
        except ProcessLookupError:
            pass
        one.wait()
    return False


def chaos(args: argparse.Namespace, engine: str, folder: Path) -> list[str]:
    """Do one run and print its table; return what does not hold."""
    site = Site(folder, args.items, engine)
    run = Chaos(site, args.seed, args.workers)
    try:
        site.lay_out(args.lease)
        run.run(args.minutes)
        run.settle(args.settle)
        told = chaos_check.check(site, run.texts, run.again)
        if args.keep:
            shutil.copytree(site.disk, folder / "kept", symlinks=True)
    finally:
        run.end_all()
        site.close()
    print(f"\n`{engine}`, seed {args.seed}, {args.minutes:g} minutes\n\n| | |\n|---|---|")
    for name, value in sorted(run.did.items()):
        print(f"| {name} | {value} |")
    for name, value in told.figures.items():
        print(f"| {name} | {value} |")
    for what in site.left_out:
        print(f"\nleft out: {what}")
    return [*run.faults, *told.faults]


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Return what a run is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20, help="for each engine")
    parser.add_argument("--engine", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--items", type=int, default=40, help="of each of the three kinds")
    parser.add_argument("--workers", type=int, default=6, help="pools among them")
    parser.add_argument("--lease", type=float, default=5, help="seconds")
    parser.add_argument("--settle", type=float, default=300, help="seconds of peace at most")
    parser.add_argument("--keep", action="store_true", help="keep a copy of the disk")
    return parser.parse_args(words)


def main() -> int:
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"seed {args.seed}", flush=True)
    wrong = 0
    for engine in ("sqlite", "postgres") if args.engine == "both" else (args.engine,):
        # Short, since a socket's path may have 107 bytes.
        folder = Path(tempfile.mkdtemp(prefix="hv-chaos-"))
        faults = chaos(args, engine, folder)
        for sentence in faults:
            print(f"\nDOES NOT HOLD: {sentence}")
        wrong += len(faults)
        if args.keep or faults:
            print(f"\n{folder}", flush=True)
        else:
            shutil.rmtree(folder)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
