"""The log of what an agent prints: its beginning and its end, bounded while it is written."""

from __future__ import annotations

import os
from collections.abc import Callable

from hypervisor.system.folder import Folder, write_all

_LEFT_OUT = b"[left out here: a log keeps the beginning and the end of what was printed]\n"


class Log:
    """The file `name` in the folder that `find` returns, written anew, of at most `most` bytes. It
    is a note: where it can't be written its pool goes on, and `lost` says why."""

    def __init__(self, find: Callable[[], Folder], name: str, most: int) -> None:
        self.lost = ""
        self._name, self._most = name, most
        self._fd = -1
        try:
            self._folder = find()
            self._fd = self._folder.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        except OSError as error:
            self._lose(error)

    def write(self, lines: bytes) -> None:
        """Add whole lines."""
        if self._fd < 0:
            return
        try:
            write_all(self._fd, lines)
            size = os.fstat(self._fd).st_size
            if size > self._most:
                self._cut(size)
        except OSError as error:
            self._lose(error)

    def close(self) -> None:
        """Write no more; a log that holds nothing goes."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        seen = self._folder.look(self._name)
        if seen is not None and seen.st_size == 0:
            self._folder.remove(self._name)

    def _cut(self, size: int) -> None:
        """Keep the first half of what may be there, and of the rest the last half."""
        head = os.pread(self._fd, self._most // 2, 0).rpartition(b"\n")
        length = self._most // 4
        tail = os.pread(self._fd, length, size - length)
        os.ftruncate(self._fd, len(head[0] + head[1]))
        write_all(self._fd, _LEFT_OUT + (tail.partition(b"\n")[2] or tail))

    def _lose(self, error: OSError) -> None:
        self.lost = error.strerror or str(error)
        self.close()
