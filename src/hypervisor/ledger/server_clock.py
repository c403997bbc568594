"""The server's clock as its users see it: a step of it is taken back, so that no lease hangs on it.

PostgreSQL tells its wall clock alone. Each host compares it from one look to the next with its own
time since boot; what the server's has run ahead or behind is taken off the clock of leases, once.
"""

from __future__ import annotations

import time

from hypervisor.ledger import dialect
from hypervisor.system import machine
from hypervisor.system.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.server import Connection
    from hypervisor.system.state import State

_FILE = "server-clock"
# Microseconds that no two looks agree upon to, and the share that two clocks drift apart by.
_LEAST = 5_000_000
_DRIFT = 1000


class Look(NamedTuple):
    """One look, in microseconds: the server's wall clock, our time since boot, our wall clock, how
    long the look took; and what is added to the server's for leases."""

    server: int
    ours: int
    wall: int
    took: int
    offset: int


def look(connection: Connection) -> Look:
    """Look at the server's clock."""
    begun = _since_boot()
    server, offset = connection.execute(
        f"select {dialect.WALL.format('clock_timestamp')}, {dialect.OFFSET}"
    ).fetchone()
    ended = _since_boot()
    return Look(server, (begun + ended) // 2, time.time_ns() // 1000, ended - begun, offset)


def step(before: Look, now: Look, *, elsewhere: bool) -> int:
    """Return by how much the server's clock was set between two looks, 0 where it was not. One that
    is `elsewhere` is believed only where our own two clocks agree: else it is ours that stood."""
    passed = now.ours - before.ours
    tolerated = _LEAST + abs(passed) // _DRIFT + before.took + now.took
    set_by = now.server - before.server - passed
    ours_set_by = now.wall - before.wall - passed
    if abs(set_by) <= tolerated or (elsewhere and abs(ours_set_by) > tolerated):
        return 0
    return set_by


def last(state: State) -> Look | None:
    """Return the last look of this host since it was started, or None."""
    try:
        *numbers, boot = state.folder.read(_FILE, 1000).decode("ascii").split()
        return Look(*map(int, numbers)) if boot == machine.boot_id() else None
    except (OSError, ValueError, TypeError):
        return None


def keep(state: State, seen: Look) -> None:
    """Keep a look for the next command of this host."""
    try:
        state.folder.write(_FILE, f"{' '.join(map(str, seen))} {machine.boot_id()}\n".encode())
    except OSError:
        # The next one has nothing to compare with.
        return


def _since_boot() -> int:
    """Return microseconds since this boot, time asleep counted where the system tells it."""
    source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(source) // 1000
