"""Give a new file the name of an old one, unless the old one is not what was seen."""

from __future__ import annotations

import os

from hypervisor.system.errors import FileChanged
from hypervisor.system.reading import NotReadable, read_descriptor
from hypervisor.tasks import lease
from hypervisor.tasks.exchange import CannotExchange, exchange
from hypervisor.tasks.temporary import remove


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
        if came_out and holds(locked, raw) and not (leased and lease.wanted(locked)):
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
