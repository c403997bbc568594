"""Workers' transcripts, kept with their queue when a worker ends: the client deletes its own."""

from __future__ import annotations

import os
import shutil
import time

from hypervisor.config.roots import state_dir
from hypervisor.encode import key


def keep(root: str, queue: str, agent: str, transcript: str) -> str | None:
    """Copy a transcript to `.hypervisor/outputs/<queue>/` and return the copy's path from `root`.

    A copy that stands is replaced: the worker may have gone on. None if there is none to copy.
    """
    folder = os.path.join(state_dir(root), "outputs", key(queue))
    target = os.path.join(folder, f"agent-{key(agent)}.jsonl")
    temporary = f"{target}.{os.getpid()}.tmp"
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        shutil.copyfile(transcript, temporary)
        os.replace(temporary, target)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        return None
    return os.path.relpath(target, root)


def prune(root: str, *, seconds: float, size: int) -> int:
    """Remove what is older than `seconds`, then the oldest until `size` bytes are left.

    Returns how many files went.
    """
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
    gone = 0
    for modified, length, path in kept:
        if modified >= oldest and total <= size:
            break
        try:
            os.unlink(path)
        except OSError:
            continue
        total -= length
        gone += 1
    return gone
