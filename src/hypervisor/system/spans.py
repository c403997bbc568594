"""Moments and spans of time as people read them."""

from __future__ import annotations

import time

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def span(seconds: float) -> str:
    """Return a time for people in the two units that matter: 350 ms, 4.2 s, 45 s, 2 min 5 s,
    1 h 4 min, 3 d 2 h. What is below 0 is 0 s."""
    if 0 < seconds < 0.9995:
        return f"{round(seconds * 1000)} ms"
    if 0 < seconds < 9.95:
        return f"{round(seconds, 1):g} s"
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _both(whole // _MINUTE, "min", whole % _MINUTE, "s")
    if whole < _DAY:
        return _both(whole // _HOUR, "h", whole % _HOUR // _MINUTE, "min")
    return _both(whole // _DAY, "d", whole % _DAY // _HOUR, "h")


def _both(many: int, big: str, rest: int, small: str) -> str:
    return f"{many} {big} {rest} {small}" if rest else f"{many} {big}"


def narrow(seconds: float) -> str:
    """Return a time in one unit, for the columns and the problems of a live screen, where a line
    has little room: 42 s, 95 min, 30 h, 4 d."""
    if seconds < 100:
        return f"{max(0, round(seconds))} s"
    if seconds < 100 * _MINUTE:
        return f"{round(seconds / _MINUTE)} min"
    if seconds < 2 * _DAY:
        return f"{round(seconds / _HOUR)} h"
    return f"{round(seconds / _DAY)} d"


def moment(at: float) -> str:
    """Return a moment (Unix time) on the machine's own clock: 15:04, or 2026-10-03 15:04 where it
    is not today."""
    then, now = time.localtime(at), time.localtime()
    today = (then.tm_year, then.tm_yday) == (now.tm_year, now.tm_yday)
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)


def stamp(at: float) -> str:
    """Return a moment (Unix time) on the machine's own clock to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def until(at: float) -> str:
    """Return a moment to come and how far it is: 15:04 (in 7 min)."""
    return f"{moment(at)} (in {span(at - time.time())})"
