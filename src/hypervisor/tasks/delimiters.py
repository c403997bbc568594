"""The lines of three dashes between which front matter stands."""

from __future__ import annotations


def after_delimiter(text: str, at: int) -> int:
    """Return where the line behind the delimiter line at `at` starts, -1 if there is none."""
    if not text.startswith("---", at):
        return -1
    end = text.find("\n", at)
    rest = text[at + 3 : end if end >= 0 else len(text)]
    if rest.removesuffix("\r").strip(" \t"):
        return -1
    return end + 1 if end >= 0 else len(text)


def find_delimiter(text: str, at: int) -> int:
    """Return where the first delimiter line is from the line at `at` on, -1 if there is none."""
    while after_delimiter(text, at) < 0:
        at = text.find("\n---", at) + 1
        if not at:
            return -1
    return at
