"""Merges made without a working tree, where git can and nothing of the tree has a say in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypervisor.system.git import Git, GitError

_ATTRIBUTES = ("--", ":(top,glob)**/.gitattributes")


class Memory:
    """Merges of one run, made by the `git` of the root."""

    def __init__(self, git: Git) -> None:
        self._git = git
        # git reads a file's merge driver out of the tree that is checked out, which is another one.
        self._can = not git.ok("config", "--get-regexp", r"^merge\..*\.driver$")

    def merges(self, tip: str, wanted: Sequence[tuple[str, str]]) -> Iterator[str]:
        """Merge commits one after the other, the first into `tip`, as `wanted` has them, with a
        message each; yield what each comes to, which is what the one before came to if that holds
        it already. Ends before what takes a working tree: conflicts, drivers, an older git."""
        new = None
        while wanted:
            # What all of them bring is asked at once; where one is in the way, of fewer.
            new = self._brought(tip, [commit for commit, _ in wanted])
            if new is not None:
                break
            wanted = wanted[: len(wanted) // 2]
        for commit, message in wanted:
            if new is not None and commit in new:
                merged = self.merge(tip, commit, message)
                if merged is None:
                    return
                tip = merged
                held = [commit]
                while held:
                    held += new.pop(held.pop(), ())
            yield tip

    def merge(self, tip: str, commit: str, message: str) -> str | None:
        """Return the commit that merges `commit` into `tip`; None where that takes a working
        tree."""
        code, told, _ = self._git.run("merge-tree", "--write-tree", tip, commit)
        if code:
            return None
        words = ("commit-tree", told.split("\n", 1)[0], "-p", tip, "-p", commit, "-F", "-")
        try:
            return self._git(*words, input=message).strip()
        except GitError:
            return None

    def _brought(self, tip: str, commits: list[str]) -> dict[str, list[str]] | None:
        """Return what `commits` hold and `tip` does not, each with its parents; None where one is
        not here, or drivers have a say."""
        if not self._can or self._have_drivers(tip):
            return None
        steering = self._git.beyond(tip, commits, *_ATTRIBUTES)
        if steering is None or (steering and self._have_drivers(*steering)):
            return None
        return self._git.beyond(tip, commits)

    def _have_drivers(self, *commits: str) -> bool:
        return self._git.run("grep", "--quiet", "-e", "merge", *commits, *_ATTRIBUTES)[0] != 1
