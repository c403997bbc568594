"""Give a new file the name of an old one, unless the old one is not what was seen.

Where the system can, both names are exchanged in one step. A read lease tells whether the old file
is open for writing anywhere, and keeps it from being opened so: it is Linux's, the owner of the
file and root may take one, and closing the descriptor ends it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys

from hypervisor.system.errors import FileChanged
from hypervisor.system.reading import NotReadable, read_descriptor
from hypervisor.tasks.temporary import remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SET = getattr(fcntl, "F_SETLEASE", None)
_GET = getattr(fcntl, "F_GETLEASE", None)
_SIGNAL = getattr(fcntl, "F_SETSIG", None)


class OpenForWriting(Exception):
    """Somebody has the file open and may write into it."""


def take_lease(descriptor: int) -> bool:
    """Take a lease on a file opened for reading; False where there is no such thing.

    Raises OpenForWriting.
    """
    if _SET is None or _GET is None or _SIGNAL is None:
        return False
    try:
        # Told of a waiting writer by a signal that does nothing; the usual one ends the process.
        fcntl.fcntl(descriptor, _SIGNAL, _urgent())
        fcntl.fcntl(descriptor, _SET, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            raise OpenForWriting from None
        return False
    return True


def _urgent() -> int:
    # The module behind `signal`, which makes lists of them that cost more than the edit.
    return int(__import__("_signal").SIGURG)


def lease_is_wanted(descriptor: int) -> bool:
    """Say whether somebody waits for a lease that was taken."""
    return _GET is not None and fcntl.fcntl(descriptor, _GET) != fcntl.F_RDLCK


_AT_FDCWD = -100
_EXCHANGE = 2


class CannotExchange(Exception):
    """This system or this file system knows no such call."""


def exchange(first: str, second: str) -> None:
    """Give each of two files the other's name. Raises CannotExchange, OSError."""
    call = _call()
    if call is None:
        raise CannotExchange
    import ctypes

    names = os.fsencode(first), os.fsencode(second)
    if sys.platform == "darwin":
        failed = call(*names, ctypes.c_uint(_EXCHANGE))
    else:
        failed = call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], ctypes.c_uint(_EXCHANGE))
    if failed:
        code = ctypes.get_errno()
        if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
            raise CannotExchange
        raise OSError(code, os.strerror(code), second)


def _call() -> Callable[..., int] | None:
    import ctypes

    name = "renamex_np" if sys.platform == "darwin" else "renameat2"
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None, use_errno=True), name)
        return found
    except (OSError, AttributeError):
        return None


def holds(descriptor: int, raw: bytes) -> bool:
    """Say whether an open file holds exactly these bytes."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        return read_descriptor(descriptor, len(raw), len(raw)) == raw
    except NotReadable:
        return False


class Swap:
    """Gives our file the name, unless what had the name is not what was seen."""

    def __init__(self, temporary: str, target: str, ours: int, after: bytes) -> None:
        self.temporary = temporary
        self.target = target
        self.ours = ours
        self.after = after

    def make(self, path: str, locked: int, raw: bytes, leased: bool) -> bool:
        """Return whether our file has the name now; if not, the newest of the others has it."""
        try:
            exchange(self.temporary, self.target)
        except CannotExchange:
            os.rename(self.temporary, self.target)
            return True
        except FileNotFoundError:
            raise FileChanged(path) from None
        came_out = os.stat(self.temporary).st_ino == os.fstat(locked).st_ino
        if came_out and holds(locked, raw) and not (leased and lease_is_wanted(locked)):
            remove(self.temporary)
            return True
        self._take_back()
        return False

    def _take_back(self) -> None:
        # What we placed must come out again. If something else does, or our file was written to,
        # it is newer than what was put back for it, and has to be put back itself.
        held: list[int] = []
        try:
            placed = os.dup(self.ours)
            held.append(placed)
            while True:
                # Held open, so that no other file gets its number.
                back = os.open(self.temporary, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
                held.append(back)
                exchange(self.temporary, self.target)
                out = os.stat(self.temporary).st_ino
                mine = out == os.fstat(self.ours).st_ino
                if out == os.fstat(placed).st_ino and (not mine or holds(self.ours, self.after)):
                    break
                placed = back
            remove(self.temporary)
        finally:
            for descriptor in held:
                os.close(descriptor)
