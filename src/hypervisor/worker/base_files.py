"""A working tree as it is, but for some files that stand as they stood at a commit.

A check judges what a worker has done by files that the worker may edit, such as tests. Where the
check is to take them from before, it runs in a copy: the tree itself belongs to others as well.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.git import Git
from hypervisor.system.state import STATE
from hypervisor.system.text import one_line

_LINK = "120000"
_EXECUTABLE = "100755"
_REPOSITORY = "160000"


def named(root: str, cwd: str, paths: Sequence[str]) -> list[str]:
    """Return `paths` (from `cwd`) as paths from `root`, normal. Raises UsageError for one that git
    has nothing of in its last commit there."""
    found = []
    for path in paths:
        inside = os.path.relpath(os.path.join(os.path.realpath(cwd), path), os.path.realpath(root))
        try:
            known = (
                inside != "."
                and not inside.startswith("../")
                and _listed(Git(root), "HEAD", [inside])
            )
        except HypervisorError:
            known = False
        if not known:
            raise UsageError(
                f"--from-base {one_line(path, 200)}: no commit here has it",
                "name a file or folder that is committed",
            )
        found.append(inside)
    return found


@contextmanager
def taken(folder: str, commit: str | None, paths: Sequence[str]) -> Iterator[str]:
    """Yield the folder for a check: `folder` itself, or, where `paths` (from there) are to be
    as at `commit`, a copy that goes afterwards.

    The copy has what git tracks or would track, as it is now; what it ignores is linked; there is
    no repository in it. Raises HypervisorError.
    """
    if not paths:
        yield folder
        return
    if commit is None:
        raise HypervisorError(
            "the check takes files from the commit at which the item began, and there was none",
            "commit, release the item and take it again",
        )
    with tempfile.TemporaryDirectory(
        prefix="hypervisor-check-", ignore_cleanup_errors=True
    ) as made:
        copy = os.path.join(os.path.realpath(made), "tree")
        os.mkdir(copy)
        _fill(folder, commit, paths, copy)
        yield copy


def _fill(folder: str, commit: str, paths: Sequence[str], copy: str) -> None:
    git = Git(folder)
    now = _names(git, "--cached", "--others")
    for path in now:
        if not _below(path, paths):
            _copy(os.path.join(folder, path), _room(copy, path))
    _take(git, folder, commit, paths, copy)
    for path in _names(git, "--others", "--ignored", "--directory"):
        target = _room(copy, path)
        if target is not None and not _below(path, [*paths, STATE]):
            os.symlink(os.path.join(folder, path), target)


def _take(git: Git, folder: str, commit: str, paths: Sequence[str], copy: str) -> None:
    """Have the files at `paths`, all without any, stand in `copy` as `commit` of the repository at
    `folder` has them; those of its submodules at the commits that it names, too."""
    for path, mode, blob in _listed(git, commit, paths):
        target = _room(copy, path, clear=True)
        assert target is not None
        if mode == _REPOSITORY:
            inner = os.path.join(folder, path)
            if not os.path.lexists(os.path.join(inner, ".git")):
                raise HypervisorError(
                    f"the check takes {one_line(path, 200)} from the commit at which the item "
                    "began, and this submodule is not filled in",
                    "fill it in, then run done again",
                )
            os.mkdir(target)
            _take(Git(inner, root=git.folder), inner, blob, (), target)
        elif mode == _LINK:
            os.symlink(git("cat-file", "blob", blob), target)
        else:
            # As a checkout would write it: line ends and large files are the filters' to make.
            with open(target, "wb") as out:
                out.write(os.fsencode(git("cat-file", "--filters", f"{commit}:./{path}")))
            os.chmod(target, 0o755 if mode == _EXECUTABLE else 0o644)


def _names(git: Git, *which: str) -> list[str]:
    told = git("ls-files", "-z", "--exclude-standard", *which).split("\0")[:-1]
    return list(dict.fromkeys(path.rstrip("/") for path in told))


def _room(copy: str, path: str, *, clear: bool = False) -> str | None:
    """Return where `path` goes in the copy, its folders made. None if something stands there, or
    on the way there; with `clear`, that is removed: nothing is ever written through a link."""
    place = copy
    *folders, name = path.split("/")
    for folder in folders:
        place = os.path.join(place, folder)
        if clear and os.path.lexists(place) and (os.path.islink(place) or os.path.isfile(place)):
            os.unlink(place)
        if os.path.islink(place) or os.path.isfile(place):
            return None
        os.makedirs(place, exist_ok=True)
    target = os.path.join(place, name)
    if not os.path.lexists(target):
        return target
    if not clear:
        return None
    if os.path.isdir(target) and not os.path.islink(target):
        shutil.rmtree(target)
    else:
        os.unlink(target)
    return target


def _listed(git: Git, commit: str, paths: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return path (from the folder of `git`), mode and object of the files that `commit` has at
    `paths`."""
    told = git("--literal-pathspecs", "ls-tree", "-r", "-z", commit, "--", *paths)
    found = []
    for row in told.split("\0")[:-1]:
        about, _, path = row.partition("\t")
        mode, _, blob = about.split(" ")
        found.append((path, mode, blob))
    return found


def _copy(source: str, target: str | None) -> None:
    """Copy a file of the tree; what is gone stays out, and a repository inside is linked."""
    if target is None:
        return
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
    elif os.path.isdir(source):
        os.symlink(source, target)
    elif os.path.isfile(source):
        shutil.copy2(source, target)


def _below(path: str, paths: Sequence[str]) -> bool:
    return any(path == each or path.startswith(f"{each}/") for each in paths)
