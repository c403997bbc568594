"""Names where there is little room: what they have in common gives way first."""

from __future__ import annotations

import re
from collections.abc import Collection

_LAST_WORD = re.compile(r"[^-_./: ]*\Z")


def apart(names: Collection[str], room: int) -> dict[str, str]:
    """Return what to show of each of `names`, at most `room` characters (2 or more), so that they
    can be told apart.

    What is too long loses the words with which all of them begin, then its middle.
    """
    different = set(names)
    if max(map(len, different), default=0) <= room:
        return {name: name for name in different}
    begin = _begin(min(different), max(different)) if len(different) > 1 else 0
    return {name: _cut(f"…{name[begin:]}" if begin else name, room) for name in different}


def _begin(first: str, last: str) -> int:
    """Return where the word begins in which the first and the last of sorted names differ."""
    pairs = enumerate(zip(first, last, strict=False))
    alike = next((place for place, (one, other) in pairs if one != other), len(first))
    return len(_LAST_WORD.sub("", first[:alike]))


def _cut(name: str, room: int) -> str:
    if len(name) <= room:
        return name
    end = (room - 1) // 2
    return f"{name[: room - 1 - end]}…{name[len(name) - end :]}"
