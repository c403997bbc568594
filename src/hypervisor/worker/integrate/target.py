"""The branch that is integrated into: where it stands, who has it checked out, how it moves on.

It only ever moves forward, and git itself moves what is checked out: a file with changes of its
user's is never overwritten.
"""

from __future__ import annotations

import os
import time
from functools import cached_property

from hypervisor.system.checkout import private_dir
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.git import Git, GitError, lock_of
from hypervisor.system.remote import run_remote
from hypervisor.system.text import one_line, prose
from hypervisor.worker.branches.worktrees import PREFIX, common_dir

# Another git may be at work in the checkout for so many seconds.
_PATIENCE = 5.0
# So many branches go in one push: the words of a command have an end.
_AT_ONCE = 200


class Moved(Exception):
    """Somebody else has moved the branch meanwhile."""


class InTheWay(HypervisorError):
    """What a user has not committed stands where the branch would move to."""


class Target:
    """A branch of the repository that `git` works in, at the root; `name` is its short name."""

    def __init__(self, git: Git, into: str | None) -> None:
        self._git = git
        if into is None:
            code, told, _ = self._git.run("symbolic-ref", "--quiet", "--short", "HEAD")
            if code and not git.ok("rev-parse", "--git-dir"):
                raise UsageError(
                    f"{git.folder}: not in a git repository, so there are no branches to merge",
                    "run it in the repository",
                )
            if code:
                raise UsageError(
                    f"{git.folder}: no branch is checked out, so none can be integrated into",
                    "name it: --into BRANCH",
                )
            into = told[:-1]
        self.name = into
        self._ref = f"refs/heads/{into}"
        self._remote = git.remote_name()
        self._tracked = f"refs/remotes/{self._remote}/"
        self._known = self._tracked + into
        self._branches: dict[str, str] = {}
        if into.startswith("-") or self._stand()[0] is None:
            raise UsageError(f"no branch '{one_line(into, 60)}' here", "name one: --into BRANCH")

    def tip(self) -> str:
        """Return the commit that the branch is at. Raises HypervisorError."""
        found, theirs = self._stand()
        if found is None:
            raise HypervisorError(f"branch {self.name} is gone", f"git branch {self.name}")
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
            run_remote(
                self._git, "fetch", "--quiet", "--no-tags", "--recurse-submodules=no", self._remote
            )
            # Workers in this clone may clear away what is known of them.
            self._branches = self._git.refs(f"{self._tracked}{PREFIX}/")

    def advance(self, new: str, old: str) -> str:
        """Move the branch from `old` to `new`, which comes after it; return "" or a warning.

        Raises Moved if it is not at `old` any more, InTheWay with the branch as it was, GitError.
        """
        if self._remote:
            self._publish(new)
        tops = self._checkouts()
        if not tops:
            # With a remote, the branch may be further behind here.
            here = self._stand()[0] if self._remote else old
            if not here or (here != old and not self._git.has(here, new)):
                raise Moved
            if not self._git.ok("update-ref", self._ref, new, here):
                raise Moved
            return ""
        try:
            self._forward(tops[0], new, old)
        except (InTheWay, Moved) as error:
            if not self._remote:
                raise
            return f"{self.name} here is behind {self._remote}: {error or 'it moved'}"
        return ""

    def forget(self, merged: dict[str, str]) -> None:
        """Delete branches on the remote, given with the commits that were accepted of them: those
        that are at that commit still, if the remote's branch holds it. What can't be deleted now
        stays."""
        if not self._remote:
            return
        heads = "refs/heads/"
        try:
            held = self._git.held(set(filter(None, merged.values())), self._known)
            there = {name: self._branches.get(self._tracked + name) for name in merged}
            gone = [name for name in merged if there[name] in held & {merged[name]}]
            for at in range(0, len(gone), _AT_ONCE):
                names = gone[at : at + _AT_ONCE]
                # The remote compares: somebody may have added to the branch since the fetch.
                leases = (f"--force-with-lease={heads}{name}:{merged[name]}" for name in names)
                self._push(*leases, str(self._remote), *(f":{heads}{name}" for name in names))
        except GitError:
            return

    def _stand(self) -> tuple[str | None, str | None]:
        """Return the commits that the branch is at here and, as far as we know, on the remote."""
        names = (self._ref, self._known) if self._remote else (self._ref,)
        found = self._git.refs(*names)
        return found.get(self._ref), found.get(self._known)

    def _push(self, *words: str) -> None:
        quiet = ("--quiet", "--no-follow-tags", "--recurse-submodules=no", "--no-signed")
        run_remote(self._git, "push", *quiet, *words)

    def _publish(self, new: str) -> None:
        try:
            self._push(str(self._remote), f"{new}:{self._ref}")
        except GitError as error:
            if "rejected" not in error.said:
                raise
            before = self._stand()[1]
            self.fetch()
            if self._stand()[1] == before:
                raise
            raise Moved from None

    def _forward(self, top: str, new: str, old: str) -> None:
        git = self._git.at(top)
        before = self._stand()[0]
        if not self._remote and before != old:
            raise Moved
        until = time.monotonic() + _PATIENCE
        while True:
            # What is checked out is never left half moved: not even by a kill -9 of us.
            words = ("merge", "--ff-only", "--quiet", "--no-autostash", new)
            code, out, said = git.run(*words, apart=True)
            if code == 0:
                return
            if self._stand()[0] != before:
                raise Moved
            if not lock_of(said):
                break
            if time.monotonic() > until:
                raise GitError("merge", said)
            time.sleep(0.1)
        # Behind this git says what mends it, in words of its own.
        what = prose((said or out).partition("\nPlease ")[0], 400)
        mend = "move them away" if "untracked" in what else "commit or stash that"
        raise InTheWay(f"{one_line(top, 200)} can't follow: {what}", f"{mend}, then run it again")

    def _checkouts(self) -> list[str]:
        """Return the tops of the working trees that have the branch checked out.

        Raises InTheWay where one of them is in the middle of a rebase of it.
        """
        common = common_dir(self._git.folder)
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
                top = self._main_top
            else:
                top = _read(os.path.join(private, "gitdir")).removesuffix("/.git")
            if top and os.path.isdir(top):
                found.append(top)
        return found

    @cached_property
    def _main_top(self) -> str:
        """The top of the main working tree, "" for a bare repository."""
        common = common_dir(self._git.folder)
        if os.path.realpath(private_dir(self._git.folder) or "") == common:
            return self._git.top()
        bare = self._git(f"--git-dir={common}", "rev-parse", "--is-bare-repository")
        if bare.strip() == "true":
            return ""
        return os.path.dirname(common) if os.path.basename(common) == ".git" else ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as source:
            return source.read().removesuffix("\n")
    except OSError:
        return ""
