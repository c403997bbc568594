"""A tree beside the project, of which nothing may change: neither a byte, a mode nor a time."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

Look = dict[str, tuple[object, ...]]


def plant(folder: Path) -> None:
    """Make files of the kinds that somebody could wish to overwrite, read or remove."""
    (folder / "near" / "deep").mkdir(parents=True)
    (folder / "outside.md").write_text("---\nid: out\ntitle: Out\nstatus: active\n---\n\n- [ ] x\n")
    (folder / "near" / "key").write_text("secret\n")
    (folder / "near" / "key").chmod(0o400)
    (folder / "near" / "deep" / "run").write_text("#!/bin/sh\n")
    (folder / "near" / "deep" / "run").chmod(0o755)
    (folder / "near" / "link").symlink_to("key")


def look(folder: Path, but: tuple[Path, ...] = ()) -> Look:
    """Return how everything below `folder` looks, those of `but` and what is in them left out.

    A folder's time tells that a name in it came or went, so it is left out where `but` lies in it.
    """
    found: Look = {}
    above = {path.parent for path in but}
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = [name for name in folders if here / name not in but]
        status = here.lstat()
        found[place] = (status.st_mode, 0 if here in above else status.st_mtime_ns)
        for name in (*names, *(one for one in folders if (here / one).is_symlink())):
            if here / name not in but:
                found[os.path.join(place, name)] = _file(here / name)
    return found


def changed(before: Look, after: Look) -> list[str]:
    """Return the paths that differ."""
    return sorted(path for path in before | after if before.get(path) != after.get(path))


def _file(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    told = status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns
    if stat.S_ISLNK(status.st_mode):
        return (*told, os.readlink(path))
    if not stat.S_ISREG(status.st_mode) or status.st_size > 1 << 24:
        return told
    return (*told, hashlib.sha256(path.read_bytes()).hexdigest())
