"""The working tree in which branches are merged and checked before anybody else sees the result."""

from __future__ import annotations

import os
from functools import cached_property

from hypervisor.system.checkout import private_dir, top_of
from hypervisor.system.folder import Folder
from hypervisor.system.git import Git, GitError
from hypervisor.system.text import one_line
from hypervisor.worker.branches import worktrees

_NAMED = 10


class Conflict(Exception):
    """The branch does not fit; the text says why, with the files."""


class Missing(Exception):
    """The commit is not in this clone."""


class Workshop:
    """A working tree of the integrator's own, made by the `git` of a repository. Use it as a
    context manager."""

    def __init__(self, git: Git, tip: str) -> None:
        self._at_root = git
        self._path = _path(git.root)
        self._tip = tip

    def __enter__(self) -> Workshop:
        worktrees.add(self._at_root, "--detach", self._path, self._tip)
        self._git = self._at_root.at(self._path)
        return self

    def __exit__(self, *_: object) -> None:
        sweep(self._at_root)

    @property
    def work(self) -> str:
        """The folder in it that stands for the root."""
        os.makedirs(self._work, exist_ok=True)
        return self._work

    @cached_property
    def _work(self) -> str:
        inside = os.path.relpath(self._at_root.folder, self._at_root.top())
        return os.path.normpath(os.path.join(self._path, inside))

    @property
    def turns(self) -> Folder:
        """The folder of git's own for this tree: a place for a lock that goes with it."""
        return Folder.at(private_dir(self._path) or self._path)

    def merge(self, tip: str, commit: str, name: str, message: str) -> str:
        """Merge `commit` into what stands at `tip` and return the merge's commit, which is `tip` if
        that holds it already.

        What git ignores stays from one merge to the next: a check need not build it all anew.
        Raises Missing, Conflict with the files, and GitError for anything that is neither.
        """
        if top_of(self._path) != self._path:
            # A check has taken its .git away: git would work in the checkout around it.
            sweep(self._at_root)
            self.__enter__()
        worktrees.clean(self._git, tip, "--detach")
        code, out, said = self._git.run(
            "merge", "--no-ff", "--quiet", "--cleanup=verbatim", "-m", message, commit
        )
        if code == 0:
            return self._git.head() or ""
        if "not something we can merge" in said:
            raise Missing
        unmerged = self._git("ls-files", "--unmerged", "-z").split("\0")[:-1]
        files = sorted({entry.partition("\t")[2] for entry in unmerged})
        if files:
            raise Conflict(f"conflicts with {name} in {named(files)}")
        if "unrelated histories" in said:
            raise Conflict(f"has no history in common with {name}")
        raise GitError("merge", said or out)


def sweep(git: Git) -> None:
    """Remove what a killed integrator has left, in whatever state it is."""
    worktrees.discard(git.root, _path(git.root), git.folder)


def _path(root: str) -> str:
    return os.path.join(worktrees.trees_dir(root), "integrate")


def named(files: list[str]) -> str:
    """Return paths as words of a sentence, the first few of them."""
    shown = ", ".join(one_line(name, 120) for name in files[:_NAMED])
    more = len(files) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown
