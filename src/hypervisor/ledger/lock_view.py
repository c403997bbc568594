"""The locks that stand on items: ours, other tools', in lock folders and beside the files."""

from __future__ import annotations

import os

from hypervisor.ledger import locks
from hypervisor.system.folder import Folder
from hypervisor.system.keys import key
from hypervisor.system.state import State, shown
from hypervisor.system.text import shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.ledger.locks import Lock

_SUFFIX = ".lock"


class LockView:
    """Locks as they stood when a folder was first looked into; one look serves all its items. Who
    asks `once`, of a single item, has no folder listed.

    `folders` are lock folders, relative ones below `root`. `own` names the ledger of `root`: a link
    of its making is no other tool's lock, and the ledger tells what is at work.
    """

    def __init__(
        self, root: str, folders: Iterable[str], own: str | None = None, *, once: bool = False
    ) -> None:
        told = [shown(root, "locks"), *folders]
        self._folders = list(dict.fromkeys(os.path.join(root, folder) for folder in told))
        self._holding: list[str] | None = None
        self._open: dict[str, Folder | None] = {}
        self._root = root
        self._own = own
        self._once = once
        self._names: dict[tuple[str, bool], frozenset[str]] = {}

    def reason(self, item_id: str, path: str | None) -> str | None:
        """Return who holds the item since when and how to end it, or None if it isn't locked.

        `path` is the item's absolute path, if it is a file.
        """
        found = self.find(item_id, path)
        if found is None:
            return None
        lock, name = found
        mend = f"`hypervisor unlock {shell(name)}`" if name else "remove it"
        return f"{locks.told(lock, self._root)}; {mend} once that tool is gone"

    def find(self, item_id: str, path: str | None) -> tuple[Lock, str | None] | None:
        """Return the lock of another tool on an item, and by what name `unlock` knows it; None if
        there is none. `path` is as for `reason`."""
        if self._holding is None:
            self._holding = list(filter(self._may_hold, self._folders))
        beside = path is not None and self._may_hold(os.path.dirname(path), only_locks=True)
        if not self._holding and not beside:
            return None
        name = key(item_id)
        stem = os.path.splitext(os.path.basename(path))[0] if path else name
        for folder in self._holding:
            for wanted in dict.fromkeys((name, stem)):
                for full in (wanted, wanted + _SUFFIX):
                    lock = self._look(folder, full, wanted)
                    if lock is not None:
                        return lock, wanted
        if path is not None and beside:
            folder, file = os.path.split(path)
            for full in dict.fromkeys((file + _SUFFIX, stem + _SUFFIX, name + _SUFFIX)):
                lock = self._look(folder, full, None, only_locks=True)
                if lock is not None:
                    return lock, None
        return None

    def _may_hold(self, folder: str, *, only_locks: bool = False) -> bool:
        return self._once or bool(self._in(folder, only_locks))

    def _in(self, folder: str, only_locks: bool) -> frozenset[str]:
        names = self._names.get((folder, only_locks))
        if names is None:
            opened = self._opened(folder)
            listed = opened.names() if opened is not None else []
            names = frozenset(name for name in listed if not only_locks or name.endswith(_SUFFIX))
            self._names[folder, only_locks] = names
        return names

    def _opened(self, path: str) -> Folder | None:
        """Return the open folder at `path`, or None if there is none that can be read."""
        if path not in self._open:
            try:
                if path == shown(self._root, "locks"):
                    state = State.find(self._root)
                    self._open[path] = state.folder.below("locks") if state else None
                else:
                    # The folder of a task may be reached through a link of its user's.
                    self._open[path] = Folder.at(os.path.realpath(path))
            except OSError:
                self._open[path] = None
        return self._open[path]

    def _look(
        self, folder: str, name: str, lock_key: str | None, *, only_locks: bool = False
    ) -> Lock | None:
        if not self._once and name not in self._in(folder, only_locks):
            return None
        opened = self._opened(folder)
        lock = locks.look(opened, name) if opened is not None else None
        if lock is None or (lock.kind == "link" and lock_key != name):
            return None
        own = self._own is not None and f"@{self._own}:" in (lock.owner or "")
        return None if own else lock
