"""Ending an agent whole: its process group, and what has left the group.

Every process of an agent has the agent's name in its environment, which a new session or a second
fork does not change. Imports the standard library alone: the reaper is one small process.
"""

from __future__ import annotations

import os
import signal
import time

_ROUNDS = 20


def signal_group(group: int, number: int) -> None:
    """Send a signal to a process group; one that is gone is fine."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass


def kill_marked(name: str, value: str) -> int:
    """Kill every process whose environment says `name=value`, but for this one; return how many.

    They are looked for again until none is left: one may fork meanwhile. Where there is no /proc,
    none is found.
    """
    killed = 0
    for _ in range(_ROUNDS):
        found = marked(name, value)
        if not found:
            break
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
                killed += 1
            except (ProcessLookupError, PermissionError):
                continue
        time.sleep(0.01)
    return killed


def marked(name: str, value: str) -> list[int]:
    """Return the processes whose environment says `name=value`, but for this one."""
    mark = os.fsencode(f"{name}={value}")
    found = []
    try:
        entries = os.listdir("/proc")
    except OSError:
        return []
    own = os.getpid()
    for entry in entries:
        if not entry.isdecimal() or int(entry) == own:
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as source:
                environment = source.read()
        except OSError:
            continue
        if mark in environment and mark in environment.split(b"\0"):
            found.append(int(entry))
    return found
