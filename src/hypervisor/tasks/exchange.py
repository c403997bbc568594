"""Exchange two names of one folder in one step, where the system can."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import lru_cache
from typing import Any

_AT_FDCWD = -100
_EXCHANGE = 2


class CannotExchange(Exception):
    """This system or this file system knows no such call."""


def exchange(first: str, second: str) -> None:
    """Give each of two files the other's name. Raises CannotExchange, OSError."""
    call = _call()
    if call is None:
        raise CannotExchange
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


@lru_cache(maxsize=1)
def _call() -> Any:
    name = "renamex_np" if sys.platform == "darwin" else "renameat2"
    try:
        return getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None
