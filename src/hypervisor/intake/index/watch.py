"""What the kernel tells of changes in folders: inotify, where there is one.

A change is told before the call that made it returns, so whoever asks afterwards hears of it. Not
told are changes through another name of a file, through a memory map, and those made on another
machine: `Files` looks after these by itself.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_MODIFY, _ATTRIB, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x4, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _UNMOUNT, _OVERFLOW, _IGNORED = 0x400, 0x800, 0x2000, 0x4000, 0x8000
_ONLY_FOLDERS, _IS_FOLDER = 0x1000000, 0x40000000
_ASKED = (
    _MODIFY | _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
    | _ONLY_FOLDERS
)  # fmt: skip
_OF_FOLDERS = _DELETE_SELF | _MOVE_SELF | _UNMOUNT | _OVERFLOW | _IGNORED
_HEAD = struct.Struct("iIII")


class Watch:
    """The changes in the folders that were `add`ed. Raises OSError where there is no inotify."""

    def __init__(self) -> None:
        if not sys.platform.startswith("linux"):
            raise OSError("no inotify here")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "no inotify here")
        self._folders: dict[int, str] = {}

    def folders(self) -> set[str]:
        """Return the folders that are watched."""
        return set(self._folders.values())

    def add(self, folder: str) -> None:
        """Hear of what happens in `folder` from now on. Raises OSError."""
        number = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _ASKED)
        if number < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), folder)
        self._folders[number] = folder

    def changes(self) -> tuple[set[str], bool]:
        """Return the paths at which something happened since the last time, and whether folders
        came or went, so that all have to be listed again."""
        paths: set[str] = set()
        anew = False
        while True:
            try:
                data = os.read(self._descriptor, 1 << 18)
            except BlockingIOError:
                return paths, anew
            except OSError:
                return paths, True
            place = 0
            while place < len(data):
                number, mask, _, length = _HEAD.unpack_from(data, place)
                place += _HEAD.size
                name = data[place : place + length].rstrip(b"\0")
                place += length
                if mask & (_OF_FOLDERS | _IS_FOLDER):
                    # A folder's own attributes tell nothing of what is in it.
                    anew = anew or not mask & _ATTRIB
                    if mask & _IGNORED:
                        self._folders.pop(number, None)
                elif number in self._folders:
                    paths.add(f"{self._folders[number]}/{os.fsdecode(name)}")

    def close(self) -> None:
        """Hear of nothing any more."""
        os.close(self._descriptor)
