"""News as a notice on the user's desktop, where there is one."""

from __future__ import annotations

import os
import shutil
import sys

from hypervisor.agents.notify import SECONDS, Lost
from hypervisor.ledger.outcomes import OPEN_STATES
from hypervisor.system.processes import Late, ask
from hypervisor.system.spans import until
from hypervisor.system.text import count, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.notifications import Body

_BUS = "DBUS_SESSION_BUS_ADDRESS"
_WORDS = {
    "drained": "done: {ended} ended",
    "paused": "paused",
    "stalled": "stalled: {left} left and nobody works",
    "budget": "paused: its budget is used up",
    "failed": "an item has failed",
    "blocked": "blocked items want you",
}


def show(news: Body) -> None:
    """Show a piece of news; nothing where there is no desktop. Raises Lost."""
    title = f"hypervisor: {one_line(news['queue'], 60)}"
    text = words(news)
    try:
        if sys.platform == "darwin":
            lines = (
                "on run told",
                "display notification (item 2 of told) with title (item 1 of told)",
            )
            script = [part for line in (*lines, "end run") for part in ("-e", line)]
            said = ask(["/usr/bin/osascript", *script, title, text], SECONDS, cwd="/")
        elif (bus := _bus()) and shutil.which("notify-send"):
            said = ask(["notify-send", "--", title, text], SECONDS, cwd="/", env={_BUS: bus})
        else:
            return
    except (Late, OSError):
        raise Lost("the desktop does not answer") from None
    if said.code:
        raise Lost("the desktop has not taken it")


def words(news: Body) -> str:
    """Return a piece of news in a few words."""
    counts = dict(news["counts"])
    left = sum(counts.pop(state) for state in OPEN_STATES)
    text = _WORDS[news["event"]].format(left=left, ended=count(sum(counts.values()), "item"))
    return f"{text}, until {until(news['until'])}" if news["until"] else text


def _bus() -> str | None:
    """Return the address of the user's session bus; cron and services are not told of it."""
    if told := os.environ.get(_BUS):
        return told
    path = f"/run/user/{os.geteuid()}/bus"
    return f"unix:path={path}" if os.path.exists(path) else None
