"""Where a claim works: from the ledger's row to its working tree, and what becomes of both."""

from __future__ import annotations

import json
import os
import time

from hypervisor.ledger import Ledger
from hypervisor.ledger.claims import keep_every
from hypervisor.ledger.outcomes import REPORTED
from hypervisor.system.checkout import top_of
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.git import Git
from hypervisor.system.state import STATE
from hypervisor.system.text import one_line
from hypervisor.worker.branches import borrowed, keeping, saving, worktrees

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger import Claim
    from hypervisor.ledger.findings import ClaimRow
    from hypervisor.ledger.rows import Branch, Holding, Left
    from hypervisor.system.reports import Report

_SUBJECT = 72
_MESSAGE = 4000
_FILES = 50


def begin(ledger: Ledger, claim: Claim, here: str | None = None) -> None:
    """Give a claim its branch and its working tree: a new one, or, with `here`, the linked
    worktree around that folder.

    Sets the claim's `branch`, `worktree` (where to work), `base_commit` and `file`. Raises
    HypervisorError, NotOwner, and nobody works there.
    """
    git = _git(ledger, claim.path, claim.token, claim.lease_seconds)
    if here is None:
        tree = worktrees.make(git, claim.id, claim.token)
    else:
        tree = borrowed.enter(
            git, claim.id, claim.token, here, lambda top, token: _take_over(ledger, top, token)
        )
    ledger.branches.note(claim.token, tree.branch, _stored(ledger.root, tree.work), tree.base)
    claim.branch, claim.worktree, claim.base_commit = tree.branch, tree.work, tree.base
    if claim.path is not None:
        claim.file = file_in(tree, ledger.root, claim.path)


def tree_of(ledger: Ledger, row: Holding | ClaimRow, path: str | None) -> worktrees.Tree | None:
    """Return the working tree that a claim's row names, or None for a claim without a branch; its
    item is at `path`. Its lease is renewed while git is at work there. Raises HypervisorError where
    it is gone."""
    if not row.branch:
        return None
    if row.worktree is None or row.base_commit is None:
        raise HypervisorError(
            f"claim {row.token} has a branch and no working tree: something else has written "
            "to the ledger",
            f"give it back: hypervisor release {row.token}",
        )
    return _tree(ledger, row, _git(ledger, path, row.token, row.lease_ms / 1000))


def _tree(ledger: Ledger, row: Holding | ClaimRow | Left, git: Git) -> worktrees.Tree:
    work = os.path.join(ledger.root, row.worktree or "")
    own = os.path.join(worktrees.trees_dir(ledger.root), row.token)
    top = own if worktrees.is_within(own, work) else borrowed.entered(work, row.token)
    try:
        found = git.at(top) if top is not None and os.path.isdir(work) else None
    except HypervisorError:
        found = None
    if found is None:
        raise worktrees.Gone(work, row.token)
    return worktrees.Tree(found, work, row.branch or "", row.base_commit or "")


def beside(ledger: Ledger, tree: worktrees.Tree, report: dict[str, object]) -> Report:
    """Return what to tell of the end of an item beside its report: that nothing changed in its
    tree, and which files were changed outside of it since it was handed out."""
    told: Report = {} if "commit" in report else {"unchanged": True}
    try:
        outside = _outside(ledger, tree)
    except (HypervisorError, OSError):
        outside = []
    if outside:
        told["outside"] = outside[:_FILES]
    return told


def _outside(ledger: Ledger, tree: worktrees.Tree) -> list[str]:
    top = top_of(ledger.root)
    if top is None or top == tree.top:
        return []
    try:
        # Of the same repository, whose configuration is known by now.
        git = tree.git.at(top)
    except HypervisorError:
        git = Git(ledger.root)
    begun = os.stat(borrowed.note_of(tree) or f"{tree.private}/gitdir").st_mtime
    words = ("status", "--porcelain", "-z", "--untracked-files=all", "--no-renames")
    told = git("--no-optional-locks", *words, *git.all_but_strangers())
    found = []
    for entry in told.split("\0")[:-1]:
        place = os.path.join(top, entry[3:])
        path = os.path.relpath(place, ledger.root)
        try:
            changed = os.lstat(place).st_ctime
        except OSError:
            continue
        # Reports are written into the files of items all the time.
        if changed > begun and ledger.queries.id_of(path) is None and STATE not in path.split("/"):
            found.append(path)
    return found


