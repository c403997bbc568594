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
import time

from hypervisor.system.folder import Folder
from hypervisor.system.text import one_line


class Lock:
    """A lock that stands in `folder` as `name`: `kind` is "link", "directory" or "file"; `since` is
    Unix time.

    `owner` is the target of a link, else None: the other kinds do not tell.
    """

    __slots__ = ("folder", "kind", "name", "owner", "since")

    def __init__(
        self, folder: Folder, name: str, kind: str, owner: str | None, since: float
    ) -> None:
        self.folder = folder
        self.name = name
        self.kind = kind
        self.owner = owner
        self.since = since

    @property
    def path(self) -> str:
        """Where it stands, for messages."""
        return f"{self.folder.path}/{self.name}"

    def remove(self) -> None:
        """Remove it, whoever made it; a directory only if it is empty. Raises OSError."""
        if self.kind == "directory":
            os.rmdir(self.name, dir_fd=self.folder.fd)
        else:
            os.unlink(self.name, dir_fd=self.folder.fd)


def take(folder: Folder, key: str, owner: str, like: tuple[str, str] | None = None) -> str:
    """Take the lock `key` in `folder` for `owner`, and return its owner; "" if anything of that
    name stands.

    `key` comes from `keys.key`. `like` is the (key, owner) of a lock of the same process that
    stands there: one more name for it needs no file of its own, and the new lock has its owner.
    Raises OSError.
    """
    at = folder.fd
    try:
        if like is None:
            os.symlink(owner, key, dir_fd=at)
        elif not _name_again(at, like[0], key, like[1]):
            return take(folder, key, owner)
        else:
            owner = like[1]
    except FileExistsError:
        return ""
    if _foreign_file(at, key + ".lock"):
        os.unlink(key, dir_fd=at)
        return ""
    return owner


def _name_again(at: int, old: str, new: str, owner: str) -> bool:
    """Give the link `old` one more name; False if it isn't there or not `owner`'s, or can't have
    one. Raises FileExistsError."""
    try:
        os.link(old, new, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        # Gone, or no second names here, or too many of them.
        return False
    if _target(at, new) == owner:
        return True
    # Somebody had put something else in its place.
    os.unlink(new, dir_fd=at)
    return False


def drop(folder: Folder, key: str, maker: str) -> bool:
    """Remove the lock `key` if `maker` made it (see `maker_of`); else it stays."""
    owner = _target(folder.fd, key)
    if owner is None or maker_of(owner) != maker:
        return False
    try:
        os.unlink(key, dir_fd=folder.fd)
    except OSError:
        return False
    return True


def maker_of(owner: str | None) -> str:
    """Return the ledger that an owner like `17-x7q2@ledger:host:pid` names, "" if none."""
    return (owner or "").partition("@")[2].partition(":")[0]


def holder(folder: Folder | None, key: str) -> Lock | None:
    """Return the lock on `key` in `folder`: `<key>` of any kind, or a file `<key>.lock`."""
    if folder is None:
        return None
    found = look(folder, key)
    if found is None and _foreign_file(folder.fd, key + ".lock"):
        found = look(folder, key + ".lock")
    return found


def told(lock: Lock, root: str) -> str:
    """Return in words that an item is locked, by whom and since when, as far as the lock tells;
    paths are shown from `root`."""
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(lock.since))
    where = one_line(os.path.relpath(lock.path, root), 120)
    who = one_line(lock.owner, 80) if lock.owner else f"another tool ({where})"
    return f"locked by {who} since {since}"


def look(folder: Folder, name: str) -> Lock | None:
    """Return the lock that stands in `folder` under `name` itself, or None."""
    try:
        seen = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
        if stat.S_ISLNK(seen.st_mode):
            # Its names come and go with claims, and this time is that of the last change of them.
            owner = os.readlink(name, dir_fd=folder.fd)
            return Lock(folder, name, "link", owner, seen.st_ctime)
    except OSError:
        return None
    kind = "directory" if stat.S_ISDIR(seen.st_mode) else "file"
    return Lock(folder, name, kind, None, seen.st_mtime)


def _target(at: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=at)
    except OSError:
        return None


def _foreign_file(at: int, name: str) -> bool:
    # A link named `<id>.lock` is the lock of an item whose id ends so, not the `touch` idiom.
    try:
        return not stat.S_ISLNK(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)
    except OSError:
        return False
