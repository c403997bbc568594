"""Workers' transcripts and logs, kept with their queue: the client deletes its own."""

from __future__ import annotations

import os
import time

from hypervisor.system.folder import Folder
from hypervisor.system.keys import key
from hypervisor.system.state import State, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hypervisor.ledger import Ledger

_FOLDER = "outputs"
_OUTPUT = ".out"
# Where a file is in the state: the folders above it, and its name.
Place = tuple[str, ...]


def folder_of(state: State, queue: str) -> Folder:
    """Return the folder of a queue's transcripts and logs, made if need be. Raises OSError."""
    return state.folder.below(_FOLDER, key(queue), make=True)


def names_of(agent: str) -> tuple[str, str, str]:
    """Return what may be kept of an agent: its transcript, its log, and its complaints."""
    return f"agent-{key(agent)}.jsonl", f"{key(agent)}.log", f"{key(agent)}.log.err"


def output_of(item_id: str, attempt: int) -> str:
    """Return the name of what a command printed at an attempt at an item."""
    return f"{key(item_id)}{'' if attempt == 1 else f'~{attempt}'}{_OUTPUT}"


def keep(
    state: State,
    queue: str,
    agent: str,
    transcripts: Sequence[str],
    clean: Callable[[bytes], bytes] | None = None,
) -> str | None:
    """Copy an agent's transcripts, one after another, into one file in
    `.hypervisor/outputs/<queue>/`, and return its path from the root.

    A copy that stands is replaced: the worker may have gone on. `clean` is called for each line.
    None if one can't be copied.
    """
    name = names_of(agent)[0]
    draft = f"{name}.{os.getpid()}.tmp"
    folder = None
    try:
        folder = folder_of(state, queue)
        target = folder.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with open(target, "wb") as out:
            for transcript in transcripts:
                with open(transcript, "rb") as source:
                    out.writelines(source if clean is None else map(clean, source))
        os.replace(draft, name, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
    except OSError:
        if folder is not None:
            folder.remove(draft)
        return None
    return os.path.relpath(shown(state.root, _FOLDER, key(queue), name), state.root)


def remove(state: State, files: Iterable[tuple[Place, int]]) -> None:
    """Remove files of the state (as of `stale`), and folders that are empty then."""
    for (*above, name), _ in files:
        try:
            state.folder.below(*above).remove(name)
            state.folder.below(*above[:-1]).remove_folder(above[-1])
        except OSError:
            continue


def stale(ledger: Ledger, *, seconds: float, size: int) -> list[tuple[Place, int]]:
    """Return (place, bytes) of what is older than `seconds`, then of the oldest until `size` bytes
    are left. Only what is kept of agents that the ledger knows."""
    kept = sorted((seen.st_mtime, seen.st_size, place) for place, seen in kept_of(ledger))
    total = sum(entry[1] for entry in kept)
    oldest = time.time() - seconds
    found = []
    for modified, length, place in kept:
        if modified >= oldest and total <= size:
            break
        total -= length
        found.append((place, length))
    return found


def kept_of(ledger: Ledger) -> Iterator[tuple[Place, os.stat_result]]:
    """Yield what is there of the agents that the ledger knows. What else lies in their folders was
    put there by somebody, and is theirs."""
    by_queue: dict[str, list[str]] = {}
    for agent, queue in ledger.agents.names():
        by_queue.setdefault(queue, []).append(agent)
    for queue, agents in by_queue.items():
        try:
            folder = ledger.state.folder.below(_FOLDER, key(queue))
            there = set(folder.names())
        except OSError:
            continue
        ours = {name for agent in agents for name in names_of(agent)}
        if printed := {name for name in there if name.endswith(_OUTPUT)}:
            items = set(map(key, ledger.items.ids(queue)))
            ours |= {one for one in printed if not items.isdisjoint(_items_of(one))}
        for name in sorted(there & ours):
            seen = folder.look(name)
            if seen is not None:
                yield (_FOLDER, key(queue), name), seen


def _items_of(name: str) -> tuple[str, str]:
    """Return the keys of the items, one of which has printed the file of this name."""
    kept = name.removesuffix(_OUTPUT)
    return kept, kept.rpartition("~")[0]
