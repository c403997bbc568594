"""Where a claim works: from the ledger's row to its working tree, and what becomes of both."""

from __future__ import annotations

import json
import os
import time

from hypervisor.ledger import Ledger
from hypervisor.ledger.branches import ASIDE
from hypervisor.ledger.claims import keep_every
from hypervisor.ledger.outcomes import REPORTED, WORKED
from hypervisor.system.errors import HypervisorError
from hypervisor.system.git import Git
from hypervisor.system.text import one_line
from hypervisor.worker.branches import borrowed, saving, worktrees

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger import Claim
    from hypervisor.ledger.findings import ClaimRow
    from hypervisor.ledger.rows import Branch, Holding, Left

_SUBJECT = 72
_MESSAGE = 4000
_FILES = 50


def begin(ledger: Ledger, claim: Claim, here: str | None = None) -> None:
    """Give a claim its branch and its working tree: a new one, or, with `here`, the linked
    worktree around that folder.

    Sets the claim's `branch`, `worktree` (where to work), `base_commit` and `file`. Raises
    HypervisorError, NotOwner, and nobody works there.
    """
    git = _git(ledger, claim.token, claim.lease_seconds)
    if here is None:
        tree = worktrees.make(git, claim.id, claim.token)
    else:
        tree = borrowed.enter(
            git, claim.id, claim.token, here, lambda token: _is_live(ledger, token)
        )
    ledger.branches.note(claim.token, tree.branch, _stored(ledger.root, tree.work), tree.base)
    claim.branch, claim.worktree, claim.base_commit = tree.branch, tree.work, tree.base
    if claim.path is not None:
        claim.file = file_in(tree, ledger.root, claim.path)


def tree_of(ledger: Ledger, row: Holding | ClaimRow) -> worktrees.Tree | None:
    """Return the working tree that a claim's row names, or None for a claim without a branch. Its
    lease is renewed while git is at work there. Raises HypervisorError where it is gone."""
    if not row.branch:
        return None
    if row.worktree is None or row.base_commit is None:
        raise HypervisorError(
            f"claim {row.token} has a branch and no working tree: something else has written "
            "to the ledger",
            f"give it back: hypervisor release {row.token}",
        )
    root = ledger.root
    work = os.path.join(root, row.worktree)
    own = os.path.join(worktrees.trees_dir(root), row.token)
    top = own if worktrees.is_within(own, work) else borrowed.entered(work, row.token)
    git = _git(ledger, row.token, row.lease_ms / 1000)
    try:
        found = git.at(top) if top is not None and os.path.isdir(work) else None
    except HypervisorError:
        found = None
    if found is None:
        raise HypervisorError(
            f"{one_line(work, 300)}: the working tree of this claim is gone, or on another machine",
            f"hypervisor release {row.token} gives the item back",
        )
    return worktrees.Tree(found, work, row.branch, row.base_commit)


def file_in(tree: worktrees.Tree, root: str, path: str) -> str:
    """Return where a worker finds an item's file: in its tree, or, if git does not hold it, at
    the root."""
    inside = os.path.join(tree.work, path)
    return inside if os.path.lexists(inside) else os.path.join(root, path)


def save(
    tree: worktrees.Tree, row: Holding, report: dict[str, object]
) -> tuple[dict[str, object], list[str]]:
    """Commit what a worker did; return its report with the branch, the commit and the files, and
    the paths, from the root, that the branch changes.

    Without a change there is no commit to tell. Raises HypervisorError.
    """
    told = {name: value for name, value in report.items() if name != "commit"}
    commit = saving.save(tree, _message(row, report))
    if commit is None:
        return told, []
    changed = _changed(tree, commit)
    files = report.get("files") or changed[:_FILES]
    return told | {"commit": commit, "branch": tree.branch, "files": files}, changed


def _changed(tree: worktrees.Tree, commit: str) -> list[str]:
    told = tree.git.changed(tree.base, commit)
    return [os.path.relpath(os.path.join(tree.top, path), tree.work) for path in told]


def leave(ledger: Ledger, tree: worktrees.Tree, token: str) -> None:
    """Clear a claim's working tree away, now that it has ended; its branch stays.

    One that the caller stands in stays until a later `clear`. What can't be removed now is left.
    """
    own = os.path.join(worktrees.trees_dir(ledger.root), token)
    try:
        if tree.top != own:
            borrowed.leave(tree.git)
        elif not worktrees.is_within(own, _cwd()):
            worktrees.remove(ledger.root, token)
    except (HypervisorError, OSError):
        return


