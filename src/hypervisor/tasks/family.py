"""The families of task files: which key holds what, and which status words a family writes."""

from __future__ import annotations

from hypervisor.tasks import task_files
from hypervisor.tasks.task import Family

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Set

    from hypervisor.config.settings import FamilyTable, Settings

# What task_of asks for -> the key that holds it, where a family does not say otherwise.
_FIELDS = {
    "id": "id",
    "title": "title",
    "status": "status",
    "type": "type",
    "parent": "parent",
    "depends_on": "depends_on",
    "assignee": "assignee",
    "tags": "tags",
    "project": "project",
    "complexity": "complexity",
    "priority": "priority",
    "due": "due",
    "files": "files",
}


AOPS = Family(
    "aops",
    _FIELDS,
    {
        "ready": "active",
        "in_progress": "in_progress",
        "blocked": "blocked",
        "waiting": "waiting",
        "done": "done",
        "cancelled": "cancelled",
    },
    (
        "depends_on",
        "soft_depends_on",
        "parent",
        "tags",
        "permalink",
        "alias",
        "created",
        "modified",
    ),
)
BACKLOG = Family(
    "backlog",
    _FIELDS
    | {
        "parent": "parent_task_id",
        "depends_on": "dependencies",
        "tags": "labels",
        "files": "modified_files",
    },
    {"ready": "To Do", "in_progress": "In Progress", "done": "Done"},
    ("dependencies", "parent_task_id", "labels", "created_date", "updated_date"),
    frozenset({"depends_on", "tags", "assignee", "files"}),
)
_BUILT_IN = (AOPS, BACKLOG)


def family_of(keys: Set[str], settings: Settings, path: str, format: str | None = None) -> Family:
    """Return the family that a front matter with these keys, of the file at `path`, belongs to.

    That of `format` if somebody has said that; a family of the settings if one of its `detect` keys
    is there, the first in their order; the format of the folder; else the built-in one of which
    most keys are there, AOPS on a tie.
    """
    if format in task_files.TASK_FILES:
        return task_files.told(format, path)
    for entry in settings.families:
        if not keys.isdisjoint(entry["detect"]):
            return _told(entry)
    found = task_files.of_path(path)
    if found is not None:
        return found
    backlog = sum(key in keys for key in BACKLOG.detect)
    if backlog and backlog > sum(key in keys for key in AOPS.detect):
        return task_files.get(BACKLOG.name).outside(path)
    return AOPS


def family_named(name: str, settings: Settings, path: str) -> Family:
    """Return the family called `name` that the file at `path` was found to be of."""
    found = task_files.of_path(path)
    if found is not None and found.name == name:
        return found
    known = (*map(_told, settings.families), *_BUILT_IN)
    return next(one for one in known if one.name == name)


# Made once for each entry of the settings, by what stands in it.
_MADE: dict[str, Family] = {}


def _told(entry: FamilyTable) -> Family:
    """Return the Family of an entry of the settings; fields that it leaves out keep their names.

    A family with the name of a built-in one starts from that.
    """
    key = repr(entry)
    if key not in _MADE:
        _MADE[key] = _made(**entry)
    return _MADE[key]


def _made(name: str, detect: list[str], fields: dict[str, str], words: dict[str, str]) -> Family:
    for base in _BUILT_IN:
        if base.name == name:
            merged = {**base.fields, **fields}
            return Family(name, merged, {**base.words, **words}, tuple(detect), base.lists)
    return Family(name, _FIELDS | fields, words, tuple(detect))
