"""Searching a text for many patterns."""

from __future__ import annotations

from hypervisor.system.patterns import Pattern, fold


def first_hit(patterns: tuple[Pattern, ...], text: str) -> str | None:
    """Return what the first of `patterns` that is found in `text` matches, or None.

    Raises TooSlow where one takes too long.
    """
    folded = fold(text)
    for pattern in patterns:
        if pattern.may_match(folded):
            found = pattern.search(text)
            if found:
                return str(found[0])
    return None
