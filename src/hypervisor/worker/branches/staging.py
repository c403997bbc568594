"""All that stands in a working tree is staged; what can't be is named, path by path."""

from __future__ import annotations

import os

from hypervisor.system import filters
from hypervisor.system.checkout import GITLINK, top_of
from hypervisor.system.errors import HypervisorError, SetupError
from hypervisor.system.filters import FROM_INPUT, FilterError, pathspecs
from hypervisor.system.git import Git, GitError
from hypervisor.system.text import one_line

_LINK = f"{GITLINK:o}"
_FILES = ("100644", "100755")
_HEX, _IDS = frozenset("0123456789abcdef"), (40, 64)
_AGAIN = "then run the command again"


class Unsaved(HypervisorError):
    """A path that no commit of this repository can hold as it is."""

    def __init__(self, path: str, what: str, fix: str) -> None:
        super().__init__(f"{one_line(path, 200)}: {what}", fix)


def stage(git: Git, base: str) -> tuple[bool, dict[str, HypervisorError]]:
    """Stage what differs from the last commit in the working tree of `git`, which began at `base`,
    whatever its worker has hidden from git. Files that git ignores are left out.

    Returns whether anything is staged, and why for each path (from the top) that could not be.
    Raises SetupError where nothing can be.
    """
    left = _hidden_and_linked(git, base)
    around = (f":(top,exclude,literal){path}" for path in left)
    try:
        filters.stage(git, "--all", "--", ":(top)", *around)
    except (GitError, FilterError) as error:
        if isinstance(error, SetupError) and not isinstance(error, FilterError):
            raise
        _one_by_one(git, [path for path in _differing(git, left) if path not in left], left)
    told = git("diff-index", "--cached", "--raw", "-z", "--no-renames", "HEAD").split("\0")
    files = []
    for modes, path in zip(told[::2], told[1::2], strict=False):
        if modes[8:14] == _LINK != modes[1:7]:
            left[path] = _own(path)
        elif modes[8:14] in _FILES:
            files.append(path)
    left |= filters.staged_without(git, files)
    if left:
        git("reset", "--quiet", *FROM_INPUT, "HEAD", input=pathspecs(left))
    return bool(set(told[1::2]) - left.keys()), left


def _own(path: str) -> Unsaved:
    return Unsaved(
        path,
        "a repository of its own, which can't be committed here",
        f"remove it or its .git, or have git ignore it, {_AGAIN}",
    )


def _hidden_and_linked(git: Git, base: str) -> dict[str, HypervisorError]:
    """Have git see the files that it was told to overlook; return the links to repositories that
    hold, or are, what the link alone does not keep."""
    top, left, links, hidden = git.top(), {}, [], []
    told = git("-c", "core.sparseCheckout=false", "ls-files", "-v", "--stage", "-z")
    for entry in told.split("\0")[:-1]:
        words, _, path = entry.partition("\t")
        tag, mode = words.split(" ")[:2]
        if mode == _LINK:
            links.append(path)
        elif (tag == "S" or tag.islower()) and os.path.lexists(os.path.join(top, path)):
            hidden.append(path)
    if hidden:
        told = "".join(f"{path}\0" for path in hidden)
        for flag in ("--no-assume-unchanged", "--no-skip-worktree"):
            git("update-index", flag, "-z", "--stdin", input=told)
    new = _changed_links(git, base) if links else []
    for path in links:
        if why := _unsaved_link(git, os.path.join(top, path), path, base, path in new):
            left[path] = why
    return left


def _changed_links(git: Git, base: str) -> list[str]:
    words = ("--cached", "--raw", "-z", "--no-renames", "--ignore-submodules=dirty")
    told = git("diff-index", *words, base).split("\0")
    return [
        path for modes, path in zip(told[::2], told[1::2], strict=False) if modes[8:14] == _LINK
    ]


def _unsaved_link(
    git: Git, place: str, path: str, base: str, is_new: bool
) -> HypervisorError | None:
    """Return what would be lost of a submodule, or of what stands in its place; `is_new`: another
    commit of it is named than at `base`."""
    if top_of(place) != place:
        if os.path.isdir(place) and not os.path.islink(place) and os.listdir(place):
            return Unsaved(
                path, "files in a submodule that is not checked out", f"move them away, {_AGAIN}"
            )
        if is_new:
            return Unsaved(
                path, "another commit of a submodule that is not checked out, so nobody can tell "
                "whether its remote has it",
                f"git submodule update --init there, or take it back, {_AGAIN}",
            )  # fmt: skip
        return None
    try:
        inside = git.at(place)
    except HypervisorError:
        return _own(path)
    if inside("status", "--porcelain", "-z", "--untracked-files=normal",
              "--ignore-submodules=none", *inside.all_but_strangers()):  # fmt: skip
        return Unsaved(
            path, "changes in a submodule that are not committed",
            f"commit and push them there, or take them back, {_AGAIN}",
        )  # fmt: skip
    code, known, _ = git.run("rev-parse", "--verify", "--quiet", f"{base}:{path}")
    began = [f"^{known.strip()}"] if not code and inside.ok("cat-file", "-e", known.strip()) else []
    theirs = "--not", "--remotes", "--not", *began
    if inside("rev-list", "--max-count=1", "--all", "HEAD", *theirs):
        return Unsaved(
            path, "commits in a submodule that its remote does not have",
            f"push them there, {_AGAIN}",
        )  # fmt: skip
    if (gone := _left_behind(inside)) and inside("rev-list", "--max-count=1", *gone, *theirs):
        return Unsaved(
            path, "commits in a submodule that no branch there has, nor its remote",
            f"push them there, or have its reflog forget them, {_AGAIN}",
        )  # fmt: skip
    return None


def _left_behind(inside: Git) -> list[str]:
    """Return the commits that somebody was on, without a branch, before going on to another."""
    told = inside.run("log", "--walk-reflogs", "--format=%gs", "HEAD")[1].splitlines()
    words = (line.removeprefix("checkout: moving from ").partition(" ")[0] for line in told)
    ids = dict.fromkeys(word for word in words if len(word) in _IDS and _HEX.issuperset(word))
    return [each for each in ids if inside.ok("cat-file", "-e", each)]


def _differing(git: Git, left: dict[str, HypervisorError]) -> list[str]:
    """Return the paths that may differ from what is staged. Repositories among them that are none
    of ours are put into `left`."""
    told = git("diff-files", "--name-only", "-z", "--ignore-submodules=dirty", "--")
    told += git("ls-files", "--others", "--exclude-standard", "-z")
    found = dict.fromkeys(told.split("\0")[:-1])
    left |= {path.rstrip("/"): _own(path.rstrip("/")) for path in found if path.endswith("/")}
    return [path for path in found if not path.endswith("/")]


def _one_by_one(git: Git, paths: list[str], left: dict[str, HypervisorError]) -> None:
    """Stage `paths`, halving them where git refuses; put why into `left` for each single one."""
    if not paths:
        return
    try:
        filters.stage(git, "--all", *FROM_INPUT, input=pathspecs(paths))
    except (GitError, FilterError) as error:
        if isinstance(error, SetupError) and not isinstance(error, FilterError):
            raise
        if len(paths) == 1:
            left[paths[0]] = error
            return
        half = len(paths) // 2
        _one_by_one(git, paths[:half], left)
        _one_by_one(git, paths[half:], left)
