"""The live view without a terminal: one line per queue whenever it has changed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from hypervisor.system.spans import span
from hypervisor.views import status
from hypervisor.views.shapes import Status
from hypervisor.views.watch.loop import Look

_TICK = 1.0
# Lines of one queue come no faster than this.
_PAUSE = 5.0


def follow(
    look: Look,
    say: Callable[[str], None],
    complain: Callable[[str], None],
    *,
    as_json: bool,
    pause: float = _PAUSE,
) -> None:
    """Hand `say` a line for what changes until every queue has ended, and `complain` what goes
    wrong meanwhile.

    The first look and the last one are always told.
    """
    said: dict[str, str] = {}
    told_at: dict[str, float] = {}
    error: str | None = None
    while True:
        queues, over = look.refresh(), look.over()
        now = time.monotonic()
        for one in queues:
            name = one["queue"]
            text = status.line(one)
            if text == said.get(name) or (not over and now - told_at.get(name, -pause) < pause):
                continue
            said[name], told_at[name] = text, now
            say(json.dumps(one, ensure_ascii=False) if as_json else _line(one, text))
        if look.error and look.error != error:
            complain(look.error)
        error = look.error
        if not queues and over and not as_json:
            say(status.NOTHING)
        if over:
            return
        time.sleep(_TICK)


def _line(one: Status, text: str) -> str:
    pace = f", {one['per_minute']:g} a minute" if one["per_minute"] else ""
    left = one["eta_seconds"]
    eta = f", about {span(left)} left" if left is not None else ""
    return f"{time.strftime('%H:%M:%S')} {text}{pace}{eta}"
