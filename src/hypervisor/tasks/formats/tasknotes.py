"""TaskNotes: notes of an Obsidian vault that a tag, or a property, makes tasks. The plugin's
`data.json` says which, what its keys are called, and which statuses are completed."""

from __future__ import annotations

import json
import time

from hypervisor.tasks.edit import SetKey
from hypervisor.tasks.family import AOPS
from hypervisor.tasks.header_edit import Stamp
from hypervisor.tasks.task import Family, TaskFiles
from hypervisor.tasks.task_files import fold, parts, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypervisor.config.settings import Settings
    from hypervisor.tasks.edit import Edit
    from hypervisor.tasks.read import Document
    from hypervisor.tasks.task import Task

# Stands among the settings of a vault whose own can't be read.
_BROKEN = "broken"
_DATA = ".obsidian/plugins/tasknotes/data.json"
# A field of ours, or one that only this format has: what the plugin calls it, and its usual key.
_FIELDS = {
    "title": ("title", "title"),
    "status": ("status", "status"),
    "priority": ("priority", "priority"),
    "due": ("due", "due"),
    "parent": ("projects", "projects"),
    "depends_on": ("blockedBy", "blockedBy"),
    "completed": ("completedDate", "completedDate"),
    "modified": ("dateModified", "dateModified"),
    "recurrence": ("recurrence", "recurrence"),
    "times": ("timeEntries", "timeEntries"),
}
_USUAL = (("none", False), ("open", False), ("in-progress", False), ("done", True))


class TaskNotes(TaskFiles):
    """Tasks by the names of their files."""

    name = "tasknotes"
    about = "TaskNotes of an Obsidian vault, by the settings of the plugin"
    always = True

    def family(self, above: str, folder: str) -> Family | None:
        """Anywhere in the vault but in the folders that the plugin leaves out."""
        told = _settings(above)
        excluded = told.get("excludedFolders")
        names = excluded if isinstance(excluded, list) else str(excluded or "").split(",")
        inside = "/".join(parts(folder, above))
        if any(f"{inside}/".startswith(f"{str(one).strip().strip('/')}/") for one in names if one):
            return _family({**told, "taskTag": "", "taskIdentificationMethod": "none"})
        return _family(told)

    def usual(self) -> Family:
        return _family({})

    def is_task(self, document: Document, family: Family) -> bool:
        how, key, value, *_ = family.detect
        if how == "none":
            return False
        if how == "property":
            words = document.raw_list(key) or [document.raw_text(key) or ""]
            return document.holds(key) and (not value or value in words)
        tags = document.raw_list("tags") or (document.raw_text("tags") or "").split(",")
        names = [tag.strip().lstrip("#").casefold() for tag in tags]
        return any(f"{name}/".startswith(f"{value.casefold()}/") for name in names)

    def amended(self, task: Task, document: Document, settings: Settings) -> Task:
        """A running clock says that somebody is at it, a rule that the task comes again."""
        fields = task.family.fields
        state, status = task.state, task.status
        if _BROKEN in task.family.detect:
            return task.but(state="unknown", held=f"{_DATA} can't be read: fix it")
        running = document.value(fields["times"])
        if "archived" in [tag.lstrip("#").casefold() for tag in task.tags] and state != "done":
            state, status = "cancelled", "archived"
        elif state == "ready" and isinstance(running, list):
            clocks = [one for one in running if isinstance(one, dict) and one.get("startTime")]
            if any(not one.get("endTime") for one in clocks):
                state = "in_progress"
        return task.but(
            state=state, status=status, recurs=bool(document.value(fields["recurrence"]))
        )

    def ending(self, document: Document, task: Task, state: str, at: float) -> list[Edit]:
        """The day of completion, which is the user's, and when the note was changed."""
        fields = task.family.fields
        edits: list[Edit] = []
        if state == "done":
            day = time.strftime("%Y-%m-%d", time.localtime(at))
            edits.append(SetKey(fields["completed"], Stamp(day)))
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(at))
        return [*edits, SetKey(fields["modified"], Stamp(stamp))]


def _settings(vault: str) -> dict[str, object]:
    try:
        told = json.loads(text_of(vault, _DATA) or "null")
    except (ValueError, RecursionError):
        return {_BROKEN: True}
    if not isinstance(told, dict) and (text := text_of(vault, "tasknotes.yaml")):
        import yaml

        try:
            told = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError):
            told = None
    return told if isinstance(told, dict) else {}


def _family(told: Mapping[str, object]) -> Family:
    mapping = told.get("fieldMapping")
    mapping = mapping if isinstance(mapping, dict) else {}
    fields = {**AOPS.fields}
    for field, (name, usual) in _FIELDS.items():
        fields[field] = str(mapping.get(name) or usual)
    statuses = _statuses(told.get("customStatuses"))
    states = {fold(word): "done" for word, completed in statuses if completed}
    first = fold(str(told.get("defaultTaskStatus") or "open"))
    for word, completed in statuses:
        if not completed and fold(word) in (first, "none", "open"):
            states[fold(word)] = "ready"
    done = next((word for word, completed in statuses if completed), None)
    words = {"done": done} if done is not None else {}
    for word, _ in statuses:
        if fold(word).replace("-", " ") in ("blocked", "in progress"):
            words.setdefault(fold(word).replace("-", "_").replace(" ", "_"), word)
    how = str(told.get("taskIdentificationMethod") or "tag")
    key, value = "tags", str(told.get("taskTag") or "task")
    if how == "property":
        key = str(told.get("taskPropertyName") or "")
        value = str(told.get("taskPropertyValue") or "")
    detect = (how, key, value, *([_BROKEN] if _BROKEN in told else []))
    return Family(FORMAT.name, fields, words, detect, states=states, told=True, kind=FORMAT)


def _statuses(told: object) -> list[tuple[str, bool]]:
    """Return the words and whether each is one of what is completed."""
    found = []
    for one in told if isinstance(told, list) else ():
        if isinstance(one, dict) and one.get("value") is not None:
            value = one["value"]
            word = str(value).lower() if isinstance(value, bool) else str(value)
            found.append((word, one.get("isCompleted") is True))
    return found or list(_USUAL)


FORMAT = TaskNotes()
