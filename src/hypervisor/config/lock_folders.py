"""Where other tools lock tasks: asked at every hand-out, so it is read in little time, without the
rest of the settings."""

from __future__ import annotations

import os

from hypervisor.config import strict
from hypervisor.config.roots import SETTINGS, is_outside, user_file
from hypervisor.config.toml import parse, read_raw

# As the shipped settings say it.
USUAL = ("locks", "/tmp/hypervisor/locks")


def lock_folders(root: str) -> tuple[str, ...]:
    """Return the lock folders of the settings of `root`, relative ones below it.

    Raises UsageError for settings that can't be read.
    """
    mine, folders = _told(user_file()), list(USUAL)
    projects = mine.pop("project", None)
    own = [
        table for name, table in (projects.items() if isinstance(projects, dict) else ())
        if os.path.realpath(os.path.expanduser(name)) == root
    ]  # fmt: skip
    for table in (mine, *own):
        folders = _listed(table, folders)
    for folder in _listed(_told(os.path.join(root, SETTINGS)), []):
        shared = folder in strict.SHARED_LOCKS
        if shared or not is_outside(root, os.path.join(root, folder)):
            folders.append(folder)
    return strict.lock_folders(root, list(dict.fromkeys(folders)))


def _told(path: str) -> dict[str, object]:
    """Return what the file at `path` says, if it may say something of lock folders."""
    try:
        raw = read_raw(path)
    except OSError:
        return {}
    # A key may spell its letters as escapes.
    return parse(raw, path) if b"lock_folders" in raw or b"\\" in raw else {}


def _listed(table: object, otherwise: list[str]) -> list[str]:
    preflight = table.get("preflight") if isinstance(table, dict) else None
    listed = preflight.get("lock_folders") if isinstance(preflight, dict) else None
    if not isinstance(listed, list):
        return otherwise
    return [folder for folder in listed if isinstance(folder, str)]
