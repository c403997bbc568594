"""The working tree in which branches are merged and checked before anybody else sees the result."""

from __future__ import annotations

import os

from hypervisor.branches import trees
from hypervisor.branches.git import Git, GitError
from hypervisor.text import one_line

_NAMED = 10


class Conflict(Exception):
    """The branch does not fit; the text says why, with the files."""


class Workshop:
    """A working tree of the integrator's own. Use it as a context manager."""

    def __init__(self, root: str, tip: str) -> None:
        self._root = root
        self._path = _path(root)
        self._tip = tip
        self._git = Git(self._path)

    def __enter__(self) -> Workshop:
        trees.add(self._root, self._path, "--detach", self._path, self._tip)
        return self

    def __exit__(self, *_: object) -> None:
        trees.discard(self._root, self._path)

    @property
    def work(self) -> str:
        """The folder in it that stands for the root."""
        inside = os.path.relpath(self._root, Git(self._root).top())
        folder = os.path.normpath(os.path.join(self._path, inside))
        os.makedirs(folder, exist_ok=True)
        return folder

    @property
    def state(self) -> str:
        """The folder of git's own for this tree: a place for a lock that goes with it."""
        return self._git("rev-parse", "--absolute-git-dir")[:-1]

    def merge(self, tip: str, commit: str, name: str, message: str) -> str:
        """Merge `commit` into what stands at `tip` and return the merge's commit.

        What git ignores stays from one merge to the next: a check need not build it all anew.
        Raises Conflict with the files, and GitError for anything that is no conflict.
        """
        self._git("reset", "--quiet", "--hard")
        self._git("clean", "-ffdq")
        self._git("checkout", "--quiet", "--detach", tip)
        code, out, said = self._git.run(
            "merge", "--no-ff", "--quiet", "--cleanup=verbatim", "-m", message, commit
        )
        if code == 0:
            return self._git("rev-parse", "HEAD").strip()
        files = self._git("diff", "--name-only", "--diff-filter=U", "-z").split("\0")[:-1]
        if files:
            raise Conflict(f"conflicts with {name} in {named(files)}")
        if "unrelated histories" in said:
            raise Conflict(f"has no history in common with {name}")
        raise GitError("merge", said or out)


def sweep(root: str) -> None:
    """Remove what a killed integrator has left, in whatever state it is."""
    trees.discard(root, _path(root))


def _path(root: str) -> str:
    return os.path.join(trees.trees_dir(root), "integrate")


def named(files: list[str]) -> str:
    """Return paths as words of a sentence, the first few of them."""
    shown = ", ".join(one_line(name, 120) for name in files[:_NAMED])
    more = len(files) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown
