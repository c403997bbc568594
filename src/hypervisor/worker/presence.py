"""Which items' files are there to be worked on: a missing one ends nothing, it is passed over.

Files are gone for a moment where another branch is checked out, or for long where a clone is
behind: that is the world, not the item.
"""

from __future__ import annotations

import os
import time

from hypervisor.config.lock_folders import lock_folders
from hypervisor.ledger.lock_view import LockView
from hypervisor.system.errors import BrokenFile, OtherItem
from hypervisor.system.files import fingerprint_of, is_same
from hypervisor.worker.outbox import holds_many

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable
    from typing import Literal

    from hypervisor.ledger import Ledger
    from hypervisor.ledger.locks import Lock
    from hypervisor.ledger.rows import Holding, Next, Ready
    from hypervisor.tasks.task import Task

# So many items are looked at before a hand-out stops since all of them are missing.
MOST = 20
# A root that was searched in vain is not searched again for so many seconds.
_SEARCH_SECONDS = 60.0
_searched: dict[str, float] = {}


def missing(ledger: Ledger, queue: str, most: int | None = MOST) -> tuple[list[str], bool]:
    """Look at the first `most` ready items of `queue`, None for all: return the ids of those whose
    files are not there, and whether that goes for all of them, so that nothing is handed out."""
    ready = ledger.items.ready(queue, most)
    gone = list(_gone(ledger.root, ready))
    return gone, bool(ready) and len(gone) == len(ready)


def all_missing(ledger: Ledger, queue: str) -> list[str]:
    """Return the ids of all items of `queue`, ready or waiting, whose files are not there, and are
    nowhere else."""
    gone = _gone(ledger.root, ledger.items.ready(queue, waiting=True))
    if not gone:
        return []
    from hypervisor.config.settings import load
    from hypervisor.tasks.locate import locate_all

    moved = locate_all(ledger.root, load(ledger.root), gone)
    return [item_id for item_id in gone if item_id not in moved]


def _gone(root: str, rows: Iterable[Ready]) -> dict[str, str]:
    """Return the paths of those items (by id) that are not there, nor anything of their file."""
    lists = _Lists(root)
    return {
        row.id: row.path
        for row in rows
        if row.path is not None
        and not row.is_row
        and not (_is_there(root, row, row.path) and lists.hold(row, row.path))
    }


class _Lists:
    """Files that hold many items, each read once."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._known: dict[str, tuple[Counter[str], Counter[str]] | None] = {}

    def hold(self, item: Ready, path: str) -> bool:
        """True unless the file at `path` is such a one, and the item does not stand there once."""
        if item.format is None or not holds_many(item.format):
            return True
        from collections import Counter

        from hypervisor.tasks.formats import mark

        if path not in self._known:
            self._known[path] = None
            try:
                found = mark.items_in(os.path.join(self._root, path), item.format)
                self._known[path] = Counter(x.id for x in found), Counter(x.title for x in found)
            except (BrokenFile, OSError):
                pass
        known = self._known[path]
        if known is None:
            return True
        ids, titles = known
        return ids[mark.local_id(item.id, path)] == 1 or titles[item.title or ""] == 1


def lock_view(ledger: Ledger) -> LockView:
    """Return the locks of other tools on the items of `ledger`."""
    return LockView(ledger.root, lock_folders(ledger.root), ledger.ledger_id, once=True)


def lock_on(view: LockView, root: str, item_id: str, path: str | None) -> Lock | None:
    """Return the lock of another tool on an item whose file is at `path`, None for a row."""
    found = view.find(item_id, None if path is None else os.path.join(root, path))
    return found[0] if found else None


def place_of(ledger: Ledger, item: Holding, path: str) -> str | None:
    """Return where the file of an item is now, from the root, and note it if it is no longer at
    `path`; None where it is missing."""
    if _is_there(ledger.root, item, path):
        return path
    from hypervisor.config.settings import load
    from hypervisor.tasks.locate import locate

    place = locate(ledger.root, load(ledger.root), item.id, path)
    if place is not None:
        ledger.items.moved(item.no, place)
    return place


def changed_task(
    root: str, item_id: str, path: str, fingerprint: str | None, format: str | None = None
) -> Task | Literal[False] | None:
    """Return the task of an item as its file at `path` (from the root) has it now, None where that
    holds no task, and False where it is as it was.

    Raises OtherItem where another task stands there, BrokenFile and OSError.
    """
    file = os.path.join(root, path)
    looks = fingerprint_of(os.stat(file))
    if fingerprint is None or is_same(fingerprint, looks):
        return False
    from hypervisor.config.settings import load
    from hypervisor.tasks import read
    from hypervisor.tasks.front_matter import task_of
    from hypervisor.tasks.locate import expect

    document = read.read(file)
    task = task_of(document, load(root), format)
    if task is not None:
        expect(task, document, item_id, path)
    return task


def _is_row(item: Next) -> bool:
    """True for an item that stands in the ledger whole; what triage keeps of a task is no row."""
    return item.payload is not None and item.fingerprint is None and item.format is None


def _is_there(root: str, item: Holding | Ready, path: str) -> bool:
    """True if the file of an item is at `path`, and not another task."""
    try:
        if item.format is not None:
            return os.path.exists(os.path.join(root, path))
        changed_task(root, item.id, path, item.fingerprint)
    except (OtherItem, FileNotFoundError, NotADirectoryError):
        return False
    except (BrokenFile, OSError):
        # What is wrong with it is told by whoever gets the item.
        return True
    return True


class Presence:
    """Asked of each item (its row) before it is claimed; remembers those that are not there."""

    def __init__(self, ledger: Ledger) -> None:
        self._root = ledger.root
        self._locks = lock_view(ledger)
        self._found = False
        self.missing: dict[str, tuple[int, str]] = {}

    def __call__(self, item: Next) -> bool:
        """True if the item's file is there, or it has none."""
        path = item.path
        if path is not None and not _is_row(item):
            if item.id in self.missing:
                return False
            if not os.path.lexists(os.path.join(self._root, path)):
                self.leave_out(item.id, item.no, path)
                return False
        self._found = True
        return True

    def locked(self, item: Next) -> bool:
        """True if another tool has locked the item, in whatever folder pre-flight looks into."""
        path = None if _is_row(item) else item.path
        return lock_on(self._locks, self._root, item.id, path) is not None

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
