"""Find out whether a file is open for writing anywhere, and keep it from being opened so.

A read lease is Linux's; the owner of the file and root may take one. While it is held, whoever
opens the file for writing waits. Closing the descriptor ends it.
"""

from __future__ import annotations

import errno
import fcntl
import signal

_SET = getattr(fcntl, "F_SETLEASE", None)
_GET = getattr(fcntl, "F_GETLEASE", None)
_SIGNAL = getattr(fcntl, "F_SETSIG", None)


class OpenForWriting(Exception):
    """Somebody has the file open and may write into it."""


def take(descriptor: int) -> bool:
    """Take a lease on a file opened for reading; False where there is no such thing.

    Raises OpenForWriting.
    """
    if _SET is None or _GET is None or _SIGNAL is None:
        return False
    try:
        # Told of a waiting writer by a signal that does nothing; the usual one ends the process.
        fcntl.fcntl(descriptor, _SIGNAL, signal.SIGURG)
        fcntl.fcntl(descriptor, _SET, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            raise OpenForWriting from None
        return False
    return True


def wanted(descriptor: int) -> bool:
    """Say whether somebody waits for a lease that was taken."""
    return _GET is not None and fcntl.fcntl(descriptor, _GET) != fcntl.F_RDLCK
