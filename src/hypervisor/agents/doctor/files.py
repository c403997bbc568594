"""Settings of the clients, which people edit: read, and never trusted to have a shape."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


def read_object(path: str) -> dict[str, Any]:
    """Return the JSON object in `path`, comments allowed. Raises OSError and ValueError."""
    with open(path, encoding="utf-8") as source:
        text = source.read()
    value = json.loads(_COMMENT.sub(lambda found: found[1] or "", text))
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def with_parents(folder: str) -> Iterator[str]:
    """Return the real path of `folder` and those of the folders above it, the nearest first."""
    place = os.path.realpath(folder)
    while True:
        yield place
        above = os.path.dirname(place)
        if above == place:
            return
        place = above


def at(value: Any, *keys: str) -> Any:
    """Return what stands below `keys`, or None."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
