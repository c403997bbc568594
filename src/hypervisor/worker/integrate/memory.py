"""Merges made without a working tree, where git can and nothing of the tree has a say in them."""

from __future__ import annotations

from hypervisor.system.git import Git, GitError


class Memory:
    """Merges of one run, made by the `git` of the root."""

    def __init__(self, git: Git) -> None:
        self._git = git
        # git reads a file's merge driver out of the tree that is checked out, which is another one.
        self._can = not git.ok("config", "--get-regexp", r"^merge\..*\.driver$")

    def merge(self, tip: str, commit: str, message: str) -> str | None:
        """Return the commit that merges `commit` into `tip`, which is `tip` if that holds it
        already; None for what takes a working tree: conflicts, drivers, an older git."""
        if not self._can or commit.startswith("-") or self._has_drivers(tip, commit):
            return None
        if self._git.has(commit, tip):
            return tip
        code, told, _ = self._git.run("merge-tree", "--write-tree", tip, commit)
        if code:
            return None
        words = ("commit-tree", told.split("\n", 1)[0], "-p", tip, "-p", commit, "-F", "-")
        try:
            return self._git(*words, input=message).strip()
        except GitError:
            return None

    def _has_drivers(self, *commits: str) -> bool:
        words = ("grep", "--quiet", "-e", "merge", *commits, "--", ":(top,glob)**/.gitattributes")
        return self._git.run(*words)[0] != 1
