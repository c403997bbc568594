"""What no commit can hold is moved out of a working tree before that goes: nobody deletes it but
its user. It lies in `.hypervisor/kept/<claim>/`."""

from __future__ import annotations

import os
import shutil

from hypervisor.system.checkout import private_dir, top_of
from hypervisor.system.state import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.ledger import Ledger
    from hypervisor.system.git import Git
    from hypervisor.system.state import State

FOLDER = "kept"


def keep(state: State, name: str, git: Git, paths: Iterable[str]) -> list[str]:
    """Move `paths` out of the working tree at `git.folder` into the folder `name`; return where
    each lies now, from the root. Raises OSError."""
    found, top = [], os.path.realpath(git.folder)
    for path in paths:
        place = os.path.join(git.folder, path)
        above = os.path.realpath(os.path.dirname(place))
        if not os.path.lexists(place) or not f"{above}/".startswith(f"{top}/"):
            continue
        folder, last = os.path.split(path)
        target = _new(state, [name, *filter(None, folder.split("/"))], last)
        private = os.path.realpath(private_dir(place) or "") if top_of(place) == place else ""
        shutil.move(place, target)
        if private and os.path.isfile(f"{target}/.git"):
            # A submodule: git keeps its commits with the tree, and they go where it goes.
            os.unlink(f"{target}/.git")
            shutil.copytree(private, f"{target}/.git", symlinks=True)
            git.run("config", "--file", f"{target}/.git/config", "--unset", "core.worktree")
        found.append(os.path.relpath(target, state.root))
    return found


def keep_whole(state: State, name: str, top: str) -> list[str]:
    """Move a working tree that is none to git any more, files and all; return where it lies now.
    Raises OSError."""
    try:
        os.unlink(f"{top}/.git")
    except OSError:
        pass
    if not os.listdir(top):
        return []
    target = _new(state, [], name)
    shutil.move(top, target)
    return [os.path.relpath(target, state.root)]


def of_queue(ledger: Ledger, queue: int) -> dict[int, list[str]]:
    """Return what is kept of the claims of a queue (its number): where it lies, from the root, by
    the numbers of their items."""
    try:
        names = ledger.state.folder.below(FOLDER).names()
    except OSError:
        return {}
    found: dict[int, list[str]] = {}
    for token, row in ledger.branches.find_all(names).items():
        if row.queue == queue:
            place = os.path.relpath(shown(ledger.root, FOLDER, token), ledger.root)
            found.setdefault(row.no, []).append(place)
    return found


def _new(state: State, folders: list[str], name: str) -> str:
    """Return a path in the kept folder at which nothing stands yet; the folders above it do."""
    folder = state.folder.below(FOLDER, *folders, make=True)
    free, number = name, 1
    while folder.look(free) is not None:
        number += 1
        free = f"{name}.{number}"
    return shown(state.root, FOLDER, *folders, free)
