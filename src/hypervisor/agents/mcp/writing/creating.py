"""A new task: its id, its place among its like, and its first text."""

from __future__ import annotations

import datetime
import os
import re
from collections import Counter
from collections.abc import Mapping

from hypervisor.agents.mcp.writing.fields import Value, check_size, key_of, value_of
from hypervisor.config.roots import create_state, is_outside
from hypervisor.intake.index import Entry, TaskIndex
from hypervisor.system.errors import UsageError
from hypervisor.system.text import one_line
from hypervisor.tasks import read
from hypervisor.tasks.create import create as create_file
from hypervisor.tasks.family import AOPS, BACKLOG
from hypervisor.tasks.front_matter import task_of
from hypervisor.tasks.header_edit import written
from hypervisor.tasks.task import Family

_LONGEST_SLUG = 50
_PROJECT = re.compile(r"[^\W_][\w.-]{0,39}")
_ORDER = (
    "id", "title", "permalink", "alias", "type", "status", "priority", "order", "created",
    "modified", "created_date", "parent", "depends_on", "soft_depends_on", "due", "project",
    "tags", "assignee", "complexity",
)  # fmt: skip
_NUMBERED = re.compile(r"task-(\d+)")


def create(index: TaskIndex, fields: Mapping[str, object], body: str = "") -> Entry:
    """Make the file of a new task below the index's root and return its entry.

    It is written as the tasks of its project are, or most tasks here. No file is ever replaced.
    Raises UsageError for fields that a task can't have, for a body larger than `BODY` and for a
    folder that leads out of the root, and NotWritten.
    """
    check_size(fields, body)
    root, settings = index.root, index.settings
    # Two that number their tasks must not choose one number.
    with create_state(root).folder.locked("create.lock"):
        index.refresh()
        project = str(fields.get("project") or "").strip()
        if project and not _PROJECT.fullmatch(project):
            raise UsageError(
                f"a project can't be called '{one_line(project, 60)}'",
                "use up to 40 letters, digits, dots, dashes and underscores",
            )
        like = _like(index, project)
        family = like[0].task.family if like and like[0].task else AOPS
        values = {
            field: value_of(field, told, family, settings)
            for field, told in fields.items()
            if told not in (None, "", [])
        }
        if not str(values.get("title", "")).strip():
            raise UsageError("a task has a title", 'write task_title="…"')
        item_id, name = _named(index, family, project, str(values["title"]))
        path = os.path.join(root, _folder(like, project, family), name)
        if is_outside(root, os.path.dirname(path)):
            raise UsageError(
                f"{one_line(os.path.dirname(path))}: leads out of the project",
                "remove the link, or give the task another project",
            )
        text = _text(item_id, name, values, family, body)
        try:
            document = read.parse(text.encode(), path)
        except UnicodeEncodeError:
            raise UsageError("the text holds half of a character", "fix its escape") from None
        if task_of(document, settings) is None or document.raw_text("id") != item_id:
            raise UsageError("these fields don't make a task", "give it a title and a known type")
        create_file(path, text.encode())
    index.refresh()
    made = index.at(os.path.relpath(path, root))
    if made is None:
        raise UsageError(f"{path}: made, but in a folder that is left out", "see [walk] skip")
    return made


def _like(index: TaskIndex, project: str) -> list[Entry]:
    """Return the tasks that a new one is written like: of its project, else all."""
    entries = list(index.entries())
    own = [one for one in entries if one.task and (one.task.project or "") == project]
    families = Counter(one.task.family.name for one in own or entries if one.task)
    if not families:
        return []
    most = families.most_common(1)[0][0]
    return [one for one in own or entries if one.task and one.task.family.name == most]


def _folder(like: list[Entry], project: str, family: Family) -> str:
    """Return the folder for a new task, from the root."""
    own = [one for one in like if one.task and (one.task.project or "") == project]
    if own:
        return Counter(os.path.dirname(one.path) for one in own).most_common(1)[0][0]
    if family.name == BACKLOG.name:
        return Counter(os.path.dirname(one.path) for one in like).most_common(1)[0][0]
    return os.path.join(project, "tasks") if project else os.path.join("tasks", "inbox")


def _named(index: TaskIndex, family: Family, project: str, title: str) -> tuple[str, str]:
    """Return the id of a new task and the name of its file."""
    if family.name == BACKLOG.name:
        numbers = [int(found[1]) for one in index.ids() if (found := _NUMBERED.fullmatch(one))]
        item_id = f"task-{max(numbers, default=0) + 1}"
        words = re.sub(r"[^\w.-]+", "-", title)[:_LONGEST_SLUG].strip("-.")
        return item_id, f"{item_id} - {words}.md" if words else f"{item_id}.md"
    while True:
        item_id = f"{project or 'task'}-{os.urandom(4).hex()}"
        if not index.find(item_id):
            break
    slug = re.sub(r"[^\w\s-]", "", title.lower())
    slug = re.sub(r"[\s_-]+", "-", slug)[:_LONGEST_SLUG].strip("-")
    return item_id, f"{item_id}-{slug}.md" if slug else f"{item_id}.md"


def _text(item_id: str, name: str, values: Mapping[str, Value], family: Family, body: str) -> str:
    now = datetime.datetime.now(datetime.UTC)
    keys: dict[str, Value] = {"id": item_id}
    if family.name == BACKLOG.name:
        keys |= {"status": family.words["ready"], "created_date": now.strftime("%Y-%m-%d %H:%M")}
        keys |= {"dependencies": [], "labels": [], "assignee": []}
    else:
        stamp = now.isoformat(timespec="microseconds")
        alias = [name.removesuffix(".md"), item_id]
        keys |= {"permalink": item_id, "alias": list(dict.fromkeys(alias)), "type": "task"}
        keys |= {"status": "inbox", "priority": 2, "order": 0, "created": stamp, "modified": stamp}
        keys |= {"depends_on": []}
    for field, value in values.items():
        key = key_of(field, family)
        keys[key] = [str(value)] if field == "assignee" and family.name == BACKLOG.name else value
    lines = [f"{key}: {_yaml(keys[key])}" for key in sorted(keys, key=_place)]
    text = body.replace("\r\n", "\n").strip("\n")
    title = " ".join(str(values["title"]).split())
    if not re.match(r"# ", text) and family.name != BACKLOG.name:
        text = f"# {title}\n\n{text}".rstrip()
    return "---\n" + "\n".join(lines) + "\n---\n\n" + text + "\n"


def _yaml(value: Value) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(written(word) for word in value) + "]"
    return str(value) if isinstance(value, int) else written(value)


def _place(key: str) -> tuple[int, str]:
    return (_ORDER.index(key) if key in _ORDER else len(_ORDER), key)
