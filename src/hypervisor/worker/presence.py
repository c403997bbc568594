"""Which items' files are there to be worked on: a missing one ends nothing, it is passed over.

Files are gone for a moment where another branch is checked out, or for long where a clone is
behind: that is the world, not the item.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger import Ledger
    from hypervisor.ledger.rows import Next, Ready

# So many items are looked at before a hand-out stops since all of them are missing.
MOST = 20
# A root that was searched in vain is not searched again for so many seconds.
_SEARCH_SECONDS = 60.0
_searched: dict[str, float] = {}


def missing(ledger: Ledger, queue: str) -> tuple[list[str], bool]:
    """Look at the first ready items of `queue`: return the ids of those whose files are not there,
    and whether that goes for all of them, so that nothing is handed out."""
    ready = ledger.items.ready(queue, MOST)
    gone = [row.id for row in ready if _is_missing(ledger.root, row)]
    return gone, bool(ready) and len(gone) == len(ready)


def all_missing(ledger: Ledger, queue: str) -> list[str]:
    """Return the ids of all items of `queue`, ready or waiting, whose files are not there, and are
    nowhere else."""
    rows = ledger.items.ready(queue, waiting=True)
    gone = {row.id: row.path or "" for row in rows if _is_missing(ledger.root, row)}
    if not gone:
        return []
    from hypervisor.config.settings import load
    from hypervisor.tasks.locate import locate_all

    moved = locate_all(ledger.root, load(ledger.root), gone)
    return [item_id for item_id in gone if item_id not in moved]


def _is_missing(root: str, row: Ready) -> bool:
    there = row.path is None or row.is_row or os.path.lexists(os.path.join(root, row.path))
    return not there


class Presence:
    """Asked of each item (its row) before it is claimed; remembers those that are not there."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._found = False
        self.missing: dict[str, tuple[int, str]] = {}

    def __call__(self, item: Next) -> bool:
        """True if the item's file is there, or it has none."""
        path = item.path
        # What a row says stands in the ledger.
        if path is not None and (item.payload is None or item.format is not None):
            if item.id in self.missing:
                return False
            if not os.path.lexists(os.path.join(self._root, path)):
                self.leave_out(item.id, item.no, path)
                return False
        self._found = True
        return True

    def leave_out(self, item_id: str, number: int, path: str) -> None:
        """Pass over an item (its number), whose file is not at `path`."""
        self.missing[item_id] = number, path

    def enough(self) -> bool:
        """True if so many were missing, and none was there, that it is no use to look further."""
        return not self._found and len(self.missing) >= MOST

    def follow(self, ledger: Ledger) -> bool:
        """Look for what is missing by its id, and note where it is; true if any was found."""
        now = time.monotonic()
        if not self.missing or now < _searched.get(self._root, -_SEARCH_SECONDS) + _SEARCH_SECONDS:
            return False
        from hypervisor.config.settings import load
        from hypervisor.tasks.locate import locate_all

        wanted = {item_id: path for item_id, (_, path) in self.missing.items()}
        places = locate_all(self._root, load(self._root), wanted)
        for item_id, place in places.items():
            ledger.items.moved(self.missing.pop(item_id)[0], place)
        if not places:
            _searched[self._root] = now
        return bool(places)
