"""The standing queue of a project: whatever is ready, for callers who were given no queue.

It holds what was handed out and nothing else: an item goes in when it is claimed, through the same
pre-flight and opening as any batch. So the tasks that nobody works on stay free for the queues that
people open.
"""

from __future__ import annotations

import os

from hypervisor import worker
from hypervisor.agents import reconcile
from hypervisor.agents.mcp.choosing import Choosing
from hypervisor.config.settings import as_name
from hypervisor.intake import opening
from hypervisor.intake.index import Entry, TaskIndex
from hypervisor.intake.preflight import Preflight, check
from hypervisor.intake.preflight.check import sort_by_locks
from hypervisor.intake.sources import Found
from hypervisor.ledger import Claim, Ledger, Options
from hypervisor.ledger.rows import Item
from hypervisor.system.errors import BrokenFile, HypervisorError
from hypervisor.system.files import is_same
from hypervisor.system.text import one_line

STANDING = "task_manager"
# A person who names a task may end it whatever its status says, but for these.
_NEVER = ("locked", "open", "elsewhere", "same_id")


class NotYours(HypervisorError):
    """Somebody else holds the item, or nobody can; nothing was written."""


class Standing:
    """Claims from the standing queue of the root of `index`."""

    def __init__(self, index: TaskIndex, choosing: Choosing) -> None:
        self._index = index
        self._choosing = choosing
        self._root = index.root

    def claim(self, ledger: Ledger, caller: str, project: str) -> Claim | None:
        """Claim the best task that `caller` may have now, None if there is none."""
        reconcile.settle(ledger)
        taken = ledger.items.all_open()
        claimed = set(ledger.claims.live_tokens().values())
        for entry in self._choosing.ready(caller, project):
            item_id = entry.id or entry.path
            if item_id in claimed or taken.get(item_id, STANDING) != STANDING:
                continue
            claim = self.claim_one(ledger, item_id, entry, caller, named=False)
            if claim is not None:
                return claim
        return None

    def claim_one(
        self, ledger: Ledger, item_id: str, entry: Entry, caller: str, *, named: bool
    ) -> Claim | None:
        """Put one task into the standing queue, if it isn't there, and claim it.

        None if others have it, or it isn't ready and nobody has `named` it.
        """
        known = ledger.items.find(STANDING, item_id)
        ended = known is not None and known.turn is None
        if known is not None and ended and not named and not _edited_since(known, entry):
            return None
        if known is None or ended:
            if named:
                checked = self._checked(ledger, entry, caller)
            else:
                checked = self._still_ready(ledger, entry, caller)
            if named and not checked.ready:
                checked = _as_ready(checked, item_id)
            if not checked.ready:
                return None
            self._open(ledger, checked, anew=ended)
        return first(worker.take(ledger, STANDING, worker_name(caller), only=item_id))

    def _still_ready(self, ledger: Ledger, entry: Entry, caller: str) -> Preflight:
        """Return the pre-flight of a task that the index has just found ready, and that no other
        queue has: what is left to be asked is whether a lock stands on it."""
        try:
            look = self._index.look(entry)
        except (BrokenFile, OSError):
            return Preflight()
        if look is None:
            return self._checked(ledger, entry, caller)
        return sort_by_locks(look, self._root, self._index.settings, ledger)

    def _checked(self, ledger: Ledger, entry: Entry, caller: str) -> Preflight:
        settings = self._index.settings
        # Who asks here is an agent, and may have what is assigned to it.
        settings = settings.but(agents=settings.agents | {as_name(caller)})
        return check(
            [Found(os.path.join(self._root, entry.path))],
            root=self._root,
            settings=settings,
            ledger=ledger,
            queue=STANDING,
            search=self._index.search,
        )

    def _open(self, ledger: Ledger, checked: Preflight, *, anew: bool) -> None:
        """Open the standing queue with one item more; one that has ended in it before, and was
        opened again by somebody since, begins a new generation."""
        number = 1
        if STANDING in ledger.queues.names():
            number = int((ledger.queues.get(STANDING).source or "1").rpartition(" ")[2])
        opening.fill(
            ledger,
            self._index.settings,
            STANDING,
            checked,
            Options(purpose="pull", source=f"ready tasks {number + anew}"),
        )


def _as_ready(checked: Preflight, item_id: str) -> Preflight:
    """Return the pre-flight of a task that somebody names, whatever its status says."""
    held = [one for one in checked.held if one.kind not in _NEVER]
    if not held:
        told = [*checked.held, *checked.skipped, *checked.broken]
        why = told[0].reason if told else "it is no longer a task"
        raise NotYours(f"{one_line(item_id, 80)}: {why}")
    held[0].after = ()
    return Preflight(ready=held[:1])


def worker_name(caller: str) -> str:
    """Return the name under which a claim for `caller` is shown: its pool's, if it has one."""
    return os.environ.get("HYPERVISOR_WORKER") or caller


def first(claims: list[Claim]) -> Claim | None:
    """Return the one claim of a call that asked for one, or None."""
    return claims[0] if claims else None


def _edited_since(row: Item, entry: Entry) -> bool:
    """Whether somebody edited the file of an ended item after its end was written there."""
    kept, now = row.fingerprint, entry.identity.fingerprint
    return row.pending is None and not is_same(kept, now)
