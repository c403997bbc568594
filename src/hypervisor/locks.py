"""The interlock with other tools: one atomic entry per item in work, with its owner.

Ours is a symbolic link whose target names the owner: it is made in one call, or the call fails,
and it is born with its owner, so no crash leaves a lock without one. `mkdir` and `symlink` exclude
each other in both directions, so tools that lock by `mkdir locks/<id>` and we never both win.

An owner is `17-x7q2@ledger:host:pid`: the claim that the lock was made for, and who made it. The
locks of one call are names of one link, and so are those that a worker hands from an item to the
next: they cost the disk one file then, and name the first claim.
"""

from __future__ import annotations

import os
import stat


class Lock:
    """A lock that stands: `kind` is "link", "directory" or "file"; `since` is Unix time.

    `owner` is the target of a link, else None: the other kinds do not tell.
    """

    __slots__ = ("kind", "owner", "path", "since")

    def __init__(self, path: str, kind: str, owner: str | None, since: float) -> None:
        self.path = path
        self.kind = kind
        self.owner = owner
        self.since = since


def take(folder: str, key: str, owner: str, like: tuple[str, str] | None = None) -> str:
    """Take the lock `key` in `folder` for `owner`, and return its owner; "" if anything of that
    name stands.

    `key` comes from `encode.key`. A missing folder is made. `like` is the (key, owner) of a lock
    of the same process that stands there: one more name for it needs no file of its own, and the
    new lock has its owner. Raises OSError.
    """
    path = f"{folder}/{key}"
    try:
        if like is None:
            os.symlink(owner, path)
        elif not _name_again(f"{folder}/{like[0]}", path, like[1]):
            return take(folder, key, owner)
        else:
            owner = like[1]
    except FileExistsError:
        return ""
    except FileNotFoundError:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return take(folder, key, owner)
    if os.access(path + ".lock", os.F_OK) and _foreign_file(path + ".lock"):
        os.unlink(path)
        return ""
    return owner


def _name_again(old: str, new: str, owner: str) -> bool:
    """Give the link `old` one more name; False if it isn't there or not `owner`'s, or can't have
    one. Raises FileExistsError."""
    try:
        os.link(old, new, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        # Gone, or no second names here, or too many of them.
        return False
    if _target(new) == owner:
        return True
    # Somebody had put something else in its place.
    os.unlink(new)
    return False


def drop(folder: str, key: str, maker: str) -> bool:
    """Remove the lock `key` if `maker` made it (see `maker_of`); else it stays."""
    path = f"{folder}/{key}"
    try:
        if maker_of(os.readlink(path)) != maker:
            return False
        os.unlink(path)
    except OSError:
        return False
    return True


def maker_of(owner: str | None) -> str:
    """Return the ledger that an owner like `17-x7q2@ledger:host:pid` names, "" if none."""
    return (owner or "").partition("@")[2].partition(":")[0]


def holder(folder: str, key: str) -> Lock | None:
    """Return the lock on `key` in `folder`: `<key>` of any kind, or a file `<key>.lock`."""
    path = os.path.join(folder, key)
    return look(path) or (look(path + ".lock") if _foreign_file(path + ".lock") else None)


def look(path: str) -> Lock | None:
    """Return the lock that stands at `path` itself, or None."""
    try:
        seen = os.lstat(path)
        if stat.S_ISLNK(seen.st_mode):
            # Its names come and go with claims, and this time is that of the last change of them.
            return Lock(path, "link", os.readlink(path), seen.st_ctime)
    except OSError:
        return None
    kind = "directory" if stat.S_ISDIR(seen.st_mode) else "file"
    return Lock(path, kind, None, seen.st_mtime)


def _target(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _foreign_file(path: str) -> bool:
    # A link named `<id>.lock` is the lock of an item whose id ends so, not the `touch` idiom.
    try:
        return not stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError:
        return False
