"""Moments and spans of time as people read them."""

from __future__ import annotations

import time


def span(seconds: float) -> str:
    """Return a time for people: 42 s, 7 min, 3 h 05 min, 2 d 3 h."""
    amount = max(0, round(seconds))
    if amount < 100:
        return f"{amount} s"
    minutes = round(amount / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02} min"
    return f"{hours // 24} d {hours % 24} h"


def moment(at: float) -> str:
    """Return a moment (Unix time) on the machine's own clock: 15:04, or 2026-10-03 15:04 where it
    is not today."""
    then, now = time.localtime(at), time.localtime()
    today = (then.tm_year, then.tm_yday) == (now.tm_year, now.tm_yday)
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)


def until(at: float) -> str:
    """Return a moment to come and how far it is: 15:04 (in 7 min)."""
    return f"{moment(at)} (in {span(at - time.time())})"
