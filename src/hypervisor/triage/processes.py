"""Several worker processes on one triage queue: started, watched, started again, stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

import hypervisor
from hypervisor.ledger import Ledger
from hypervisor.ledger.outcomes import FINAL
from hypervisor.system.processes import exit_text

_TICK = 0.05
_PATIENCE = 10.0
# Deaths in a row after which a worker is not started again unless items were finished meanwhile.
_MOST_DEATHS = 5


class Processes:
    """`workers` processes that triage `queue`, each claiming `batch` items at a time.

    `run` returns when all have left. A worker that crashes is started again, and what it held is
    free at once: this process knows that it is dead, so nobody waits for the lease.
    """

    def __init__(self, ledger: Ledger, queue: str, workers: int, batch: int) -> None:
        self.deaths = 0
        self._ledger = ledger
        self._queue = queue
        self._batch = batch
        self._count = workers
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._started = 0
        self._in_a_row = 0
        self._ended = -1

    def run(self, show: Callable[[dict[str, int]], None]) -> None:
        """Work the queue off, telling `show` the counts of its states now and then.

        KeyboardInterrupt stops the workers after their batch; what they had not claimed stays.
        """
        try:
            for _ in range(self._count):
                self._start()
            shown = 0.0
            while self._running:
                time.sleep(_TICK)
                for name, process in list(self._running.items()):
                    if process.poll() is not None:
                        self._left(name, process)
                if time.monotonic() - shown > 4 * _TICK:
                    show(self._ledger.queues.stats(self._queue))
                    shown = time.monotonic()
        finally:
            self._stop()
        show(self._ledger.queues.stats(self._queue))

    def _start(self) -> None:
        self._started += 1
        name = f"triage-{os.getpid()}-{self._started}"
        self._running[name] = subprocess.Popen(
            worker_command(self._ledger.root, self._queue, name, self._batch),
            stdin=subprocess.DEVNULL,
        )

    def _left(self, name: str, process: subprocess.Popen[bytes]) -> None:
        del self._running[name]
        if process.returncode == 0:
            return
        self.deaths += 1
        self._ledger.ends.end_worker(
            name, "died", f"worker process ended: {exit_text(process.returncode)}"
        )
        counts = self._ledger.queues.stats(self._queue)
        ended = sum(counts[state] for state in FINAL)
        self._in_a_row = self._in_a_row + 1 if ended == self._ended else 1
        self._ended = ended
        if counts["ready"] and self._in_a_row <= _MOST_DEATHS:
            self._start()

    def _stop(self) -> None:
        for process in self._running.values():
            process.terminate()
        until = time.monotonic() + _PATIENCE
        for name, process in self._running.items():
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            # Whoever left in order holds nothing.
            self._ledger.ends.end_worker(name, "freed", "stopped")
        self._running.clear()


def worker_command(root: str, queue: str, name: str, batch: int) -> list[str]:
    """Return the command line of one worker process, under this very interpreter."""
    program = os.path.join(os.path.dirname(hypervisor.__file__), "__main__.py")
    cache = ["-X", f"pycache_prefix={sys.pycache_prefix}"] if sys.pycache_prefix else []
    return [
        *(sys.executable, "-I", "-S", "-X", "utf8", *cache, program, "_triage-worker"),
        *("--root", root, "--name", name, "--batch", str(batch), "--", queue),
    ]
