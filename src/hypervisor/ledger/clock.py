"""The clock of leases: boots and the monotonic clock, so that neither a stepped wall clock nor a
sleeping laptop ends a lease, and another boot ends all of them."""

from __future__ import annotations

import time

# Microseconds that one boot may last (12 years): the number of the boot stands above them.
BOOT_SPAN = 4 * 10**14


def monotonic_us() -> int:
    """Return microseconds since this boot, time asleep not counted (CLOCK_MONOTONIC)."""
    return time.monotonic_ns() // 1000
