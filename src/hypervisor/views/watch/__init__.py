"""The live view of the queues: a screen on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from hypervisor.ledger import Ledger
from hypervisor.views.watch.loop import Look

TICK = 1.0


def watch(
    root: str, queue: str | None, *, settle: Callable[[Ledger], object], as_json: bool = False
) -> int:
    """Show where the queues of `root` stand (only `queue`, if given) until the user leaves.

    `settle` is the housekeeping that is done meanwhile. Without a terminal: a line (or with
    `as_json` an object) per change, until all have ended.
    Returns the exit code. Raises NoLedger, and UsageError for an unknown queue.
    """
    with Ledger.open(root) as ledger:
        if queue is not None:
            ledger.queues.get(queue)
    terminal = sys.stdout is not None and sys.stdout.isatty()
    if as_json or not terminal or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        from hypervisor.views.watch import plain

        with Ledger.open(root) as ledger:
            return plain.follow(Look(ledger, queue, settle), as_json=as_json)
    from hypervisor.views.watch import loop

    return loop.show(root, queue, settle)


__all__ = ["Look", "watch"]
