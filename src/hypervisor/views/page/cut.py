"""How long texts may be, so that all of them together fit on the page."""

from __future__ import annotations

from html import escape

CUT = "…"
# Less than this says nothing; a page of very many items may get larger instead.
LEAST = 24


def size(text: str) -> int:
    """Return how many bytes `text` takes in the file."""
    return len(escape(text).encode("utf-8"))


def level(sizes: list[int], room: int) -> int | None:
    """Return the size to which longer texts must be cut so that all take `room` bytes at most.

    Short texts are left whole, long ones all get the same, LEAST or more. None if nothing need
    be cut.
    """
    left = room
    for place, one in enumerate(sorted(sizes)):
        share = max(0, left) // (len(sizes) - place)
        if one > share:
            return max(LEAST, share)
        left -= one
    return None


def cut(text: str, level: int | None) -> str:
    """Return `text` cut to `level` bytes; it then says so."""
    if level is None or 5 * len(text) <= level or size(text) <= level:
        return text
    room = max(0, level - size(CUT))
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if size(text[:middle]) <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + CUT