def file_in(tree: worktrees.Tree, root: str, path: str) -> str:
    """Return where a worker finds an item's file: in its tree, or, if git does not hold it, at
    the root."""
    home = worktrees.home_of(root, path)
    inside = os.path.join(tree.work, os.path.relpath(os.path.join(root, path), home))
    return inside if os.path.lexists(inside) else os.path.join(root, path)


def save(
    tree: worktrees.Tree, row: Holding, report: dict[str, object]
) -> tuple[dict[str, object], list[str]]:
    """Commit what a worker did; return its report with the branch, the commit and the files, and
    the paths, from the root, that the branch changes.

    Without a change there is no commit to tell. Raises HypervisorError.
    """
    return _with_commit(tree, report, saving.save(tree, _message(row, report)))


def salvage(ledger: Ledger, row: Holding | Left, report: dict[str, object]) -> dict[str, object]:
    """Keep all that stands in the tree of a claim that is not done: on its branch, and what no
    commit can hold in the kept folder. Return the report, which tells it. Raises HypervisorError
    and OSError, and the tree must stay."""
    try:
        tree = _tree(ledger, row, _at_home(ledger, row))
    except worktrees.Gone:
        top = os.path.join(worktrees.trees_dir(ledger.root), row.token)
        kept = keeping.keep_whole(ledger.state, row.token, top) if os.path.isdir(top) else []
    else:
        commit, left = saving.salvage(tree, _message(row, report))
        report = _with_commit(tree, report, commit)[0]
        kept = keeping.keep(ledger.state, row.token, tree.git, left)
    return report | {"kept": kept} if kept else report


def _with_commit(
    tree: worktrees.Tree, report: dict[str, object], commit: str | None
) -> tuple[dict[str, object], list[str]]:
    told = {name: value for name, value in report.items() if name != "commit"}
    if commit is None:
        return told, []
    changed = _changed(tree, commit)
    files = report.get("files") or changed[:_FILES]
    return told | {"commit": commit, "branch": tree.branch, "files": files}, changed


def _changed(tree: worktrees.Tree, commit: str) -> list[str]:
    told = tree.git.changed(tree.base, commit)
    return [os.path.relpath(os.path.join(tree.top, path), tree.work) for path in told]


def leave(ledger: Ledger, row: Holding, tree: worktrees.Tree | None = None) -> None:
    """Clear a claim's working tree away, now that it has ended, and all in it is saved; its branch
    stays.

    One that the caller stands in stays until a later `clear`. What can't be removed now is left.
    """
    try:
        tree = tree or _tree(ledger, row, _at_home(ledger, row))
        if tree.top != os.path.join(worktrees.trees_dir(ledger.root), row.token):
            borrowed.leave(tree.git)
        elif not worktrees.is_within(tree.top, _cwd()):
            worktrees.discard(ledger.root, tree.top, _at_home(ledger, row).folder)
    except (HypervisorError, OSError):
        return


def clear_trees(ledger: Ledger) -> None:
    """Remove the working trees of claims that have ended; costs a look where there are none.

    What stands in them is saved first, but where the work was accepted as done, and so is all on
    its branch. A claim that was lost keeps its tree for one more lease, and for as long as a late
    report of it would be accepted: its worker, late but alive, shall not lose the ground under its
    feet. One that the caller stands in stays, and so does what can't be saved, and what is not
    ours.
    """
    standing = worktrees.trees_of(ledger.state)
    for token, row in ledger.branches.find_all(standing).items():
        path = os.path.join(worktrees.trees_dir(ledger.root), token)
        if _is_over(ledger, row) and not worktrees.is_within(path, _cwd()):
            try:
                _put_away(ledger, path, row)
            except (HypervisorError, OSError):
                continue


