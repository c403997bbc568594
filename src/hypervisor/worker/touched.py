"""Which files an item's worker has changed, in a working tree that others share.

Sure are those that hooks saw its agents edit, and those that the item names and no other that was
out meanwhile does. Whose the others are is not known: an item that did nothing must not pass by
what its neighbour wrote. What the queue's instructions name is named for all its items.
"""

from __future__ import annotations

import json
import os

from hypervisor.ledger.outcomes import OUTCOME
from hypervisor.system.errors import HypervisorError
from hypervisor.system.files import fingerprint
from hypervisor.worker import handed, scope
from hypervisor.worker.commits import edits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeVar

    from hypervisor.ledger import Ledger
    from hypervisor.ledger.findings import Named
    from hypervisor.ledger.rows import Holding

    Item = TypeVar("Item", Named, Holding)

# The time of a change is that of the kernel's last tick.
_TICK = 0.02
# Without git, so many files are looked at: there may be one for each of many items.
_MOST = 20_000


def touched(ledger: Ledger, row: Holding, told: Iterable[str] = ()) -> tuple[list[str], list[str]]:
    """Return the files (from the root) that were changed for the item in `row` since it was handed
    out, and those that were changed meanwhile, nobody knows for what; both sorted. What earlier
    attempts have changed is the item's, too. `told` are files that its report names: git may
    ignore them."""
    claims = ledger.queries.claims_on(row.no)
    ended = [place for place, claim in enumerate(claims, 1) if _is_over(claim.outcome)]
    own = claims[ended[-1] if ended else 0 :]
    since = own[0].claimed_at
    tokens = {claim.token for claim in own}
    seen: set[str] = set()
    of_others: set[str] = set()
    for edit in edits.all_seen(ledger.state):
        if edit.at >= since - _TICK and edit.what != edits.BEFORE:
            (of_others if tokens.isdisjoint(edit.tokens) else seen).add(edit.path)
    root = ledger.root
    named = [os.path.relpath(os.path.join(root, path), root) for path in told]
    named += [path for text in (row.named, row.files) for path in json.loads(text or "[]")]
    changed = _changed(root, row, named, since - _TICK) - seen
    before = handed.read(ledger.state, row.token)
    own_names = changed - of_others - set(scope.unnamed(root, changed, [_alone(row)], before))
    if own_names:
        others = [_alone(one) for one in ledger.queries.held_since(since) if one.no != row.no]
        own_names = set(scope.unnamed(root, own_names, others))
    return sorted(seen | own_names), sorted(changed - own_names)


def _is_over(outcome: str | None) -> bool:
    """True for the end of a claim that was no attempt among others."""
    return outcome is not None and OUTCOME[outcome].final and OUTCOME[outcome].costs is None


def _alone(item: Item) -> Item:
    """Return an item without what names files for others, too: the instructions of its queue, and
    the file that holds many items."""
    return item._replace(instructions=None, path=item.path if item.payload is None else None)


def _changed(root: str, row: Holding, named: Iterable[str], since: float) -> set[str]:
    """Return the files, from the root, that were changed since then: those that differ from the
    last commit, or that are in one which was made meanwhile, and those of `named`."""
    from hypervisor.system.git import Git
    from hypervisor.worker.branches.worktrees import home_of

    looks = {path: fingerprint(os.path.join(root, path)) for path in named}
    home, found = home_of(root, row.path), set[str]()
    try:
        look = scope.look(home, _MOST)
        for path, seen in look["files"].items():
            looks[os.path.relpath(os.path.join(home, path), root)] = seen
        if home == root and look["head"] and row.base_commit not in (None, look["head"]):
            found |= scope.committed(Git(root), row.base_commit or "", root)
    except (HypervisorError, OSError):
        # A repository that git can't read keeps no report: less is known of its files.
        pass
    found |= {path for path, seen in looks.items() if _changed_at(root, path, seen) >= since}
    return {path for path in found if not path.startswith("../")}


def _changed_at(root: str, path: str, looks: str | None) -> float:
    """Return when a file was changed that looks so; of one that is gone, when its folder was."""
    if looks:
        return int(looks.split("-")[2]) / 1e9
    folder = os.path.dirname(os.path.join(root, path))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return os.stat(folder).st_mtime
