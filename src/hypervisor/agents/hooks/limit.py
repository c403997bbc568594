"""The end of a hook that takes too long, whatever it has met: a session waits for each of them."""

from __future__ import annotations

import _thread
import faulthandler
import os
import resource
import time

# Seconds of work of our own, and seconds in all, others' locks and disks waited for.
WORK = 2.0
WAIT = 10.0
_TICK = 0.1


def begin() -> None:
    """End this process in silence, with exit code 0, once it has worked for `WORK` seconds or taken
    `WAIT` seconds in all.

    What it was writing is undone or completed, as after any kill. Where a single call into the
    system or a library keeps Python from noticing, the system ends the process a second later.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    spent = int(time.process_time() + WORK) + 2
    if most in (resource.RLIM_INFINITY, -1) or most > spent:
        resource.setrlimit(resource.RLIMIT_CPU, (spent, most))
    silence = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    faulthandler.dump_traceback_later(WAIT + 1, exit=True, file=silence)
    _thread.start_new_thread(_watch, (time.process_time() + WORK, time.monotonic() + WAIT))


def _watch(work: float, wait: float) -> None:
    while time.process_time() < work and time.monotonic() < wait:
        time.sleep(_TICK)
    os._exit(0)
