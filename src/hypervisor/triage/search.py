"""Searching a text for many patterns that start with a word."""

from __future__ import annotations

import re
from functools import lru_cache

_START = re.compile(r"\\b([a-z]+)")


def first_hit(patterns: tuple[re.Pattern[str], ...], text: str, folded: str) -> str | None:
    """Return what the first of `patterns` that is found in `text` matches, or None.

    `folded` is `text` in lower case. Most patterns start with a word, and looking for a word costs
    a hundredth of looking for a pattern.
    """
    for pattern in patterns:
        if opening_word(pattern.pattern) in folded:
            found = pattern.search(text)
            if found:
                return found[0]
    return None


@lru_cache(maxsize=1024)
def opening_word(pattern: str) -> str:
    """Return letters that stand in every text which the pattern matches; "" if none are sure."""
    found = _START.match(pattern)
    if found is None or _has_outer_alternative(pattern):
        return ""
    word, following = found[1], pattern[found.end() : found.end() + 1]
    return word[:-1] if following and following in "?*{" else word


def _has_outer_alternative(pattern: str) -> bool:
    """Say whether a `|` may stand outside of all groups; a wrong yes only costs time."""
    if "|" in pattern and ("[" in pattern or r"\(" in pattern or r"\)" in pattern):
        return True
    depth = 0
    for character in pattern:
        depth += (character == "(") - (character == ")")
        if character == "|" and depth == 0:
            return True
    return False
