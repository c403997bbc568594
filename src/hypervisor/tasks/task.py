"""A task as its front matter tells it, whatever family of files it comes from."""

from __future__ import annotations

import os

from hypervisor.system.late import late
from hypervisor.system.records import Record
from hypervisor.tasks.family import Family, family_of
from hypervisor.tasks.read import Document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.config.settings import Settings

_ID_KEYS = ("id", "task_id", "permalink")
_WIKILINK = late(r"\[\[([^\[\]]+)\]\]")


class Task(Record):
    """What the front matter says, as text where it was written as text, numbers or dates alike.

    `id` is None for a task that has none; its path names it then. `title` falls back to the stem
    of the file's name. `status` is the word as written, None if there is none; `state` its class.
    `assignee` is the first of `assignees`. `warnings` are oddities that were read with good will.
    """

    id: str | None
    title: str
    status: str | None
    state: str
    type: str | None
    parent: str | None
    depends_on: list[str]
    assignee: str | None
    assignees: list[str]
    tags: list[str]
    project: str | None
    complexity: str | None
    priority: str | None
    due: str | None
    family: Family
    warnings: list[str]


def task_of(document: Document, settings: Settings) -> Task | None:
    """Return the task in `document`, None if it is none.

    A task has a status, a known type, or an id and a title.
    """
    if not document.keys:
        return None
    family = family_of(document.keys, settings)
    keys = family.fields
    warnings: list[str] = []
    raw = document.raw_text
    status = raw(keys["status"])
    kind = raw(keys["type"])
    task_id = raw(keys["id"])
    if not task_id:
        for key in _ID_KEYS:
            task_id = raw(key)
            if task_id:
                break
    title = raw(keys["title"])
    odd_status = False
    if status is None and document.holds(keys["status"]):
        words = document.raw_list(keys["status"])
        if words is not None and len(words) == 1:
            status = words[0]
            warnings.append(f"{keys['status']} is a list of one; read as '{status}'")
        else:
            odd_status = True
            warnings.append(f"{keys['status']} is not a word")
    known_type = kind is not None and kind.lower() in settings.task_types
    if not (status or odd_status or known_type or (task_id and title)):
        return None
    assignees = _words(document, keys["assignee"], warnings, scalar_is_usual=True)
    return Task(
        id=task_id.strip() or None if task_id else None,
        title=title or os.path.splitext(os.path.basename(document.path))[0],
        status=status or None,
        state="unknown" if odd_status else settings.status_class(status),
        type=kind or None,
        parent=_parent(document, keys["parent"], warnings),
        depends_on=[link_target(word) for word in _words(document, keys["depends_on"], warnings)],
        assignee=assignees[0] if assignees else None,
        assignees=assignees,
        tags=_words(document, keys["tags"], warnings),
        project=raw(keys["project"]) or None,
        complexity=raw(keys["complexity"]) or None,
        priority=raw(keys["priority"]) or None,
        due=raw(keys["due"]) or None,
        family=family,
        warnings=warnings,
    )


def link_target(word: str) -> str:
    """Return the id that `[[folder/id|shown]]` or `[[id#part]]` links to; other text as it is."""
    found = _WIKILINK.fullmatch(word.strip()) if "[" in word else None
    if found is None:
        return word
    target = found[1].split("|", 1)[0].split("#", 1)[0].strip()
    target = target.rsplit("/", 1)[-1]
    return target.removesuffix(".md") or word


def _parent(document: Document, key: str, warnings: list[str]) -> str | None:
    raw = document.raw_text(key)
    if raw:
        return link_target(raw)
    words = document.raw_list(key)
    if not words:
        return None
    if len(words) > 1:
        warnings.append(f"{key} is a list; its first entry counts")
    return link_target(words[0])


def _words(
    document: Document, key: str, warnings: list[str], *, scalar_is_usual: bool = False
) -> list[str]:
    """Return the entries of a list, or a lone value as a list of one, with a warning."""
    if not document.holds(key):
        return []
    words = document.raw_list(key)
    if words is None:
        raw = document.raw_text(key)
        if raw is None:
            warnings.append(f"{key} is neither a word nor a list; it is left out")
            return []
        if not raw.strip():
            return []
        if not scalar_is_usual:
            warnings.append(f"{key} is one word, read as a list of one")
        return [raw]
    return [word for word in words if word.strip()]
