"""Where a batch directory is, what its queue is called, and whose ledger it belongs to."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable

from hypervisor.config.roots import claims_all, find_root
from hypervisor.intake.sources import lists
from hypervisor.system.errors import UsageError

DEFAULT = "/tmp/batch"
QUEUE_FILE = lists.BATCH


def locate(given: str | None, here: str | None = None) -> str:
    """Return the real path of the batch directory.

    `given` if it is named, else the current folder if it holds `queue.txt`, else `here` (where
    the shim lies that was started), else /tmp/batch. Raises UsageError if it holds no list, or if
    nobody named it and it isn't the user's own.
    """
    if given is None and os.path.exists(QUEUE_FILE):
        given = os.getcwd()
        _check_owner(QUEUE_FILE, stat.S_ISREG)
    if given is None:
        given = here
    if given is None:
        given = DEFAULT
        _check_owner(given, stat.S_ISDIR)
    folder = os.path.realpath(given)
    if not os.path.isfile(os.path.join(folder, QUEUE_FILE)):
        raise UsageError(
            f"{given}: no {QUEUE_FILE} here",
            f'find FOLDER -name "*.md" > {os.path.join(given, QUEUE_FILE)}',
        )
    return folder


def _check_owner(path: str, is_kind: Callable[[int], bool]) -> None:
    """Refuse what somebody else may have put where everyone can write: it says what is edited."""
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return
    if not is_kind(seen.st_mode) or seen.st_uid != os.geteuid():
        raise UsageError(
            f"{os.path.abspath(path)}: not your own, so it isn't used without being named",
            "if you trust it, name its folder: --dir DIR",
        )


def queue_name(folder: str) -> str:
    """Return the name of the queue of a batch directory: readable, and no other directory's."""
    readable = re.sub(r"[^A-Za-z0-9_]+", "-", os.path.basename(folder))[:40].strip("-") or "batch"
    return f"{readable}-{hashlib.blake2b(os.fsencode(folder), digest_size=3).hexdigest()}"


def shared_root(raw: bytes, folder: str, cwd: str) -> str:
    """Return the root that all listed files are in, else the batch directory.

    A list that is not the user's own has no say: its root is that of its folder.
    """
    if not lists.is_users_own(os.path.join(folder, QUEUE_FILE)):
        return find_root(folder)
    folders = (cwd, folder)
    paths = (lists.locate(entry, folders) for _, entry in lists.entries(raw, folders))
    places = {os.path.dirname(path) for path in paths if path is not None}
    roots = {find_root(place) for place in places}
    if len(roots) != 1:
        return folder
    (root,) = roots
    return folder if claims_all(root) else root
