"""The index on the disk, so that the next process need not read every file again.

It is a help and never a truth: an entry counts only while its file looks as it did then, and what
can't be read is made anew. It is JSON, since it lies in a folder that may come with a project.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from hypervisor.intake.index.entry import Entry
from hypervisor.system.reading import json_value
from hypervisor.system.state import Foreign, State
from hypervisor.tasks.task import Family

NAME = "task-index.json"


def load(root: str, key: str, family_of: Callable[[str, str], Family]) -> dict[str, Entry]:
    """Return the entries that were kept under `key`, by path; none if there are no such."""
    try:
        state = State.find(root)
        if state is None:
            return {}
        kept = json_value(state.folder.read(NAME).decode())
        if kept["key"] != key:
            return {}
        return {row[0]: Entry.of_row(row, family_of) for row in kept["entries"]}
    except (Foreign, OSError, ValueError, KeyError, TypeError, StopIteration, RecursionError):
        return {}


def save(root: str, key: str, entries: Iterable[Entry]) -> None:
    """Keep `entries` under `key`, where the root has a folder for state."""
    try:
        state = State.find(root)
        if state is not None:
            rows = [entry.row() for entry in entries]
            state.folder.write(NAME, json.dumps({"key": key, "entries": rows}).encode())
    except (Foreign, OSError):
        return
