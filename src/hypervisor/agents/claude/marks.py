"""What Claude Code notes of a worker's end, in the file beside its transcript."""

from __future__ import annotations

import os

from hypervisor.agents.claude import files
from hypervisor.system.reading import NotReadable, at, json_value, read_file

STOPPED, _FINISHED = "stoppedByUser", "finished"
# As much as it ever holds, and more.
_LARGEST = 1 << 16


def has(path: str, mark: str) -> bool:
    """True if the worker whose transcript is `path` has been given a mark."""
    try:
        meta = json_value(read_file(_beside(path), _LARGEST)[0].decode())
    except (OSError, NotReadable, ValueError, RecursionError):
        return False
    return at(meta, mark) is True


def finished_at(path: str) -> float | None:
    """Return when the worker whose transcript is `path` was marked as finished (Unix time), or
    None."""
    try:
        marked = os.stat(_beside(path)).st_mtime
    except OSError:
        return None
    return marked if has(path, _FINISHED) else None


def _beside(path: str) -> str:
    return files.of_worker(path)[-1].removesuffix(".jsonl") + ".meta.json"
