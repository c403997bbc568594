"""The branch that is integrated into: where it stands, who has it checked out, how it moves on.

It only ever moves forward, and git itself moves what is checked out: a file with changes of its
user's is never overwritten.
"""

from __future__ import annotations

import os
import time

from hypervisor.branches.git import Git, GitError
from hypervisor.branches.trees import common_dir
from hypervisor.errors import HypervisorError, UsageError
from hypervisor.text import one_line

# Another git may be at work in the checkout for so many seconds.
_PATIENCE = 5.0


class Moved(Exception):
    """Somebody else has moved the branch meanwhile."""


class InTheWay(HypervisorError):
    """What a user has not committed stands where the branch would move to."""


class Target:
    """A branch of the repository around `root`; `name` is its short name."""

    def __init__(self, root: str, into: str | None) -> None:
        self._git = Git(root)
        if into is None:
            code, told, _ = self._git.run("symbolic-ref", "--quiet", "--short", "HEAD")
            if code:
                raise UsageError(
                    f"{root}: no branch is checked out, so none can be integrated into",
                    "name it: --into BRANCH",
                )
            into = told[:-1]
        self.name = into
        self._ref = f"refs/heads/{into}"
        if into.startswith("-") or not self._git.ok("check-ref-format", self._ref):
            raise UsageError(f"{one_line(into, 60)!r} can't be a branch", "name one that is there")
        if self._git.commit_of(self._ref) is None:
            raise UsageError(f"no branch {one_line(into, 60)!r} here", f"git branch {into}")
        self._remote = self._git.setting("hypervisor.remote")

    def tip(self) -> str:
        """Return the commit that the branch is at. Raises HypervisorError."""
        found = self._git.commit_of(self._ref)
        if found is None:
            raise HypervisorError(f"branch {self.name} is gone", f"git branch {self.name}")
        theirs = self._theirs()
        if theirs is None or theirs == found:
            return found
        if not self._git.has(found, theirs):
            raise HypervisorError(
                f"{self.name} has commits that {self._remote} does not have",
                f"git push {self._remote} {self.name}, or git pull, then run it again",
            )
        return theirs

    def fetch(self) -> None:
        """Learn what the remote holds, workers' branches too, where one is set. Raises GitError."""
        if self._remote:
            self._git.remote(
                "fetch", "--quiet", "--no-tags", "--recurse-submodules=no", self._remote
            )

    def advance(self, new: str, old: str) -> str:
        """Move the branch from `old` to `new`, which comes after it; return "" or a warning.

        Raises Moved if it is not at `old` any more, InTheWay with the branch as it was, GitError.
        """
        if self._remote:
            self._push(new)
        tops = self._checkouts()
        if not tops:
            if not self._git.ok("update-ref", self._ref, new, self._local()):
                raise Moved
            return ""
        try:
            self._forward(tops[0], new, old)
        except (InTheWay, Moved) as error:
            if not self._remote:
                raise
            return f"{self.name} here is behind {self._remote}: {error or 'it moved'}"
        return ""

    def _local(self) -> str:
        return self._git.commit_of(self._ref) or ""

    def _theirs(self) -> str | None:
        if not self._remote:
            return None
        return self._git.commit_of(f"refs/remotes/{self._remote}/{self.name}")

    def _push(self, new: str) -> None:
        try:
            self._git.remote(
                "push", "--quiet", "--no-follow-tags", "--recurse-submodules=no", "--no-signed",
                str(self._remote), f"{new}:{self._ref}",
            )  # fmt: skip
        except GitError as error:
            if "rejected" not in error.said:
                raise
            before = self._theirs()
            self.fetch()
            if self._theirs() == before:
                raise
            raise Moved from None

    def _forward(self, top: str, new: str, old: str) -> None:
        git = Git(top)
        before = self._local()
        if not self._remote and before != old:
            raise Moved
        until = time.monotonic() + _PATIENCE
        while True:
            # What is checked out is never left half moved: not even by a kill -9 of us.
            words = ("merge", "--ff-only", "--quiet", "--no-autostash", new)
            code, out, said = git.run(*words, apart=True)
            if code == 0:
                return
            if self._local() != before:
                raise Moved
            if "index.lock" not in said or time.monotonic() > until:
                break
            time.sleep(0.1)
        raise InTheWay(
            f"{one_line(top, 200)} can't follow: {one_line(said or out, 400)}",
            "commit or stash that, then run it again",
        )

    def _checkouts(self) -> list[str]:
        """Return the tops of the working trees that have the branch checked out.

        Raises InTheWay where one of them is in the middle of a rebase of it.
        """
        common = common_dir(self._git)
        linked = os.path.join(common, "worktrees")
        names = sorted(os.listdir(linked)) if os.path.isdir(linked) else []
        found = []
        for private in (common, *(os.path.join(linked, name) for name in names)):
            for rebase in ("rebase-merge", "rebase-apply"):
                if _read(os.path.join(private, rebase, "head-name")) == self._ref:
                    raise InTheWay(f"{self.name} is being rebased", "end the rebase first")
            if _read(os.path.join(private, "HEAD")) != f"ref: {self._ref}":
                continue
            if private == common:
                top = self._main_top(common)
            else:
                top = _read(os.path.join(private, "gitdir")).removesuffix("/.git")
            if top and os.path.isdir(top):
                found.append(top)
        return found

    def _main_top(self, common: str) -> str:
        """Return the top of the main working tree, "" for a bare repository."""
        if self._git("rev-parse", "--absolute-git-dir")[:-1] == common:
            return self._git.top()
        if Git(common)("rev-parse", "--is-bare-repository").strip() == "true":
            return ""
        return os.path.dirname(common) if os.path.basename(common) == ".git" else ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as source:
            return source.read().removesuffix("\n")
    except OSError:
        return ""
