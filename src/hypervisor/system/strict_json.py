"""JSON without what its readers understand differently: numbers that are none, a key that stands
twice, half a character, a NUL; bounded in depth and number of values."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from functools import cache

from hypervisor.system.text import one_line

_MOST_VALUES = 20_000
_DEEPEST = 50
# What JSON calls a value.
KINDS = {
    type(None): "null", bool: "true or false", int: "a number", float: "a number", str: "a string",
    list: "an array", dict: "an object",
}  # fmt: skip


@cache
def decoder() -> json.JSONDecoder:
    """Return what reads JSON, and raises ValueError for numbers that are none and for a key that
    stands twice, and RecursionError."""
    return json.JSONDecoder(
        object_pairs_hook=_object, parse_constant=_no_number, parse_float=_number
    )


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{one_line(text, 60)} is too large a number")
    return number


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(
            name for name, count in Counter(name for name, _ in pairs).items() if count > 1
        )
        raise ValueError(f"the key {one_line(twice, 60)!r} appears twice")
    return found


def trouble(value: object, text: str) -> tuple[str, str] | None:
    """Return what makes a JSON value one that can't be kept, and its mend."""
    if text.count("[") + text.count("{") > _DEEPEST or text.count(",") > _MOST_VALUES:
        for count, _ in enumerate(_values(value)):
            if count > _MOST_VALUES:
                return f"more than {_MOST_VALUES:,} values", "divide the row"
        if _depth(value) > _DEEPEST:
            return "nested too deep", "write the row flat"
    if "\\u" in text:
        if not _is_unicode(value):
            return "half of a character", "fix its \\u escape"
        if "\\u0000" in text and any("\0" in one for one in _values(value) if isinstance(one, str)):
            return "a NUL character", "remove its \\u escape"
    return None


def _values(value: object) -> Iterator[object]:
    """Yield each key and value in a JSON value."""
    rest = [value]
    while rest:
        one = rest.pop()
        yield one
        if isinstance(one, dict):
            rest += [*one, *one.values()]
        elif isinstance(one, list):
            rest += one


def _depth(value: object) -> int:
    level, depth = [value], 0
    while level and depth <= _DEEPEST:
        nested = [one for one in level if isinstance(one, (dict, list))]
        level = [
            inner for one in nested for inner in (one.values() if isinstance(one, dict) else one)
        ]
        depth += 1
    return depth


def _is_unicode(value: object) -> bool:
    """Say whether no text in `value` holds half a surrogate pair, which JSON can spell."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
