"""Workers' transcripts, kept with their queue when a worker ends: the client deletes its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from hypervisor.config.roots import state_dir
from hypervisor.system.keys import key


def folder_of(root: str, queue: str) -> str:
    """Return the folder of a queue's transcripts and logs; it need not exist."""
    return os.path.join(state_dir(root), "outputs", key(queue))


def keep(
    root: str,
    queue: str,
    agent: str,
    transcript: str,
    clean: Callable[[bytes], bytes] | None = None,
) -> str | None:
    """Copy a transcript to `.hypervisor/outputs/<queue>/` and return the copy's path from `root`.

    A copy that stands is replaced: the worker may have gone on. `clean` is called for each line.
    None if there is none to copy.
    """
    # Every command that looks at queues loads this module, and few of them keep anything.
    import shutil

    folder = folder_of(root, queue)
    target = os.path.join(folder, f"agent-{key(agent)}.jsonl")
    temporary = f"{target}.{os.getpid()}.tmp"
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if clean is None:
            shutil.copyfile(transcript, temporary)
        else:
            with open(transcript, "rb") as source, open(temporary, "wb") as out:
                out.writelines(clean(line) for line in source)
        os.replace(temporary, target)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        return None
    return os.path.relpath(target, root)


def prune(root: str, *, seconds: float, size: int) -> int:
    """Remove what `stale` returns; return how many files went."""
    gone = 0
    for path, _ in stale(root, seconds=seconds, size=size):
        try:
            os.unlink(path)
        except OSError:
            continue
        gone += 1
    return gone


def stale(root: str, *, seconds: float, size: int) -> list[tuple[str, int]]:
    """Return (path, bytes) of what is older than `seconds`, then of the oldest until `size` bytes
    are left."""
    top = os.path.join(state_dir(root), "outputs")
    kept = []
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            try:
                seen = os.stat(path)
            except OSError:
                continue
            kept.append((seen.st_mtime, seen.st_size, path))
    kept.sort()
    total = sum(entry[1] for entry in kept)
    oldest = time.time() - seconds
    found = []
    for modified, length, path in kept:
        if modified >= oldest and total <= size:
            break
        total -= length
        found.append((path, length))
    return found
