"""The locks that claims make beside the ledger, so that other tools see who has an item."""

from __future__ import annotations

import os

from hypervisor.ledger import locks
from hypervisor.ledger.part import Part
from hypervisor.system import keys
from hypervisor.system.folder import Folder
from hypervisor.system.state import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.findings import KnownItem
    from hypervisor.ledger.options import Queue
    from hypervisor.ledger.queues import Queues
    from hypervisor.ledger.store import Store


class ClaimLocks(Part):
    """The verbs around locks; with a shared store none is made, and those of others are kept."""

    _queues: Queues

    def __init__(self, store: Store, others: dict[str, Part]) -> None:
        super().__init__(store, others)
        self._lock_folders: dict[int, str] = {}
        self._open_folders: dict[str, Folder] = {}
        # The last lock that a claim made in a folder, and its owner: the next may be like it.
        self.last_lock: dict[str, tuple[str, str]] = {}
        # ext4 keeps a link's target of up to 59 bytes in its inode; a longer one costs a block.
        self.mark = f"{store.ledger_id}:{os.uname().nodename[:20]}:{os.getpid()}"

    def sweep_queue(self, queue: str) -> int:
        """Remove the locks that crashes of this ledger's own processes left; return how many."""
        with self._store.write():
            return self.sweep(self.folder_of(self._queues.get(queue)))

    def folder_of(self, queue: Queue | KnownItem) -> str:
        """Return the folder that holds the locks of a queue, given its row or that of an item."""
        return self._whole(queue.lock_dir)

    def folder_at(self, path: str) -> Folder | None:
        """Return the open folder of locks at `path`; None where it is missing and this ledger's
        claims make no locks. Raises OSError."""
        folder = self._open_folders.get(path)
        if folder is None:
            make = not self._store.is_shared
            try:
                if path == shown(self._store.root, "locks"):
                    folder = self._store.state.folder.below("locks", make=make)
                else:
                    folder = Folder.at(path, make=make)
            except FileNotFoundError:
                return None
            self._open_folders[path] = folder
        return folder

    # -- inside a write transaction --

    def take(self, queue: int, key: str, token: str, made: list[str]) -> bool:
        """Take the lock, clearing away what a crash of this ledger's own left of that name.

        With a shared store the row is the lock; one of another tool is respected all the same.
        """
        if self._store.is_shared:
            return locks.holder(self._locks_of(queue), key) is None
        try:
            return self._take_in(self._locks_of(queue), key, token, made)
        except FileNotFoundError:
            # Somebody removed the folder meanwhile.
            self._open_folders.clear()
            return self._take_in(self._locks_of(queue), key, token, made)

    def _take_in(self, folder: Folder | None, key: str, token: str, made: list[str]) -> bool:
        assert folder is not None
        owner = f"{token}@{self.mark}"
        taken = locks.take(folder, key, owner, self.last_lock.get(folder.path))
        if not taken:
            stands = locks.holder(folder, key)
            if stands is None or locks.maker_of(stands.owner) != self._store.ledger_id:
                return False
            # The item is ready; a disk may know its lock by another item's name in other case.
            if key.casefold() in self._live_keys() | {one.casefold() for one in made}:
                return False
            locks.drop(folder, key, self._store.ledger_id)
            # The lock of a claim that ended in this transaction: its name is the new claim's now.
            self._store.not_after_commit(self.unlock, folder.path, key)
            taken = locks.take(folder, key, owner)
        if taken:
            self.last_lock[folder.path] = key, taken
        return bool(taken)

    def drop_all(self, queue: int, keys: list[str]) -> None:
        folder = self._locks_of(queue)
        for key in keys:
            if folder is not None:
                locks.drop(folder, key, self._store.ledger_id)

    def _live_keys(self) -> set[str]:
        """Return the names of the locks of all live claims, in lower case."""
        live = self._store.rows(
            "select id from item where queue in (select no from queue) and turn < 0"
        ).fetchall()
        return {keys.key(item_id).casefold() for (item_id,) in live}

    def sweep(self, path: str) -> int:
        """Remove the locks in the folder at `path` that crashes of this ledger's own left; return
        how many."""
        if self._store.is_shared:
            return 0
        folder = self.folder_at(path)
        if folder is None:
            return 0
        live = self._live_keys()
        return sum(
            locks.drop(folder, name, self._store.ledger_id)
            for name in folder.names()
            if name.casefold() not in live
        )

    def unlock_after_commit(self, lock_dir: str, item_id: str) -> None:
        """Have the lock of a held item removed when the transaction has been committed; `lock_dir`
        is its queue's."""
        if self._store.is_shared:
            return
        self._store.after_commit(self.unlock, self._whole(lock_dir), keys.key(item_id))

    def unlock(self, path: str, key: str) -> None:
        """Remove the lock `key` in the folder at `path`, if it is this ledger's."""
        folder = self.folder_at(path)
        if folder is not None:
            locks.drop(folder, key, self._store.ledger_id)

    def path_of(self, queue: int) -> str:
        """Return the folder that holds the locks of a generation, given its number."""
        folder = self._lock_folders.get(queue)
        if folder is None:
            row = self._store.row("select lock_dir from queue where no = ?", (queue,))
            folder = self._lock_folders[queue] = self._whole(row[0])
        return folder

    def _locks_of(self, queue: int) -> Folder | None:
        """Return the open folder of the locks of a generation, given its number; see `locks_at`."""
        return self.folder_at(self.path_of(queue))

    def _whole(self, lock_dir: str) -> str:
        """Return a lock folder that was stored as it is found."""
        return lock_dir if lock_dir[0] == "/" else f"{self._store.root}/{lock_dir}"

    def relative(self, lock_dir: str | None) -> str:
        """Return a lock folder as it is stored: relative to the root, which may be moved."""
        folder = lock_dir or shown(self._store.root, "locks")
        inside = folder.startswith(self._store.root.rstrip("/") + "/")
        return os.path.relpath(folder, self._store.root) if inside else os.path.abspath(folder)
