"""Rounds in a process of their own, watched from outside: it may crash, or never come back."""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import canary

Target = Callable[[Path, random.Random], None]
# What takes more memory than this ends in a MemoryError.
_MEMORY = 4 << 30


class Told(NamedTuple):
    """What came of a round: `what` is right, refused, CRASH, HANG or WRITE."""

    number: int
    target: str
    what: str
    took: float
    detail: str = ""


class Batch:
    """Some rounds, one after the other in one child; it is ended where one takes too long."""

    def __init__(
        self, at: Path, seed: int, numbers: Sequence[int], targets: Sequence[Target],
        until: float, limit: float,
    ) -> None:  # fmt: skip
        self.place = at / "batch"
        self._seed, self._numbers, self._targets = seed, numbers, targets
        self._until, self._limit = until, limit
        self._stack = at / "stack"

    def run(self) -> Iterator[Told]:
        """Yield what came of each round; the last is the one that the child did not survive."""
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ours)
            self._be_child(theirs)
        os.close(theirs)
        began, told, at = time.monotonic(), b"", 0
        while True:
            left = began + self._limit - time.monotonic()
            ready, _, _ = select.select([ours], [], [], max(left, 0))
            data = os.read(ours, 1 << 16) if ready else b""
            if not data:
                break
            told += data
            *lines, told = told.split(b"\n")
            for line in lines:
                began, at = time.monotonic(), at + 1
                yield Told(*json.loads(line))
        os.close(ours)
        yield from self._end(child, at, time.monotonic() - began, is_late=not ready)

    def _end(self, child: int, at: int, took: float, *, is_late: bool) -> Iterator[Told]:
        """Take leave of the child; it was in round `at` of the batch, if there is one."""
        if is_late:
            os.kill(child, signal.SIGUSR1)
            time.sleep(0.5)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not status or at >= len(self._numbers):
            return
        number = self._numbers[at]
        name = self._targets[number % len(self._targets)].__name__
        stack = self._stack.read_text(errors="replace") if self._stack.exists() else ""
        how = f"ended with {os.waitstatus_to_exitcode(status)}"
        yield Told(number, name, "HANG" if is_late else "CRASH", took, stack or how)

    def _be_child(self, pipe: int) -> None:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            with open(self._stack, "w") as stack:
                faulthandler.register(signal.SIGUSR1, file=stack)
                faulthandler.enable(file=stack)
                self._rounds(pipe)
            code = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)

    def _rounds(self, pipe: int) -> None:
        sys.stdin = open(os.devnull)  # noqa: SIM115 (for all rounds)
        outer, home = self.place / "outer", self.place / "home"
        _live_in(home)
        shutil.rmtree(self.place, ignore_errors=True)
        outer.mkdir(parents=True)
        canary.plant(outer)
        for number in self._numbers:
            if time.monotonic() > self._until and len(self._numbers) > 1:
                return
            target = self._targets[number % len(self._targets)]
            told = _one(number, target, random.Random(f"{self._seed}-{number}"), outer, home)
            os.write(pipe, json.dumps(told).encode() + b"\n")
            if told.what == "WRITE":
                # The next rounds are to start from a tree as it was: a new batch makes one.
                os._exit(0)


def _live_in(home: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("HYPERVISOR_", "GIT_", "CLAUDE"))]:
        del os.environ[name]
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = str(home)
    os.environ["HYPERVISOR_STATE"] = str(home / "state")


def _one(number: int, target: Target, rng: random.Random, outer: Path, home: Path) -> Told:
    """Run one round in a new project below `outer`."""
    from hypervisor.system.errors import HypervisorError

    root = outer / "project"
    os.chdir(outer)
    for folder in (root, home):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    if target.__name__ != "settings":
        (root / "hypervisor.toml").touch()
    os.chdir(root)
    before = canary.look(outer, but=(root,))
    what, detail, began = "right", "", time.monotonic()
    try:
        target(root, rng)
    except HypervisorError:
        what = "refused"
    except Exception:
        what, detail = "CRASH", traceback.format_exc()
    took = time.monotonic() - began
    changed = canary.changed(before, canary.look(outer, but=(root,)))
    if changed:
        what, detail = "WRITE", "\n".join(changed)
    return Told(number, target.__name__, what, took, detail)
