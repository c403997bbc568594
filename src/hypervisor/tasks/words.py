"""The word that the end of a task is written with: the one of the place where it lies."""

from __future__ import annotations

import os

from hypervisor.system.late import late
from hypervisor.system.reading import KIB, NotReadable, read_start
from hypervisor.tasks import task_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.config.settings import Settings
    from hypervisor.tasks.read import Document
    from hypervisor.tasks.task import Task

_LOOKED_AT = 200
_HEADER = 4 * KIB
_LINE = late(r"([\w-]+)[ \t]*:[ \t]*(?:\"([^\"\\]*)\"|'([^']*)'|([^#\"'\[{]*?))[ \t]*(?:#.*)?")


def word_for(state: str, task: Task, document: Document, settings: Settings) -> str | None:
    """Return the word for the class `state` of status that goes into a task's file, None for none.

    It is the project's own where that lists its words, else the one that most tasks beside it
    have, else its family's.
    """
    if task.family.told:
        return task.family.words.get(state)
    return _of_siblings(state, task, document, settings) or task.family.words.get(state)


def _of_siblings(state: str, task: Task, document: Document, settings: Settings) -> str | None:
    """Return the word that most of the tasks in the same folder have which are in `state`."""
    folder = os.path.dirname(document.path)
    counted: dict[str, int] = {}
    try:
        names = [name for name in sorted(os.listdir(folder)) if name.endswith(".md")]
    except OSError:
        return None
    for name in names[:_LOOKED_AT]:
        path = os.path.join(folder, name)
        family = task_files.of_path(path)
        # What a format lists for its own files is no word for others.
        word = None if family and family.told else _status(path, task.status_key)
        if word and settings.status_class(word) == state:
            counted[word] = counted.get(word, 0) + 1
    return max(counted, key=counted.__getitem__) if counted else None


def _status(path: str, key: str) -> str | None:
    try:
        header = read_start(path, _HEADER).decode("utf-8", "replace")
    except (OSError, NotReadable):
        return None
    lines = header.removeprefix("\ufeff").lstrip().split("\n")
    if lines[0].rstrip() != "---":
        return None
    for line in lines[1:]:
        if line.startswith("---"):
            return None
        found = _LINE.fullmatch(line.rstrip("\r")) if line.startswith(key) else None
        if found is not None and found[1] == key:
            return (found[2] or found[3] or found[4] or "").strip()
    return None
