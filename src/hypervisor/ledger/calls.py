"""When a tool call is to be looked at again, and those that were made since: what `hooks/guard`
knows, so that a call which changes nothing starts no Python.

Each agent that holds an item, and each session for itself and for all others in it, has a folder in
the state. The program leaves there when it wants to be called again (the time of the file `due`)
and after how many calls (what it holds); the guard makes an empty file for each call, named by the
number of its process.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.system.folder import Folder
    from hypervisor.system.state import State

CALLS = "calls"
_DUE = "due"
# When `due` was set: a clock that was set back since tells of itself by it.
_SINCE = "since"
# So many calls are let pass where there is no bound; it is also how many files there may be.
MOST = 500
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def taken(state: State, who: str) -> int:
    """Return how many calls of `who`, an agent or a session, the guard has let pass since this was
    asked, without the one that is looked at now; each is told once."""
    folder = _folder(state, who)
    if folder is None:
        return 0
    # The guard becomes this process.
    this = str(os.getpid())
    names = [name for name in os.listdir(folder.fd)[: 4 * MOST] if name.isdigit()]
    return sum(_remove(folder, name) and name != this for name in names)


def rest(state: State, who: str, seconds: float, calls: int | None) -> None:
    """Have the guard let calls of `who` pass for so many seconds, and at most so many of them."""
    folder = _folder(state, who, make=True)
    if folder is None:
        return
    left = MOST if calls is None else min(max(calls, 0), MOST)
    try:
        folder.write(_SINCE, b"")
        seen = folder.look(_SINCE)
        if seen is not None:
            # The two files are counted too.
            folder.write(_DUE, b"%d\n" % (left + 2))
            until = seen.st_mtime_ns + int(max(seconds, 0) * 1e9)
            os.utime(_DUE, ns=(until, until), dir_fd=folder.fd, follow_symlinks=False)
    except OSError:
        # Something else stands in their place: each call is looked at.
        _remove(folder, _DUE)


def wake(state: State, who: str) -> None:
    """Have the next call of `who` looked at, whatever the calls of its session are."""
    folder = _folder(state, who, make=True)
    if folder is not None:
        _remove(folder, _DUE)


def is_known(state: State, who: str) -> bool:
    """True if `who` has a folder of its own."""
    return _folder(state, who) is not None


def forget(state: State, names: Iterable[str]) -> None:
    """Remove what is kept of these agents and sessions."""
    try:
        place = state.folder.below(CALLS)
        there = set(place.names())
    except OSError:
        return
    for who in there.intersection(names):
        folder = _folder(state, who)
        if folder is not None:
            for name in folder.names():
                if name.isdigit() or name in (_DUE, _SINCE):
                    _remove(folder, name)
            place.remove_folder(who)


def _remove(folder: Folder, name: str) -> bool:
    """Remove a file or link; what is none is not ours, and stays."""
    try:
        return folder.remove(name)
    except OSError:
        return False


def _folder(state: State, who: str, *, make: bool = False) -> Folder | None:
    """Return the folder of `who`; None for a name that no client gives, or where there is none."""
    if not who or len(who) > 200 or not _PLAIN.issuperset(who):
        return None
    try:
        return state.folder.below(CALLS, who, make=make)
    except OSError:
        # What stands there is no folder of ours: the guard takes it for none, too.
        return None
