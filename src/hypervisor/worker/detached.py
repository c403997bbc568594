"""A pool that nobody sits beside: known by a lock, a note and a log in the folder of state.

The lock is the pool's for as long as it lives, so that there is one at most for a queue, however it
ends. Pools that somebody sits beside share it: where one is, none is detached.
"""

from __future__ import annotations

import fcntl
import os
import time

from hypervisor.system.errors import UsageError
from hypervisor.system.folder import Folder
from hypervisor.system.keys import key
from hypervisor.system.quick_json import dumps, loads
from hypervisor.system.records import NamedTuple
from hypervisor.system.text import shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypervisor.system.state import State

_FOLDER = "detached"
# Who looks whether it is alive holds the lock for a moment.
_TRIES, _PAUSE = 20, 0.02
_LARGEST = 1 << 20


class Detached(NamedTuple):
    """The last pool of a queue that was detached: `id` is its session, `words` is the command line
    behind `hypervisor` and `folder` where it was typed, `log` a path from the root, `started_at`
    Unix time. One that ended by itself has its exit `code`, and `why`."""

    id: str
    words: list[str]
    folder: str
    log: str
    started_at: float
    code: int | None
    why: str
    alive: bool

    def command(self, root: str) -> str:
        """Return the command that goes on, for somebody in the folder `root`."""
        return _typed(self.words, self.folder, root)


def _typed(words: Sequence[str], folder: str, root: str) -> str:
    line = f"hypervisor {shell(words)}"
    return line if folder == root else f"cd {shell(folder)} && {line}"


def _lock(queue: str) -> str:
    return f"{key(queue)}.lock"


def find(state: State, queue: str) -> Detached | None:
    """Return the last pool of `queue` that was detached, or None."""
    return _read(state, key(queue))


def all_of(state: State) -> list[Detached]:
    """Return the last pool of each queue of which any was detached."""
    try:
        names = state.folder.below(_FOLDER).names()
    except FileNotFoundError:
        return []
    stems = [name.removesuffix(".json") for name in names if name.endswith(".json")]
    return [found for stem in stems if (found := _read(state, stem)) is not None]


def _read(state: State, stem: str) -> Detached | None:
    try:
        folder = state.folder.below(_FOLDER)
        told = loads(folder.read(f"{stem}.json", _LARGEST).decode("utf-8", "replace"))
        lock = folder.open(f"{stem}.lock")
    except (FileNotFoundError, ValueError):
        return None
    try:
        alive = not _try(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)
    return Detached(**told, alive=alive)


def take(state: State, queue: str) -> int | None:
    """Return a descriptor that holds the lock for a pool to be detached, None where any pool of
    this checkout is at work on `queue`."""
    return _locked(state, queue, fcntl.LOCK_EX)


def beside(state: State, queue: str, words: Sequence[str]) -> int:
    """Return a descriptor that keeps others from being detached while a pool works on `queue` with
    somebody beside it, who has typed `words`. Raises UsageError where one is detached."""
    lock = _locked(state, queue, fcntl.LOCK_SH)
    if lock is None:
        raise UsageError(
            f"queue {queue} has a detached pool already",
            f"follow it: hypervisor work {queue} --attach",
        )
    _note(state, queue, words)
    return lock


def command(state: State, queue: str, where: str | None = None) -> str | None:
    """Return the command of the last pool that worked on `queue` in this checkout, for somebody in
    the folder `where` (its root); None if none did."""
    try:
        told = state.folder.below(_FOLDER).read(f"{key(queue)}.typed", _LARGEST)
        words, folder = loads(told.decode("utf-8", "replace"))
    except (OSError, ValueError):
        return None
    return _typed(words, folder, where or state.root)


def _note(state: State, queue: str, words: Sequence[str]) -> None:
    told = dumps([list(words), os.getcwd()], ensure_ascii=False)
    folder_of(state).write(f"{key(queue)}.typed", told.encode())


def inherited(state: State, queue: str, lock: int) -> None:
    """Keep the lock that came with the start of this process, to itself. Raises UsageError for a
    descriptor that is none."""
    try:
        here, there = os.fstat(lock), folder_of(state).look(_lock(queue))
        held = there is not None and os.path.samestat(here, there) and _try(lock, fcntl.LOCK_EX)
    except OSError:
        held = False
    if not held:
        raise UsageError("--detached is for our own processes", "use --detach")
    os.set_inheritable(lock, False)


def begin(state: State, queue: str, id: str, words: Sequence[str]) -> tuple[Detached, int]:
    """Note a pool that is about to start, whose lock is held; return the note, and a descriptor of
    its log, which is empty then."""
    folder, name = folder_of(state), f"{key(queue)}.log"
    log = folder.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC)
    path = os.path.relpath(f"{folder.path}/{name}", state.root)
    made = Detached(id, list(words), os.getcwd(), path, time.time(), None, "", True)
    _write(state, queue, made)
    _note(state, queue, words)
    return made, log


def ended(state: State, queue: str, code: int, why: str) -> None:
    """Note how the pool of this process has ended."""
    told = find(state, queue)
    if told is not None:
        _write(state, queue, told._replace(code=code, why=why))


def open_log(state: State, queue: str) -> int:
    """Return a descriptor that reads the log. Raises OSError."""
    return folder_of(state).open(f"{key(queue)}.log")


def folder_of(state: State) -> Folder:
    """Return the folder of locks, notes and logs, made if need be."""
    return state.folder.below(_FOLDER, make=True)


def _locked(state: State, queue: str, how: int) -> int | None:
    lock = folder_of(state).open(_lock(queue), os.O_RDWR | os.O_CREAT)
    for _ in range(_TRIES):
        if _try(lock, how):
            return lock
        time.sleep(_PAUSE)
    os.close(lock)
    return None


def _try(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(state: State, queue: str, told: Detached) -> None:
    kept = {name: value for name, value in told._asdict().items() if name != "alive"}
    folder_of(state).write(f"{key(queue)}.json", dumps(kept, ensure_ascii=False).encode())
