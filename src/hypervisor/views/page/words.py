"""Figures and texts as the page shows them."""

from __future__ import annotations

import time

from hypervisor.system.spans import span
from hypervisor.system.text import one_line

# What is not known.
NOTHING = "–"
# No text of one item is longer on the page, however much room there is.
LONGEST = 20_000


def duration(seconds: float | None) -> str:
    """Return a span of time, `–` for None."""
    return NOTHING if seconds is None else span(seconds)


def number(value: float | None) -> str:
    """Return a whole number with its thousands set apart, `–` for None."""
    return NOTHING if value is None else f"{round(value):,}"


def plural(value: int, noun: str) -> str:
    """Return a counted noun: `1 item`, `1,204 items`."""
    return f"{value:,} {noun}" + ("" if value == 1 else "s")


def day(at: float) -> str:
    """Return the day of a Unix time, in UTC."""
    return time.strftime("%d %b %Y", time.gmtime(at)).lstrip("0")


def clock(at: float) -> str:
    """Return the time of day of a Unix time, in UTC."""
    return time.strftime("%H:%M:%S", time.gmtime(at))


def moment(at: float, base: float) -> str:
    """Return a Unix time in UTC; its day only where that isn't the day of `base`."""
    return clock(at) if day(at) == day(base) else f"{day(at)[:-5]} {clock(at)}"


def text(value: object) -> str:
    """Return untrusted text with its lines kept, and no character that reorders or hides."""
    shown = str(value)
    cut = shown[:LONGEST].expandtabs(4).strip("\n")
    lines = [one_line(line, LONGEST) for line in cut.splitlines()]
    return "\n".join([*lines, "… (cut here)"] if len(shown) > LONGEST else lines)
