"""The word that the end of a task is written with: the one of the place where it lies."""

from __future__ import annotations

import os

from hypervisor.system.late import late
from hypervisor.system.reading import KIB, NotReadable, read_start
from hypervisor.tasks import task_files
from hypervisor.tasks.edit import SetKey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.config.settings import Settings
    from hypervisor.tasks.read import Document
    from hypervisor.tasks.task import Task

_LOOKED_AT = 200
_HEADER = 4 * KIB
_SPECIAL = frozenset("#\"'[{")
_VALUE = late(r"[ \t]*(?:\"([^\"\\]*)\"|'([^']*)'|([^#\"'\[{]*?))[ \t]*(?:#.*)?")


def word_for(state: str, task: Task, document: Document, settings: Settings) -> str | None:
    """Return the word for the class `state` of status that goes into a task's file, None for none.

    It is the project's own where that lists its words, else the one that most tasks beside it
    have, else its family's.
    """
    if task.family.told:
        return task.family.words.get(state)
    return _of_siblings(state, task, document, settings) or task.family.words.get(state)


def written(word: str, task: Task, document: Document) -> SetKey:
    """Return the edit that has `word` as the status: as a truth value, or as a list of one, where
    the one that stands is that."""
    stands = document.value(task.status_key)
    if isinstance(stands, bool) and word in ("true", "false"):
        return SetKey(task.status_key, word == "true")
    is_lone = isinstance(stands, list) and len(stands) == 1
    return SetKey(task.status_key, [word] if is_lone else word)


def _of_siblings(state: str, task: Task, document: Document, settings: Settings) -> str | None:
    """Return the word that most of the tasks in the same folder have which are in `state`."""
    folder = os.path.dirname(document.path)
    counted: dict[str, int] = {}
    for name in _notes(folder):
        path = os.path.join(folder, name)
        family = task_files.of_path(path)
        # What a format lists for its own files is no word for others.
        word = None if family and family.told else _status(path, task.status_key)
        if word and settings.status_class(word) == state:
            counted[word] = counted.get(word, 0) + 1
    return max(counted, key=counted.__getitem__) if counted else None


def _notes(folder: str) -> list[str]:
    """Return the names of the first Markdown files that a folder lists, sorted: not all of them,
    since there may be very many."""
    names: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".md"):
                    names.append(entry.name)
                    if len(names) == _LOOKED_AT:
                        break
    except OSError:
        return []
    return sorted(names)


def _status(path: str, key: str) -> str | None:
    try:
        raw = read_start(path, _HEADER)
    except (OSError, NotReadable):
        return None
    if key.encode() not in raw:
        return None
    header = raw.decode("utf-8", "replace")
    lines = header.removeprefix("\ufeff").lstrip().split("\n")
    if lines[0].rstrip() != "---":
        return None
    for line in lines[1:]:
        if line.startswith("---"):
            return None
        name, colon, value = line.rstrip("\r").partition(":")
        if not colon or name.rstrip(" \t") != key:
            continue
        if _SPECIAL.isdisjoint(value):
            return value.strip(" \t")
        found = _VALUE.fullmatch(value)
        if found is not None:
            return (found[1] or found[2] or found[3] or "").strip()
    return None
