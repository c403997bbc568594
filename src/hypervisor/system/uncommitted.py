"""What was not committed at a moment: when a queue was opened, when an item was handed out.

It lies in `.hypervisor/begun/`: a line of JSON, and behind it what stood in the files.
"""

from __future__ import annotations

import json
import os
import stat
import time
from typing import NamedTuple

from hypervisor.system.checkout import top_of
from hypervisor.system.errors import HypervisorError
from hypervisor.system.files import fingerprint, fingerprint_of
from hypervisor.system.git import Git
from hypervisor.system.keys import key
from hypervisor.system.state import STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.system.state import State

_FOLDER = "begun"
# A tree with more files that are not committed is told apart by nobody: none of it is noted then.
_MOST_FILES = 5000
_LARGEST = 1 << 20
_LARGEST_SUM = 16 << 20


class Was(NamedTuple):
    """How a file looked, "" if there was none; and what stood in it, None where that was not
    kept."""

    looks: str
    content: bytes | None


class Begun(NamedTuple):
    """What differed from the commit `head` at the time `at`: `files`, by path from the top of the
    checkout. All others were as that commit has them, or were not there."""

    at: float
    head: str | None
    files: dict[str, Was]


def of_queue(number: int) -> str:
    """Return the name under which a generation's is noted, given its number."""
    return f"queue-{number}"


def note(state: State, *names: str) -> None:
    """Note how the checkout of the root looks now, under each of `names`: tokens, or `of_queue`.

    What can't be noted is not: commits find out less then.
    """
    top = top_of(state.root)
    if top is None:
        return
    try:
        told = _look(top, state.root)
        if told is not None:
            folder = state.folder.below(_FOLDER, make=True)
            for name in names:
                folder.write(key(name), told)
    except (HypervisorError, OSError):
        return


def read(state: State, names: Iterable[str]) -> Begun | None:
    """Return what was noted under the first of `names` under which anything was."""
    for name in names:
        try:
            line, _, contents = state.folder.below(_FOLDER).read(key(name)).partition(b"\n")
            told = json.loads(line)
            files, start = {}, 0
            for path, (looks, size) in told["files"].items():
                content = None
                if size is not None:
                    content = contents[start : start + size]
                    start += size
                files[path] = Was(looks, content)
            return Begun(told["at"], told["head"], files)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def forget(state: State, names: Iterable[str]) -> None:
    """Forget what was noted under `names`."""
    try:
        folder = state.folder.below(_FOLDER)
        for name in names:
            folder.remove(key(name))
    except OSError:
        return


def forget_ended(state: State, tokens: Iterable[str]) -> None:
    """Forget what was noted for claims that are over for good."""
    try:
        noted = set(state.folder.below(_FOLDER).names())
    except OSError:
        return
    if noted:
        forget(state, (token for token in tokens if key(token) in noted))


def _look(top: str, root: str) -> bytes | None:
    git, at = Git(root), time.time()
    told = git(
        "--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=all",
        "--no-renames", *git.all_but_strangers(),
    )  # fmt: skip
    paths = [entry[3:] for entry in told.split("\0") if entry]
    if len(paths) > _MOST_FILES:
        return None
    files: dict[str, tuple[str, int | None]] = {}
    contents, left = [], _LARGEST_SUM
    for path in paths:
        if STATE in path.split("/"):
            continue
        looks, content = _file(os.path.join(top, path), min(left, _LARGEST))
        files[path] = looks, None if content is None else len(content)
        if content is not None:
            contents.append(content)
            left -= len(content)
    line = json.dumps({"at": at, "head": git.head(), "files": files}).encode()
    return b"\n".join((line, b"".join(contents)))


def _file(place: str, most: int) -> tuple[str, bytes | None]:
    """Return how a file looks, and what stands in it if that is no more than `most` bytes and did
    not change meanwhile."""
    try:
        fd = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return fingerprint(place) or "", None
    try:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > most:
            return fingerprint_of(seen), None
        content = b"".join(iter(lambda: os.read(fd, _LARGEST), b""))
        same = fingerprint_of(os.fstat(fd)) == fingerprint_of(seen)
        return fingerprint_of(seen), content if same else None
    finally:
        os.close(fd)