def clear_trees(ledger: Ledger) -> None:
    """Remove the working trees of claims that have ended; costs a look where there are none.

    A claim that was lost keeps its tree for one more lease: its worker, late but alive, shall not
    lose the ground under its feet. So does one that the caller stands in, and what is not ours.
    """
    try:
        standing = os.listdir(worktrees.trees_dir(ledger.root))
    except FileNotFoundError:
        return
    for token, row in ledger.branches.find_all(standing).items():
        path = os.path.join(worktrees.trees_dir(ledger.root), token)
        if _is_over(row) and not worktrees.is_within(path, _cwd()):
            worktrees.discard(ledger.root, path)


def clear(ledger: Ledger) -> None:
    """Remove the working trees and branches of claims that have ended, and what is known of those
    on remotes of what is merged.

    A branch stays while it holds accepted work that is not merged, or more than was accepted, and
    while its tree stands; so does what this ledger does not know.
    """
    clear_trees(ledger)
    worktrees.sweep(ledger.root)
    git, gone = Git(ledger.root), {}
    refs = worktrees.our_refs(git)
    rows = ledger.branches.find_all({ref.rpartition("/")[2] for ref in refs})
    for ref, commit in refs.items():
        token = ref.rpartition("/")[2]
        row = rows.get(token)
        if row is None or not _is_over(row) or _stands(ledger, token):
            continue
        if row.merged_at is not None:
            if commit == (accepted_commit(row) or row.base_commit):
                gone[ref] = commit
        elif ref.startswith("refs/heads/") and not _holds_work(row):
            gone[ref] = commit
    worktrees.delete_refs(git, gone)


def clear_merged(ledger: Ledger) -> None:
    """Do what `clear` does where what stands here was merged, perhaps by another machine; remove
    the working trees of claims that have ended in any case. Costs a look where there is none."""
    clear_trees(ledger)
    standing = (token for token in worktrees.tokens_here(ledger.root) if not _stands(ledger, token))
    if ledger.branches.are_merged(standing):
        try:
            clear(ledger)
        except (HypervisorError, OSError):
            # Whoever comes next does it; nobody's item waits for it.
            return


def _git(ledger: Ledger, token: str, lease_seconds: float) -> Git:
    """Return git at the root, which renews the lease of a claim while it runs."""
    return Git(
        ledger.root, beat=lambda: ledger.claims.keep(token), beat_every=keep_every(lease_seconds)
    )


def accepted_commit(row: Branch | Left) -> str | None:
    """Return the commit that the report of a claim names, None for one that changed nothing."""
    commit: str | None = json.loads(row.report or "{}").get("commit")
    return commit


def _stands(ledger: Ledger, token: str) -> bool:
    return os.path.lexists(os.path.join(worktrees.trees_dir(ledger.root), token))


def _is_live(ledger: Ledger, token: str) -> bool:
    row = ledger.branches.find_all([token]).get(token)
    return row is not None and row.outcome is None


def _is_over(row: Left) -> bool:
    """True for a claim that has ended, and whose worker is not at work any more for all we know."""
    if row.outcome is None:
        return False
    if row.outcome in REPORTED:
        return True
    return time.time() >= (row.ended_at or 0) + row.lease_ms / 1000


def _holds_work(row: Left) -> bool:
    """True for a branch with an accepted report on the present state of its item."""
    if row.outcome not in WORKED or row.merged_at is not None:
        return False
    aside = (row.merge or "").startswith(ASIDE)
    return bool(row.newest) or aside or row.outcome == "done"


def _message(row: Holding, report: dict[str, object]) -> str:
    subject = one_line(f"{row.id}: {row.title or 'done'}", _SUBJECT)
    text = str(report.get("summary") or report.get("reason") or "")[:_MESSAGE]
    plain = text.replace("\0", "�").encode("utf-8", "replace").decode()
    return f"{subject}\n\n{plain}\n\nHypervisor-Claim: {row.token}\n"


def _stored(root: str, work: str) -> str:
    return os.path.relpath(work, root) if worktrees.is_within(root, work) else work


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""
