"""`hypervisor work QUEUE --attach`: the log of a detached pool, as it grows."""

from __future__ import annotations

import os
import sys
import time

from hypervisor.cli.messages import complain
from hypervisor.ledger import Ledger
from hypervisor.system.errors import UsageError
from hypervisor.system.state import State
from hypervisor.worker import detached

_TICK = 0.2
_CHUNK = 1 << 16


def attach(root: str, queue: str) -> int:
    """Print the log of the pool of `queue` until it has ended; return its exit code, 1 if it was
    killed."""
    state = State.find(root)
    told = None if state is None else detached.find(state, queue)
    if state is None or told is None:
        with Ledger.open(root, look=True) as ledger:
            ledger.queues.get(queue)
        raise UsageError(
            f"no pool of {queue} was detached here",
            f"hypervisor work {queue} --agent AGENT --detach",
        )
    if told.alive:
        print(f"{told.id} works on {queue}; Ctrl-C leaves it running", file=sys.stderr)
    log = detached.open_log(state, queue)
    try:
        while True:
            # In this order: what it has said at its end is there when it is gone.
            told = detached.find(state, queue) or told
            while part := os.read(log, _CHUNK):
                sys.stdout.write(part.decode("utf-8", "replace"))
            sys.stdout.flush()
            if not told.alive:
                break
            time.sleep(_TICK)
    finally:
        os.close(log)
    if told.code is None:
        what = f"{told.id} is gone: it was killed, or the machine was restarted"
        complain(what, told.command(root))
        return 1
    return told.code
