"""Whether a command has planted something that steers the next run in this folder.

The clients' own rules refuse that beforehand; a command can only be found out afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from hypervisor.clients.boundaries import FILES, FOLDERS
from hypervisor.ledger import Claim
from hypervisor.system.state import STATE

# Git writes into its folder at every turn; these are what it runs, or is steered by.
_OF_GIT = ("config", "hooks", "info")
_MOST = 2000


def look(root: str, path: str | None) -> dict[str, str]:
    """Return how the steering files look: those of the root, and of the folders above `path`."""
    folders = [root]
    here = os.path.dirname(path or "")
    while here and not os.path.isabs(here):
        folders.append(os.path.join(root, here))
        here = os.path.dirname(here)
    seen: dict[str, str] = {}
    for folder in folders:
        for name in _files(folder):
            if len(seen) < _MOST:
                seen[os.path.relpath(name, root)] = _fingerprint(name)
    return seen


def around(root: str, claim: Claim) -> dict[str, str]:
    """Return `look` for the item of a claim, in its own working tree too if it has one."""
    seen = look(root, claim.path)
    if claim.worktree is not None:
        inside = look(claim.worktree, claim.path)
        seen |= {os.path.join(claim.worktree, name): how for name, how in inside.items()}
    return seen


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the files that differ."""
    both = before.keys() | after.keys()
    return sorted(name for name in both if before.get(name) != after.get(name))


def _files(folder: str) -> Iterator[str]:
    for name in FILES:
        if os.path.lexists(os.path.join(folder, name)):
            yield os.path.join(folder, name)
    for name in FOLDERS:
        top = os.path.join(folder, name)
        if name == STATE or not os.path.lexists(top):
            # Our own folder changes all the time, and nothing in it is run.
            continue
        for start in [os.path.join(top, part) for part in _OF_GIT] if name == ".git" else [top]:
            if not os.path.isdir(start):
                yield start
            for here, _, names in os.walk(start):
                yield from (os.path.join(here, one) for one in names)


def _fingerprint(path: str) -> str:
    try:
        seen = os.lstat(path)
    except OSError:
        return ""
    return f"{seen.st_size}-{seen.st_mtime_ns}-{seen.st_ino}-{seen.st_mode}"
