"""The outcomes that the page tells apart, and how it marks them."""

from __future__ import annotations

from typing import Any

# Outcome -> the one-letter class that colours it in the file, in the order in which it is shown.
MARKS = {
    "failed": "f",
    "blocked": "b",
    "running": "r",
    "success": "s",
    "skipped": "k",
    "cancelled": "c",
    "not attempted": "n",
}
# What want a look come first, wherever one colour has to stand for several.
RANK = {mark: place for place, mark in enumerate("fbcrskn")}

# How a claim ended -> its mark, and the words for it.
_CLAIMS = {
    None: ("r", "at work"),
    "done": ("s", "done"),
    "blocked": ("b", "blocked"),
    "failed": ("f", "failed"),
    "skipped": ("k", "skipped"),
    "cancelled": ("c", "ended with the queue"),
    "released": ("n", "given back"),
    "freed": ("n", "freed, at no cost"),
    "died": ("f", "its worker died"),
    "expired": ("f", "its lease ran out"),
    "unreported": ("f", "ended without a report"),
}


def outcome(told: dict[str, Any]) -> str:
    """Return the outcome of an item of the summary; what is claimed now is `running`."""
    return "running" if told["state"] == "claimed" else told["status"].replace("_", " ")


def claim_mark(how: str | None) -> str:
    """Return the mark of a claim that ended like that."""
    return _CLAIMS.get(how, ("n", ""))[0]


def claim_words(how: str | None) -> str:
    """Return how a claim ended, in words."""
    return _CLAIMS.get(how, ("n", str(how)))[1]
