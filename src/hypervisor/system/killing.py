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


def end_group(group: int) -> None:
    """Kill a process group, and first all that its leader has below it."""
    kill_below(group)
    signal_group(group, signal.SIGKILL)


def kill_below(pid: int) -> None:
    """Kill every process below `pid`, until none is left. Without /proc, none is found."""
    for _ in range(_ROUNDS):
        found = _below(pid)
        if not found:
            return
        for one in found:
            try:
                os.kill(one, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        time.sleep(0.01)


def _below(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in _processes():
        try:
            with open(f"/proc/{entry}/stat", "rb") as source:
                state, parent = source.read().rpartition(b")")[2].split(None, 2)[:2]
        except (OSError, ValueError):
            continue
        if state != b"Z":
            children.setdefault(int(parent), []).append(entry)
    found, above = [], [pid]
    while above:
        below = children.get(above.pop(), [])
        found += below
        above += below
    return [one for one in found if one != os.getpid()]


def _processes() -> list[int]:
    try:
        return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]
    except OSError:
        return []


def marked(name: str, value: str) -> list[int]:
    """Return the processes whose environment says `name=value`, but for this one."""
    mark = os.fsencode(f"{name}={value}")
    found = []
    own = os.getpid()
    for entry in _processes():
        if entry == own:
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as source:
                environment = source.read()
        except OSError:
            continue
        if mark in environment and mark in environment.split(b"\0"):
            found.append(entry)
    return found
