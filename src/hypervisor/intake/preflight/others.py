"""What other roots have: a project in a project, or around it, has a ledger of its own."""

from __future__ import annotations

import os

from hypervisor.config.roots import other_roots
from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError


class OtherRoots:
    """Asked of each item of `root`; one look at a folder, or a ledger, serves all its items."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._around: dict[str, tuple[str | None, list[str]]] = {}
        self._out: dict[str, set[tuple[str, str | None]]] = {}

    def having(self, path: str, item_id: str | None, *, owned: bool) -> str | None:
        """Return the other root that has the file at `path` (from the root) in an open queue, or
        with `owned` that owns it; `item_id` is that of one of several items in it."""
        below, _, name = path.rpartition("/")
        folder = os.path.join(self._root, below) if below else self._root
        if folder not in self._around:
            self._around[folder] = other_roots(folder, self._root)
        owner, others = self._around[folder]
        if owned and owner is not None:
            return owner
        if not others:
            return None
        place = os.path.join(os.path.realpath(folder), name)
        return next((other for other in others if (place, item_id) in self._open_in(other)), None)

    def _open_in(self, root: str) -> set[tuple[str, str | None]]:
        if root not in self._out:
            try:
                with Ledger.open(root) as ledger:
                    found = ledger.items.open_files()
            except HypervisorError:
                # A stranger's holds nothing of ours.
                found = []
            self._out[root] = {
                (os.path.normpath(os.path.join(root, path)), item_id) for path, item_id in found
            }
        return self._out[root]
