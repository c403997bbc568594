"""The index on the disk, so that the next process need not read every file again.

It is a help and never a truth: an entry counts only while its file looks as it did then, and what
can't be read is made anew. It is JSON, since it lies in a folder that may come with a project.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence

from hypervisor.config.roots import state_dir
from hypervisor.task_index.entry import Entry
from hypervisor.tasks.family import Family

NAME = "task-index.json"


def load(root: str, key: str, families: Sequence[Family]) -> dict[str, Entry]:
    """Return the entries that were kept under `key`, by path; none if there are no such."""
    try:
        with open(os.path.join(state_dir(root), NAME), encoding="utf-8") as source:
            kept = json.load(source)
        if kept["key"] != key:
            return {}
        return {row[0]: Entry.of_row(row, families) for row in kept["entries"]}
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return {}


def save(root: str, key: str, families: Sequence[Family], entries: Iterable[Entry]) -> None:
    """Keep `entries` under `key`, where the root has a folder for state."""
    folder = state_dir(root)
    if not os.path.isdir(folder):
        return
    draft = os.path.join(folder, f"{NAME}.{os.getpid()}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            text = json.dumps({"key": key, "entries": [entry.row(families) for entry in entries]})
            out.write(text)
        os.replace(draft, os.path.join(folder, NAME))
    except OSError:
        return
