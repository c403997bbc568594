"""The files that an item says it touches, as its front matter or its row names them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

_BETWEEN = re.compile(r"[\n,;]")
_WILD = re.compile(r"[*?\[]")
_LINES = re.compile(r":\d+(?:-\d+)?$")


def touched(value: object, root: str) -> tuple[str, ...]:
    """Return the paths that `value` names, from the root, normal, each once.

    A text is a list with commas, semicolons or line ends between. A pattern stands for the folder
    in which it can match, an entry like `a.py:10-20` for its file; what lies outside of the root is
    kept as it is, so that two that name it still meet.
    """
    if isinstance(value, str):
        entries: Iterable[object] = _BETWEEN.split(value)
    elif isinstance(value, (list, tuple)):
        entries = value
    else:
        return ()
    found = {_path(entry.strip(), root) for entry in entries if isinstance(entry, str)}
    found.discard("")
    return tuple(sorted(found))


def _path(entry: str, root: str) -> str:
    entry = _LINES.sub("", entry.strip("`\"'"))
    if not entry or "\0" in entry:
        return ""
    wild = _WILD.search(entry)
    if wild:
        entry = entry[: wild.start()].rpartition("/")[0] or ("/" if entry[0] == "/" else ".")
    if os.path.isabs(entry):
        inside = os.path.relpath(entry, root)
        return os.path.normpath(entry) if inside.startswith("..") else inside
    return os.path.normpath(entry)
