"""The commit that a folder's checkout stands at, read without starting git.

`next` notes it with every claim, and a process would take longer than the claim.
"""

from __future__ import annotations

import os

_LARGEST = 4 << 20
_HEX = frozenset("0123456789abcdef")


def head(folder: str) -> str | None:
    """Return the id of the commit at which `folder` is checked out, or None.

    None stands for no repository, no commit yet, and whatever only git itself can read.
    """
    private = private_dir(folder)
    if private is None:
        return None
    text = _read(f"{private}/HEAD")
    if not text.startswith("ref: "):
        return _commit(text)
    name = text[5:].rstrip("\n")
    common = _read(f"{private}/commondir").rstrip("\n")
    shared = os.path.join(private, common) if common else private
    return _commit(_read(f"{shared}/{name}")) or _packed(f"{shared}/packed-refs", name)


def private_dir(folder: str) -> str | None:
    """Return the folder in which git keeps what it knows of the checkout around `folder`."""
    while True:
        git = f"{folder}/.git"
        if os.path.lexists(git):
            break
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    if os.path.isdir(git):
        return git
    kind, colon, path = _read(git).partition(": ")
    return os.path.join(folder, path.rstrip("\n")) if kind == "gitdir" and colon else None


def _packed(path: str, name: str) -> str | None:
    try:
        if os.stat(path).st_size > _LARGEST:
            return None
    except OSError:
        return None
    text = _read(path)
    at = text.find(f" {name}\n")
    return _commit(text[text.rfind("\n", 0, at) + 1 : at]) if at >= 0 else None


def _commit(text: str) -> str | None:
    text = text.rstrip("\n")
    return text if len(text) in (40, 64) and _HEX.issuperset(text) else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as source:
            return source.read(_LARGEST)
    except (OSError, ValueError):
        return ""
