"""The marks of a merge that nobody has resolved: such a file says two things at once."""

from __future__ import annotations

import re

_MARKS = re.compile(
    r"^(?:(?P<fence>[ ]{0,3}(?:```+|~~~+))|(?P<ours><{7} )|(?P<middle>={7}\r?$)|(?P<theirs>>{7} ))",
    re.MULTILINE,
)


def conflict_in(text: str) -> int | None:
    """Return the line, from 1, at which a conflict begins in `text`; None where there is none.

    All three marks have to stand there in their order. What a fence of code shows is no conflict.
    """
    begun, middle, fenced = None, False, ""
    for mark in _MARKS.finditer(text):
        fence = mark["fence"]
        if fence:
            if not fenced:
                fenced = fence.strip()
            elif fence.strip().startswith(fenced):
                fenced = ""
        elif fenced:
            continue
        elif mark["ours"]:
            begun, middle = mark.start(), False
        elif mark["middle"]:
            middle = begun is not None
        elif begun is not None and middle:
            return text.count("\n", 0, begun) + 1
    return None
