"""What stands in a claim's working tree is committed on its branch, and brought to the remote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from hypervisor.system import filters
from hypervisor.system.errors import HypervisorError, NotOwner
from hypervisor.system.folder import Folder
from hypervisor.system.git import Git, GitError
from hypervisor.system.remote import run_remote
from hypervisor.system.text import one_line
from hypervisor.worker.branches.worktrees import Tree, keep, let_go, wait_out

_FILES = ("100644", "100755")


def save(tree: Tree, message: str) -> str | None:
    """Commit all that stands in the tree and return the branch's commit, None if nothing changed.

    Files that git ignores are left out. What can't be committed keeps its tree. Raises FilterError,
    GitError and HypervisorError.
    """
    try:
        with _alone(tree):
            head = _save(tree, message)
    except NotOwner:
        raise
    except HypervisorError as error:
        keep(tree)
        error.fix += f"{'; ' if error.fix else ''}until then the work stays in {tree.top}"
        raise
    let_go(tree)
    return None if head == tree.base else head


def push(tree: Tree, commit: str) -> None:
    """Bring the branch to the remote that `git config hypervisor.remote` names, if there is one.

    Raises GitError.
    """
    remote = tree.git.remote_name()
    if remote:
        run_remote(
            tree.git, "push", "--quiet", "--no-follow-tags", "--recurse-submodules=no",
            "--no-signed", remote, f"+{commit}:refs/heads/{tree.branch}",
            fix="mend that, then say done again",
        )  # fmt: skip


def _save(tree: Tree, message: str) -> str:
    git, ref = tree.git, f"refs/heads/{tree.branch}"
    filters.stage(git, "--all", *git.all_but_strangers())
    staged = _staged(git)
    if staged is not None:
        filters.stage_again(git, staged)
        git("commit", "--quiet", "--cleanup=verbatim", "-F", "-", input=message)
    head = git.head()
    if head is None:
        raise GitError("rev-parse", "no commit is checked out in the tree")
    # Missing where the worker has taken the branch away.
    if git.at_ref(ref) != head:
        git("update-ref", ref, head)
    return head


def _staged(git: Git) -> list[str] | None:
    """Return the files that are staged, from the top of the tree; None if there is nothing to
    commit. What is deleted, and links, are none of them.

    A repository inside the tree is refused: it would be committed as a link that leads nowhere.
    """
    told = git("diff-index", "--cached", "--raw", "-z", "--no-renames", "HEAD").split("\0")
    found = []
    for mode, path in zip(told[::2], told[1::2], strict=False):
        if mode.startswith(":000000 160000"):
            git("--literal-pathspecs", "reset", "--quiet", "HEAD", "--", path)
            raise HypervisorError(
                f"{one_line(path, 200)}: a repository of its own, which can't be committed here",
                "remove it or its .git, or have git ignore it, then say it again",
            )
        if mode[8:14] in _FILES:
            found.append(path)
    return found if told != [""] else None


@contextmanager
def _alone(tree: Tree) -> Iterator[None]:
    """One of our commands at a time in a tree; locks that killed gits have left go."""
    private = tree.private
    with Folder.at(private).locked("hypervisor.lock"):
        for name in ("index.lock", "HEAD.lock"):
            wait_out(os.path.join(private, name))
        yield
