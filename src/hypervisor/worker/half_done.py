"""What workers had in hand when their queue was cancelled, as far as it can be told."""

from __future__ import annotations

import os
from typing import TypedDict

from hypervisor.ledger import Ledger
from hypervisor.ledger.claim import loads
from hypervisor.ledger.findings import ClaimRow, Result
from hypervisor.system.errors import HypervisorError
from hypervisor.system.files import fingerprint_of, is_same
from hypervisor.worker.branches import claim_tree
from hypervisor.worker.outbox import is_task


class HalfDone(TypedDict):
    """An item that `worker` had for `seconds`; `branch` and `worktree` are None without, `files`
    those known to have changed, from the root or the working tree."""

    id: str
    title: str | None
    worker: str
    seconds: float
    branch: str | None
    worktree: str | None
    files: list[str]


def half_done(ledger: Ledger, queue: str) -> list[HalfDone]:
    """Return the items of a cancelled queue that a worker had then, in order."""
    found: list[HalfDone] = []
    for item in ledger.queries.results(queue):
        if item.token is None or item.outcome != "cancelled":
            continue
        claim = ledger.queries.claim_of(item.token)
        assert claim is not None and claim.ended_at is not None, "its end was just noted"
        found.append(
            {
                "id": item.id,
                "title": item.title,
                "worker": claim.agent or claim.worker,
                "seconds": round(claim.ended_at - claim.claimed_at, 1),
                "branch": claim.branch,
                "worktree": claim.worktree,
                "files": _in_tree(ledger, claim, item.path)
                if claim.branch
                else _named(ledger.root, item, claim.claimed_at),
            }
        )
    return found


def _in_tree(ledger: Ledger, claim: ClaimRow, path: str | None) -> list[str]:
    """Return what has changed in the own working tree of a claim, committed or not; `path` is that
    of its item."""
    try:
        tree = claim_tree.tree_of(ledger, claim, path)
        assert tree is not None
        status = ("--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=all")
        told = tree.git(*status, "--no-renames", *tree.git.all_but_strangers())
        changed = {entry[3:] for entry in told.split("\0") if entry}
        return sorted(changed.union(tree.git.changed(tree.base, "HEAD")))
    except (HypervisorError, OSError):
        # Gone, or on another machine: the branch is named all the same.
        return []


def _named(root: str, item: Result, claimed_at: float) -> list[str]:
    """Return those files of an item that have changed: its own since it was opened, and those that
    it says it touches since it was claimed."""
    changed = set()
    if is_task(item.path, item.fingerprint):
        try:
            now = fingerprint_of(os.stat(os.path.join(root, item.path)))
        except OSError:
            now = None
        if not is_same(item.fingerprint, now):
            changed.add(item.path)
    for path in loads(item.files) if item.files else []:
        try:
            seen = os.stat(os.path.join(root, path))
        except OSError:
            continue
        # Its own time can be set back.
        if seen.st_ctime >= claimed_at:
            changed.add(path)
    return sorted(changed)
