"""Colour on a terminal: the labels of messages, the states of queues, and the counts of items that
want to be seen. A pipe gets none, nor does whoever has set NO_COLOR."""

from __future__ import annotations

import os
import re

from hypervisor.ledger.outcomes import AT_WORK, OUTCOME, STANDING, STANDINGS
from hypervisor.system.text import Shown, lines_kept

_RED, _GREEN, _YELLOW, _CYAN = "31", "32", "33", "36"
_LABELS = {"error": _RED, "hint": _CYAN, "note": _YELLOW, "next": _CYAN}
_STATES = {"open": _CYAN, "paused": _YELLOW, "drained": _GREEN}
_COUNTS = {
    **{row.title: _YELLOW for row in STANDINGS if row.odd},
    STANDING[OUTCOME["done"].counts_as].title: _GREEN,
    STANDING["failed"].title: _RED,
    AT_WORK.title: _CYAN,
    "held": _YELLOW,
    "broken": _RED,
}
# What others wrote is indented, or stands behind our own words.
_OURS = re.compile(
    rf"^(?P<label>{'|'.join(_LABELS)}):"
    rf"|^(?:queue )?[\w.-]+(?: \(generation [^)]*\))?: (?P<state>{'|'.join(_STATES)})\b"
    rf"|(?<![\w.,-])[1-9][\d,]* (?P<count>{'|'.join(_COUNTS)})\b",
    re.MULTILINE,
)
_KNOWN = {**_LABELS, **_STATES, **_COUNTS}


class Coloured(Shown):
    """As Shown, with the colours on what is ours."""

    def write(self, text: str) -> int:
        """Write `text` with its lines, escaped and coloured."""
        self.unguarded.write(_OURS.sub(_coloured, lines_kept(text)))
        return len(text)


def fit() -> bool:
    """True if the terminal knows colours, and its user has not said no."""
    known = os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    return known and not os.environ.get("NO_COLOR")


def _coloured(found: re.Match[str]) -> str:
    word = found[found.lastgroup or 0]
    before, _, after = found[0].rpartition(word)
    if found.lastgroup == "count":
        # The number belongs to it.
        before, word = "", before + word
    return f"{before}\x1b[{_KNOWN[found[found.lastgroup or 0]]}m{word}\x1b[0m{after}"
