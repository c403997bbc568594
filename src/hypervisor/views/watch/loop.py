"""What the live view sees: the standing of each queue, looked up again only when it changed."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from typing import TextIO

from hypervisor.ledger import Ledger
from hypervisor.ledger.sqlite import unusable
from hypervisor.system.errors import HypervisorError
from hypervisor.views import status
from hypervisor.views.shapes import Status
from hypervisor.views.watch.screen import ENDED, View
from hypervisor.views.watch.terminal import Terminal

# Leases that ran out and reports that are pending are seen to this often, by whoever looks.
_HOUSEKEEPING = 5.0
# Paces and leases change without a word of anybody.
_OLDEST = 2.0


class Look:
    """The queues of a ledger as they stand; `at` is when they were looked up (Unix time).

    `settle` is the housekeeping that whoever looks sees to from time to time.
    """

    def __init__(
        self, ledger: Ledger, queue: str | None, settle: Callable[[Ledger], object]
    ) -> None:
        self.ledger = ledger
        self.queue = queue
        self._settle = settle
        self.at = 0.0
        self.error: str | None = None
        self._told: list[Status] = []
        self._version = -1
        self._kept_house = 0.0

    def refresh(self) -> list[Status]:
        """Return the queues, those at work before those that have ended.

        What goes wrong meanwhile stands in `error`, and the last queues stay.
        """
        now = time.monotonic()
        try:
            if now - self._kept_house >= _HOUSEKEEPING:
                self._kept_house = now
                self._settle(self.ledger)
                self.dirty()
            version = self.ledger.store.engine.data_version()
            if version != self._version or time.time() - self.at >= _OLDEST:
                self._told = sorted(self._look(), key=lambda one: one["state"] in ENDED)
                self._version, self.at = version, time.time()
            self.error = None
        except HypervisorError as error:
            self.error = str(error)
        except sqlite3.Error as error:
            self.error = str(unusable("ledger", error))
        return self._told

    def dirty(self) -> None:
        """Have the next look look again: this process has written itself."""
        self._version = -1

    def over(self) -> bool:
        """True when every queue has ended: nothing will change by itself."""
        return self.error is None and all(one["state"] in ENDED for one in self._told)

    def hook_error(self) -> str | None:
        """Return the last error of a hook, if there was one lately."""
        return status.hook_error(self.ledger.root)

    def _look(self) -> list[Status]:
        if self.queue is not None:
            rows = [self.ledger.queues.get(self.queue)]
        else:
            rows = self.ledger.queues.all()
        return [status.standing(self.ledger, row) for row in rows]


_TICK = 1.0
_LEAVING = ("q", "Q")


def show(
    root: str, queue: str | None, settle: Callable[[Ledger], object], *, keys: int, screen: TextIO
) -> None:
    """Draw on the terminal `screen` until the user leaves; `keys` is the descriptor that these are
    read from, -1 for none."""
    # The guard is forked before the ledger is opened: it must hold nothing of it.
    with Terminal(keys, screen.fileno()) as terminal, Ledger.open(root) as ledger:
        _loop(Look(ledger, queue, settle), terminal, screen)


def _loop(look: Look, terminal: Terminal, screen: TextIO) -> None:
    from rich.console import Console
    from rich.live import Live

    from hypervisor.views.watch.screen import draw

    # The size is the terminal's own, also where a shell has exported another one.
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    console = Console(file=screen, _environ=environment, highlight=False)
    view = View(look.ledger.root)
    options = {"console": console, "screen": True, "auto_refresh": False}
    live = Live(**options, redirect_stdout=False, redirect_stderr=False)  # type: ignore[arg-type]
    live.start()
    try:
        due = 0.0
        while True:
            if time.monotonic() >= due:
                view.queues = look.refresh()
                view.at = look.at
                view.error = look.error or look.hook_error()
                due = time.monotonic() + _TICK
            size = console.size
            live.update(draw(view, size.width, size.height), refresh=True)
            key = terminal.key(due - time.monotonic())
            if terminal.stopping:
                terminal.stop(live.stop, lambda: live.start(refresh=True))
            if key in _LEAVING:
                return
    finally:
        live.stop()
