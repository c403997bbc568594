"""What keeps two writers of one file apart, and tells that somebody was there meanwhile."""

from __future__ import annotations

import fcntl
import os
import time

from hypervisor.system.errors import FileChanged
from hypervisor.system.text import shell
from hypervisor.tasks import rename
from hypervisor.tasks.read import NO_IDENTITY, Identity, identity_of
from hypervisor.tasks.rename import holds
from hypervisor.tasks.temporary import NotWritten

_LOCK_SECONDS = 10.0
_WRITER_SECONDS = 2.0


def lock(target: str, path: str) -> int:
    """Open the file that `target` names and lock it, whatever was renamed meanwhile."""
    deadline = time.monotonic() + _LOCK_SECONDS
    pause = 0.0005
    while True:
        try:
            descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise FileChanged(path) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held, named = os.fstat(descriptor), os.stat(target)
            if (held.st_ino, held.st_dev) == (named.st_ino, named.st_dev):
                return descriptor
            os.close(descriptor)
            continue
        except BlockingIOError:
            os.close(descriptor)
        except FileNotFoundError:
            os.close(descriptor)
            raise FileChanged(path) from None
        except BaseException:
            os.close(descriptor)
            raise
        if time.monotonic() > deadline:
            raise NotWritten(path, "another program holds a lock on it", "run the command again")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def check(
    descriptor: int, target: str, path: str, raw: bytes, identity: Identity
) -> os.stat_result:
    """Raise FileChanged unless the open file is what was seen and has its name still."""
    status = os.fstat(descriptor)
    now = identity_of(status)
    if identity not in (now, NO_IDENTITY):
        raise FileChanged(path)
    try:
        named = os.stat(target)
    except FileNotFoundError:
        raise FileChanged(path) from None
    if (named.st_ino, named.st_dev) != (now.inode, now.device):
        raise FileChanged(path)
    # Two changes within one tick of the file system's clock leave the same identity.
    if not holds(descriptor, raw):
        raise FileChanged(path)
    return status


def check_writable(status: os.stat_result, target: str, path: str) -> None:
    """Raise NotWritten for a file that its owner wants kept as it is."""
    if not status.st_mode & 0o222 or not os.access(target, os.W_OK):
        raise NotWritten(path, "it is read-only", f"chmod u+w {shell(target)}")


def keep_writers_out(descriptor: int, path: str) -> bool:
    """Keep writers out until the descriptor is closed; False where the system can't.

    Raises NotWritten if one does not leave.
    """
    deadline = time.monotonic() + _WRITER_SECONDS
    while True:
        try:
            return rename.take_lease(descriptor)
        except rename.OpenForWriting:
            if time.monotonic() > deadline:
                raise NotWritten(
                    path, "another program has it open for writing", "close it there"
                ) from None
            time.sleep(0.001)
