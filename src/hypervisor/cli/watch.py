"""`hypervisor status --watch`: where the queues stand, as it changes."""

from __future__ import annotations

import os
import sys

from hypervisor.agents import reconcile
from hypervisor.cli.messages import complain
from hypervisor.ledger import Ledger
from hypervisor.views.watch import Look


def watch(root: str, queue: str | None, *, as_json: bool) -> int:
    """Show where the queues of `root` stand (only `queue`, if given) until the user leaves: 0.

    Without a terminal: a line (or with `as_json` an object) per change, until all have ended.
    Raises NoLedger, and UsageError for an unknown queue.
    """
    with Ledger.open(root, look=True) as ledger:
        if queue is not None:
            ledger.queues.get(queue)
    terminal = sys.stdout is not None and sys.stdout.isatty()
    if as_json or not terminal or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        from hypervisor.views.watch import plain

        with Ledger.open(root, look=True) as ledger:
            look = Look(ledger, queue, reconcile.settle)
            plain.follow(look, _say, complain, as_json=as_json)
        return 0
    from hypervisor.views.watch import loop

    keys = sys.stdin.fileno() if sys.stdin else -1
    # What it draws with are control sequences; texts of others are escaped by the view itself.
    screen = getattr(sys.stdout, "unguarded", sys.stdout)
    loop.show(root, queue, reconcile.settle, keys=keys, screen=screen)
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