def take_back(ledger: Ledger, name: str) -> None:
    """Remove the working tree that the agent `name` was lent, with nothing lost of what it left."""
    top = os.path.join(worktrees.trees_dir(ledger.root), name)
    if not os.path.lexists(top):
        return
    try:
        token = borrowed.token_of(top)
        if token is not None:
            _take_over(ledger, top, token)
        elif borrowed.is_dirty(Git(ledger.root).at(top)):
            keeping.keep_whole(ledger.state, name, top)
        worktrees.discard(ledger.root, top)
    except (HypervisorError, OSError):
        # It stays, with all that is in it.
        return


def _take_over(ledger: Ledger, top: str, token: str) -> None:
    """Give back the worktree that was put on the branch of the claim `token`. Raises UsageError
    where that is at work."""
    row = ledger.branches.find_all([token]).get(token)
    if row is not None and row.outcome is None:
        raise UsageError(f"this worktree works on {token}", "end that claim first")
    if row is not None:
        _put_away(ledger, top, row)
    elif borrowed.is_dirty(Git(ledger.root).at(top)):
        raise UsageError(
            f"{one_line(top, 300)}: has changes of a claim that nobody knows", "commit them"
        )


def _put_away(ledger: Ledger, top: str, row: Left) -> None:
    """Save what an ended claim has left in its tree at `top`, and remove that, or give it back.
    Raises HypervisorError and OSError, and it stays."""
    if row.branch and row.worktree and row.outcome != "done":
        left: dict[str, object] = {
            "reason": f"what a claim left that ended without a report: {row.outcome}"
        }
        salvage(ledger, row, left)
    if os.path.dirname(top) == worktrees.trees_dir(ledger.root) and row.token in top:
        worktrees.discard(ledger.root, top, _at_home(ledger, row).folder)
    else:
        borrowed.leave(_at_home(ledger, row).at(top))


def clear(ledger: Ledger, home: str | None = None) -> None:
    """Remove the working trees of claims that have ended; and, in the repository around `home`
    (default: the root), their branches, and what is known of those on remotes of what is merged.

    A branch stays while it holds what is not merged, or more than was accepted, and while its tree
    stands; so does what this ledger does not know.
    """
    clear_trees(ledger)
    git = Git(home or ledger.root, root=ledger.root)
    worktrees.sweep(git.folder)
    gone = {}
    refs = worktrees.our_refs(git)
    rows = ledger.branches.find_all({ref.rpartition("/")[2] for ref in refs})
    for ref, commit in refs.items():
        token = ref.rpartition("/")[2]
        row = rows.get(token)
        if row is None or not _is_over(ledger, row) or _stands(ledger, token):
            continue
        if row.merged_at is not None:
            if commit == (accepted_commit(row) or row.base_commit):
                gone[ref] = commit
        elif ref.startswith("refs/heads/") and commit == row.base_commit:
            # Nothing that anybody made.
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


def _git(ledger: Ledger, path: str | None, token: str, lease_seconds: float) -> Git:
    """Return git in the repository of an item, which renews the lease of a claim while it runs."""
    return Git(
        worktrees.home_of(ledger.root, path), root=ledger.root,
        beat=lambda: ledger.claims.keep(token), beat_every=keep_every(lease_seconds),
    )  # fmt: skip


def _at_home(ledger: Ledger, row: Holding | Left) -> Git:
    return Git(worktrees.home_of(ledger.root, row.path), root=ledger.root)


def accepted_commit(row: Branch | Left) -> str | None:
    """Return the commit that the report of a claim names, None for one that changed nothing."""
    commit: str | None = json.loads(row.report or "{}").get("commit")
    return commit


def _stands(ledger: Ledger, token: str) -> bool:
    return os.path.lexists(os.path.join(worktrees.trees_dir(ledger.root), token))


def _is_over(ledger: Ledger, row: Left) -> bool:
    """True for a claim that has ended, and whose worker is not at work any more for all we know."""
    if row.outcome is None:
        return False
    if row.outcome in REPORTED:
        return True
    if time.time() < (row.ended_at or 0) + row.lease_ms / 1000:
        return False
    return not ledger.claims.may_come_back(row.token)


def _message(row: Holding | Left, report: dict[str, object]) -> str:
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
