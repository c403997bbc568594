"""Where a checkout stands and where git keeps what it knows of it, read without starting git.

`next` notes the commit with every claim, and a process would take longer than the claim.
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
    name, shared = text[5:].rstrip("\n"), shared_dir(private)
    return _commit(_read(f"{shared}/{name}")) or _packed(f"{shared}/packed-refs", name)


def private_dir(folder: str) -> str | None:
    """Return the folder in which git keeps what it knows of the checkout around `folder`."""
    top = top_of(folder)
    if top is None:
        return None
    git = f"{top}/.git"
    if os.path.isdir(git):
        return git
    kind, colon, path = _read(git).partition(": ")
    return os.path.join(top, path.rstrip("\n")) if kind == "gitdir" and colon else None


def shared_dir(private: str) -> str:
    """Return the folder of the repository that all its working trees share, for the `private_dir`
    of one of them."""
    common = _read(f"{private}/commondir").rstrip("\n")
    return os.path.join(private, common) if common else private


def top_of(folder: str) -> str | None:
    """Return the top folder of the checkout around `folder`, or None."""
    while not os.path.lexists(f"{folder}/.git/HEAD") and not os.path.isfile(f"{folder}/.git"):
        # A folder of that name which is no repository is passed by, as git does.
        folder, below = os.path.dirname(folder), folder
        if folder == below:
            return None
    return folder


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
