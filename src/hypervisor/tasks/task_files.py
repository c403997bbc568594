"""Formats in which a file is one task, known by the folder where the files lie.

One module a format, as for files of many items. What one of them says of its tasks goes before what
is known of keys and words everywhere.
"""

from __future__ import annotations

import os

from hypervisor.system.late import late
from hypervisor.system.lazy import by_name
from hypervisor.system.reading import MIB, NotReadable, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.tasks.task import Family, TaskFiles

# Name: module, and what stands in a folder at or above that of the tasks, one of which tells.
TASK_FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ccpm": ("ccpm", ("epic.md", ".claude/epics")),
    "taskmd": ("taskmd", (".taskmd.yaml", ".taskmd.yml")),
    "tbd": ("tbd", (".tbd",)),
    "tasknotes": ("tasknotes", (".obsidian/plugins/tasknotes", "tasknotes.yaml")),
    "backlog": (
        "backlog",
        ("config.yml", "config.yaml", "backlog.config.yml", "backlog", ".backlog"),
    ),
    "compound-engineering": ("compound", ()),
}
_DEEPEST = 8
_TODO = late(r"(?i)\d{3,}-(?:pending|ready|complete)-p\d-.*\.md")
# By the folder of the tasks.
_known: dict[str, Family | None] = {}


def get(name: str) -> TaskFiles:
    """Return the format called `name`."""
    made: TaskFiles = by_name(f"hypervisor.tasks.formats.{TASK_FILES[name][0]}").FORMAT
    return made


def told(name: str, path: str) -> Family:
    """Return the keys and words of a file of which somebody has said that it is of the format
    `name`."""
    found = of_path(path)
    return found if found is not None and found.name == name else get(name).usual()


def of_path(path: str) -> Family | None:
    """Return the keys and words of the file at `path`, if it lies where a format has its tasks."""
    folder, _, name = path.rpartition("/")
    if name[:3].isdigit() and _TODO.fullmatch(name):
        return get("compound-engineering").usual()
    if folder not in _known:
        _known[folder] = _climb(os.path.abspath(folder))
    return _known[folder]


def _climb(folder: str) -> Family | None:
    above = folder
    for _ in range(_DEEPEST):
        for name, (_module, marks) in TASK_FILES.items():
            if any(os.path.exists(os.path.join(above, mark)) for mark in marks):
                found = get(name).family(above, folder)
                if found is not None:
                    return found
        higher = os.path.dirname(above)
        if higher == above or os.path.exists(os.path.join(above, ".git")):
            return None
        above = higher
    return None


def parts(folder: str, above: str) -> list[str]:
    """Return the names of the folders from `above` down to `folder`."""
    below = os.path.relpath(folder, above)
    return [] if below == "." else below.split("/")


def text_of(*path: str) -> str:
    """Return the text of a small file, "" for none."""
    try:
        return read_file(os.path.join(*path), MIB)[0].decode("utf-8-sig")
    except (OSError, NotReadable, UnicodeDecodeError):
        return ""


def fold(word: str) -> str:
    """Return a status word as the formats compare it."""
    return " ".join(word.split()).casefold()
