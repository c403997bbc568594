"""JSON for those who start anew for each event: `loads` and `dumps` as of `json`.

The library's own package loads regular expressions, which take as long as the start of Python. What
does the work in it is written in C, and used here; where that is missing or has changed, the
package is.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SPACE = " \t\n\r"
_CONSTANTS = {"-Infinity": float("-inf"), "Infinity": float("inf"), "NaN": float("nan")}


class _Reading:
    """How `json.loads` reads, in the words of what is written in C."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = _CONSTANTS.__getitem__


def _unknown(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is no JSON")


def _found() -> tuple[Callable[..., Any], ...] | None:
    """Return what reads, what writes in ASCII, and what writes all letters as they are; None where
    they are not as they are known here."""
    try:
        c = __import__("_json")
        scan = c.make_scanner(_Reading)
        encoders = [
            c.make_encoder(None, _unknown, letters, None, ": ", ", ", False, False, True)
            for letters in (c.encode_basestring_ascii, c.encode_basestring)
        ]
        works = scan('[1, "a"]', 0) == ([1, "a"], 8)
        works = works and all("".join(one({"a": 1}, 0)) == '{"a": 1}' for one in encoders)
    except (ImportError, AttributeError, TypeError):
        return None
    return (scan, *encoders) if works else None


_quick = _found()


def loads(text: str) -> Any:
    """Return what `text` holds. Raises ValueError for anything that is no JSON."""
    if _quick is None:
        import json

        return json.loads(text)
    told = text.strip(_SPACE)
    try:
        value, end = _quick[0](told, 0)
    except StopIteration:
        raise ValueError("no JSON") from None
    if end != len(told):
        raise ValueError(f"more than one value: the first ends at {end}")
    return value


def dumps(value: object, ensure_ascii: bool = True) -> str:
    """Return `value` as JSON, in ASCII, or with all letters as they are."""
    if _quick is None:
        import json

        return json.dumps(value, ensure_ascii=ensure_ascii)
    return "".join(_quick[1 if ensure_ascii else 2](value, 0))
