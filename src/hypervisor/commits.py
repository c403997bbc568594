"""Commits by many workers in one working tree: exactly the named files, one committer at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence

from hypervisor import verify
from hypervisor.system import filters
from hypervisor.system.checkout import top_of
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.git import Git, GitError
from hypervisor.system.state import State
from hypervisor.system.text import one_line

# Others wait meanwhile. What takes longer waits for a person.
_SECONDS = 120.0


def commit(
    state: State,
    message: str,
    files: Sequence[str],
    cwd: str,
    *,
    beat: Callable[[], None] = lambda: None,
    beat_every: float = 30.0,
) -> str:
    """Commit `files` (paths from `cwd`) as they are now, and nothing else; return the commit's id.

    A file that was deleted is committed as deleted. What others have staged stays staged. `beat` is
    called every `beat_every` seconds, so that the caller can renew a lease. Raises UsageError for
    what is no file, or none of this checkout; FilterError, HypervisorError where git refuses.
    """
    git = Git(cwd, root=state.root, seconds=_SECONDS, beat=beat, beat_every=beat_every)
    top = git.top()
    paths = [_from_top(top, cwd, name) for name in files]
    specs = [f":(top,literal){path}" for path in paths]
    with state.folder.opened_lock("commit.lock") as turn:
        if not verify.wait_for_turn(turn, beat, beat_every, 3 * _SECONDS):
            raise HypervisorError("others are committing and don't end", "see: git status")
        _refuse_folders(git, top, paths)
        filters.refuse_missing(git, filters.wanted(git, _regular(top, paths)))
        try:
            filters.stage(git, "--all", "--", *specs)
            git("commit", "--quiet", "--only", "--cleanup=whitespace", f"--message={message}",
                "--", *specs)  # fmt: skip
        except GitError as error:
            raise _told(error) from None
        return git.head() or ""


def _from_top(top: str, cwd: str, name: str) -> str:
    """Return where a file lies in the checkout at `top`. Raises UsageError for what is none."""
    path = os.path.abspath(os.path.join(cwd, name))
    shown = one_line(name, 200)
    if os.path.isdir(path) and not os.path.islink(path):
        raise UsageError(f"{shown}: a folder", "name the files in it that are yours, one by one")
    folder = os.path.realpath(os.path.dirname(path))
    if top_of(folder) != os.path.realpath(top):
        raise UsageError(
            f"{shown}: not in the repository at {one_line(top, 200)}",
            "go into the file's own repository and say it there",
        )
    return os.path.relpath(os.path.join(folder, os.path.basename(path)), os.path.realpath(top))


def _refuse_folders(git: Git, top: str, paths: list[str]) -> None:
    """Raise UsageError for a path that is not on the disk, and names no single file to git."""
    gone = [path for path in paths if not os.path.lexists(os.path.join(top, path))]
    if not gone:
        return
    known = git("ls-files", "-z", "--", *(f":(top,literal){path}" for path in gone)).split("\0")
    for path in sorted(set(gone) - set(known)):
        below = any(name.startswith(f"{path}/") for name in known)
        raise UsageError(
            f"{one_line(path)}: "
            + ("a folder that is gone" if below else "did not match any file"),
            "name files that exist or are tracked",
        )


def _regular(top: str, paths: list[str]) -> list[str]:
    """Return those of `paths` that are files: links and what is gone go through no filter."""
    found = []
    for path in paths:
        try:
            if stat.S_ISREG(os.lstat(os.path.join(top, path)).st_mode):
                found.append(path)
        except FileNotFoundError:
            continue
    return found


def _told(error: GitError) -> HypervisorError:
    if error.fix:
        return error
    return type(error)(error.what, error.said, "mend that and commit again")
