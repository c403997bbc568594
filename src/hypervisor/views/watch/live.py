"""The live view on a terminal: one loop that looks, draws, and waits for a key."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from hypervisor.intake import opening
from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError
from hypervisor.views.watch.looking import Look
from hypervisor.views.watch.terminal import Terminal
from hypervisor.views.watch.view import View

_TICK = 1.0
_SAID_SECONDS = 8.0
_LEAVING = ("q", "Q")


def show(root: str, queue: str | None, settle: Callable[[Ledger], object]) -> int:
    """Show the screen until the user leaves it; return 0."""
    # The guard is forked before the ledger is opened: it must hold nothing of it.
    keys = sys.stdin.fileno() if sys.stdin else -1
    with Terminal(keys, sys.stdout.fileno()) as terminal, Ledger.open(root) as ledger:
        _loop(Look(ledger, queue, settle), terminal)
    return 0


def _loop(look: Look, terminal: Terminal) -> None:
    from rich.console import Console
    from rich.live import Live

    from hypervisor.views.watch.screen import draw

    # The size is the terminal's own, also where a shell has exported another one.
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    # What it draws with are control sequences; texts of others are escaped before (see `screen`).
    screen = getattr(sys.stdout, "unguarded", sys.stdout)
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
            if key is not None and _act(look, view, key):
                due = 0.0
    finally:
        live.stop()


def _act(look: Look, view: View, key: str) -> bool:
    """Carry out what a key asks for; True if the queues are to be looked up again."""
    if key in ("up", "k", "down", "j"):
        view.move(-1 if key in ("up", "k") else 1)
        return False
    marked = view.marked()
    if key != "p" or marked is None:
        return False
    name = marked["queue"]
    try:
        if marked["state"] not in ("open", "paused"):
            view.say(f"{name} has ended: there is nothing to pause", _SAID_SECONDS)
        elif marked["state"] == "paused":
            opening.resume(look.ledger, name)
            view.say(f"{name} goes on", _SAID_SECONDS)
        else:
            look.ledger.pause(name, "in the live view")
            view.say(f"{name} is paused; what is claimed may still be reported", _SAID_SECONDS)
    except HypervisorError as error:
        view.say(str(error), _SAID_SECONDS)
    look.dirty()
    return True
