"""What stands in a claim's working tree is committed on its branch, and brought to the remote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from hypervisor.system.errors import HypervisorError, SetupError
from hypervisor.system.folder import Folder
from hypervisor.system.git import GitError
from hypervisor.system.remote import run_remote
from hypervisor.system.text import listed
from hypervisor.worker.branches.staging import stage
from hypervisor.worker.branches.worktrees import Tree, wait_out

_SHOWN = 5


def save(tree: Tree, message: str) -> str | None:
    """Commit all that stands in the tree and return the branch's commit, None if nothing changed.

    Files that git ignores are left out. Raises FilterError, Unsaved and GitError where not all can
    be committed, and nothing is.
    """
    with _alone(tree):
        staged, left = stage(tree.git, tree.base)
        if left:
            raise _first(left)
        head = _commit(tree, message if staged else "")
    return None if head == tree.base else head


def salvage(tree: Tree, message: str) -> tuple[str | None, dict[str, HypervisorError]]:
    """Commit what can be committed of all that stands in the tree; return the branch's commit, None
    if nothing changed, and why for each path that can't be. Raises GitError and HypervisorError."""
    with _alone(tree):
        staged, left = stage(tree.git, tree.base)
        # A person's hooks judge what is to count, and none of this does.
        head = _commit(tree, message if staged else "", "--no-verify")
    return (None if head == tree.base else head), left


def _first(left: dict[str, HypervisorError]) -> HypervisorError:
    """Return the error of one path, with the others named: one that every item would meet first."""
    path = min(left, key=lambda path: (not isinstance(left[path], SetupError), path))
    if others := sorted(left.keys() - {path}):
        left[path].message += f"; nor can be committed: {listed(others, _SHOWN)}"
    return left[path]


class NotPushed(GitError, SetupError):
    """The remote is away, or takes no branch of ours: so it is for every item."""


def push(tree: Tree, commit: str) -> None:
    """Bring the branch to the remote that `git config hypervisor.remote` names, if there is one.

    Raises NotPushed.
    """
    remote = tree.git.remote_name()
    if not remote:
        return
    try:
        run_remote(
            tree.git, "push", "--quiet", "--no-follow-tags", "--recurse-submodules=no",
            "--no-signed", remote, f"+{commit}:refs/heads/{tree.branch}",
        )  # fmt: skip
    except GitError as error:
        raise NotPushed(error.what, error.said, "fix that, then run done again") from None


def _commit(tree: Tree, message: str, *options: str) -> str:
    """Commit what is staged, if there is a message, and have the branch be where its tree is."""
    git, ref = tree.git, f"refs/heads/{tree.branch}"
    if message:
        git("commit", "--quiet", "--cleanup=verbatim", *options, "-F", "-", input=message)
    head = git.head()
    if head is None:
        raise GitError("rev-parse", "no commit is checked out in the tree")
    # Missing where the worker has taken the branch away.
    if git.at_ref(ref) != head:
        git("update-ref", ref, head)
    return head


@contextmanager
def _alone(tree: Tree) -> Iterator[None]:
    """One of our commands at a time in a tree; locks that killed gits have left go."""
    private = tree.private
    with Folder.at(private).locked("hypervisor.lock"):
        for name in ("index.lock", "HEAD.lock"):
            wait_out(os.path.join(private, name))
        yield
