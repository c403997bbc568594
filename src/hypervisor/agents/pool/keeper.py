"""A process between a pool and an agent, to which all falls that the agent leaves behind, whatever
session or environment it has made for itself: it ends with the agent.

Linux gives a process that outlives its parent to the nearest one above that asked for such.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable

from hypervisor.system import killing

_SET_CHILD_SUBREAPER = 36
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP)


def keeper() -> Callable[[], None] | None:
    """Return what a new process is to call just before it becomes an agent, so that it is kept;
    None where the system can't keep it."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl

    def step_between() -> None:
        try:
            if prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) or not (agent := os.fork()):
                return
        except OSError:
            return
        try:
            _keep(agent)
        finally:
            os._exit(1)

    return step_between


def _keep(agent: int) -> None:
    """Wait for the agent, end what it has left, and end as it did."""
    for number in _IGNORED:
        # They are for the agent, which has them too.
        signal.signal(number, signal.SIG_IGN)
    # Neither its output nor a lock of the pool's is held open here.
    for opened in os.listdir("/proc/self/fd"):
        try:
            os.close(int(opened))
        except OSError:
            # The one that listed them.
            continue
    ended = None
    while True:
        try:
            pid, status = os.waitpid(-1, 0 if ended is None else os.WNOHANG)
        except ChildProcessError:
            break
        if pid == agent:
            ended = status
        elif not pid:
            killing.kill_below(os.getpid())
            time.sleep(0.005)
    code = os.waitstatus_to_exitcode(ended or 0)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
