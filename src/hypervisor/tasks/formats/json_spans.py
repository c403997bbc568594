"""Where the values of a JSON text stand, so that one can be changed and no other byte."""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    Path = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def spans(text: str) -> dict[Path, tuple[int, int]]:
    """Return the span of each value in a JSON text by its path, from the outermost, `()`, in.

    Raises ValueError for what is no JSON, and RecursionError for what is nested too deep.
    """
    found: dict[Path, tuple[int, int]] = {}
    end = _value(text, skip_blanks(text, int(text.startswith("\ufeff"))), (), found)
    if skip_blanks(text, end) != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return found


def _value(text: str, at: int, path: Path, found: dict[Path, tuple[int, int]]) -> int:
    opening = text[at : at + 1]
    if opening not in ("{", "["):
        end = _DECODER.raw_decode(text, at)[1]
        found[path] = (at, end)
        return end
    closing = "}" if opening == "{" else "]"
    start, at, place = at, skip_blanks(text, at + 1), 0
    while text[at : at + 1] != closing:
        key: str | int = place
        if opening == "{":
            told, at = _DECODER.raw_decode(text, at)
            at = skip_blanks(text, at)
            if not isinstance(told, str) or text[at : at + 1] != ":":
                raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
            key, at = told, skip_blanks(text, at + 1)
        at = skip_blanks(text, _value(text, at, (*path, key), found))
        place += 1
        if text[at : at + 1] == ",":
            at = skip_blanks(text, at + 1)
        elif text[at : at + 1] != closing:
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    found[path] = (start, at + 1)
    return at + 1


def skip_blanks(text: str, at: int) -> int:
    """Return where the first character from `at` on stands that JSON does not overlook."""
    found = _BLANK.match(text, at)
    return found.end() if found else at
