"""A task as its front matter tells it, whatever family of files it comes from."""

from __future__ import annotations

import os

from hypervisor.system.late import late
from hypervisor.tasks.dependencies import dependencies, folded, link_target
from hypervisor.tasks.family import family_of
from hypervisor.tasks.read import Document
from hypervisor.tasks.task import Family, Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypervisor.config.settings import Settings

_ID_KEYS = ("id", "task_id", "permalink")
_ALIAS_KEYS = ("alias", "aliases", "permalink", "task_id")
# What says how a task stands that is ready by its status, the first of them that is true.
_SAYS = {"done": "done", "completed": "done", "draft": "draft", "blocked": "blocked"}
# As `folded` returns them; `every` and the like hold too many other things.
_RECURRENCE = frozenset(
    ("recurrence", "recurring", "recur", "rrule", "rec", "recurrencerule", "repeat", "repeats",
     "repeating", "repeatevery")
)  # fmt: skip
_NEVER = ("", "none", "never", "no", "false", "off")
# When a task was closed, and when it was changed, or opened again.
_CLOSED = ("closed_at", "closedAt", "closed", "completed_at", "completedAt")
_CHANGED = (
    "updated_at", "updatedAt", "updated", "updated_date", "modified", "last_modified",
    "dateModified", "reopened_at", "reopenedAt",
)  # fmt: skip
# Pages with a status of their own are not work.
_PAGES = frozenset(
    ("adr", "area", "daily", "decision", "doc", "docs", "documentation", "glossary", "journal",
     "meeting", "meeting note", "meeting notes", "milestone", "moc", "note", "notes", "page",
     "person", "prd", "reference", "rfc", "skill", "spec", "specification", "template", "zettel")
)  # fmt: skip
_FOLDED_PAGES = frozenset(map(folded, _PAGES))
# What is ready, wherever it is said.
_SAFE = ("todo", "to do", "to-do")
# What a template has where a task has a title.
_PLACEHOLDER = late(r"\{\{|<%|\{%|<[\w ]+>$|%\w+%$|\$\{?\w+\}?$|\[(?:task )?(?:title|name)\]$")
_OPENS = ("{", "<", "%", "$", "[")
_TEMPLATE = late(
    r"(?i)[\W\d_]*(?:(?:bug|epic|feature|issue|note|story|task|todo)[-_. ]+)?template"
    r"(?:[-_. ]+(?:bug|epic|feature|issue|note|story|task|todo))?\.md"
)
_H1 = late(r"(?m)^# +(.+?)[ \t#]*$")
_KIND_OF_H1 = late(r"(?i)(?:(?:task|story)(?: [\w.-]+)?|[a-z]+-\d+): +")
_STEM = late(r"(?:[a-z]+-)?\d+(?:\.\d+)*(?: - |-(?:pending|ready|complete)-p\d-)(?=.)")


def task_of(document: Document, settings: Settings, format: str | None = None) -> Task | None:
    """Return the task in `document`, None if it is none. `format` is what somebody has said that
    it is of.

    A task has a status, or a known type. A template has neither a title nor a state yet, and a
    page's status is that of the page.
    """
    written = document.keys
    if not written:
        return None
    family = family_of(written, settings, document.path, format)
    if family.kind is not None and not family.kind.is_task(document, family):
        return None
    keys = _as_spelt(family.fields, document)
    warnings: list[str] = []
    if document.late:
        warnings.append("blank lines before the front matter, which other tools don't see")
    raw = document.raw_text
    status_key = keys["status"]
    if not document.holds(status_key):
        status_key = _other_status_key(document, keys["id"]) or status_key
    status = raw(status_key)
    kind = raw(keys["type"])
    title = raw(keys["title"]) or raw("name")
    if kind is None and document.holds(keys["type"]):
        kinds = document.raw_list(keys["type"]) or []
        kind = next((one for one in kinds if folded(one) in _FOLDED_PAGES), None)
    odd_status = False
    if status is None and document.holds(status_key):
        words = document.raw_list(status_key)
        if words is not None and len(words) == 1:
            status = words[0]
            warnings.append(f"{status_key} is a list of one; read as '{status}'")
        else:
            odd_status = True
            warnings.append(f"{status_key} is not a word")
    known_type = kind is not None and kind.lower() in settings.task_types
    # An empty status is one that is still to come.
    empty = status_key in written and bool(title and raw(keys["id"]))
    always = family.kind is not None and family.kind.always
    if not (status or odd_status or known_type or empty or always):
        return None
    if kind is not None and not known_type and folded(kind) in _FOLDED_PAGES:
        return None
    task_id = raw(keys["id"])
    if not task_id:
        task_id = next(filter(None, map(raw, _ID_KEYS)), None)
    title = title or _heading_or_stem(document)
    if _is_template(document, title, task_id):
        return None
    state = "unknown" if odd_status else _state(family, settings, status, task_id)
    if state == "ready":
        for key, said in _SAYS.items():
            if key in written and document.value(key) is True:
                state, status = said, f"{key}: true"
                break
    assignees = _words(document, keys["assignee"], warnings, scalar_is_usual=True)
    told = dependencies(document, keys["depends_on"], settings.ignore_keys)
    task = Task(
        id=task_id.strip() or None if task_id else None,
        title=title,
        status=status or None,
        state=state,
        type=kind or None,
        parent=_parent(document, keys["parent"], warnings),
        depends_on=told.waits,
        assignee=assignees[0] if assignees else None,
        assignees=assignees,
        tags=_words(document, keys["tags"], warnings),
        project=raw(keys["project"]) or None,
        complexity=raw(keys["complexity"]) or None,
        priority=raw(keys["priority"]) or None,
        due=raw(keys["due"]) or None,
        status_key=status_key,
        aliases=_aliases(document),
        blocks=told.blocks,
        may_wait=told.may,
        unread=told.unread,
        recurs=any(_recurs(document, key) for key in written if key[:1] in ("r", "R")),
        family=family,
        warnings=[*warnings, *told.remarks],
    )
    return family.kind.amended(task, document, settings) if family.kind is not None else task


def _other_status_key(document: Document, id_key: str) -> str | None:
    """Return the key that holds a status by another name, or in other letters where an id says that
    it is a task's; None for none."""
    if document.holds("state"):
        return "state"
    spelt = (key for key in document.keys if key.casefold() in ("status", "state"))
    return next(filter(document.holds, spelt), None) if document.holds(id_key) else None


def is_closed_by_reason(document: Document) -> bool:
    """True if the front matter has a reason for which the task was closed, and the task was not
    opened again since."""
    if not document.value("close_reason"):
        return False
    if (document.raw_text("status") or "").casefold() == "reopened":
        return False
    closed = next(filter(None, map(document.raw_text, _CLOSED)), None)
    since = [told for told in map(document.raw_text, _CHANGED) if told]
    return not (closed and any(_is_later(told, closed) for told in since))


def _is_later(one: str, other: str) -> bool:
    """True if a time is after another; of what can't be read the letters tell."""
    from datetime import UTC, datetime

    try:
        times = [datetime.fromisoformat(told.strip()) for told in (one, other)]
    except ValueError:
        return one > other
    first, second = (time if time.tzinfo else time.replace(tzinfo=UTC) for time in times)
    return first > second


def _state(family: Family, settings: Settings, status: str | None, task_id: str | None) -> str:
    if task_id is not None and task_id.lower().startswith("draft-"):
        return "draft"
    word = " ".join((status or "").split()).casefold()
    own = family.states.get(word)
    if own is not None:
        return own
    state = settings.status_class(status)
    if state != "ready" or not family.told or not word or word in _SAFE:
        return state
    # A word that means "ready" elsewhere is none here, unless the settings add it.
    return state if settings.adds("ready", word) else "unknown"


def _as_spelt(fields: Mapping[str, str], document: Document) -> Mapping[str, str]:
    """Return the keys of a family as the document spells them: `Status` is `status`."""
    if not any(key[:1].isupper() for key in document.keys):
        return fields
    spelt = {key.casefold(): key for key in document.keys if key[:1].isupper()}
    return {
        field: key if key in document.keys or field == "status" else spelt.get(key.casefold(), key)
        for field, key in fields.items()
    }


def _is_template(document: Document, title: str, task_id: str | None) -> bool:
    name = os.path.basename(document.path) if "emplate" in document.path.lower() else ""
    return (
        (title.startswith(_OPENS) and _PLACEHOLDER.match(title) is not None)
        or (task_id or "").startswith(("{{", "<%"))
        or document.value("template") is True
        or (name != "" and _TEMPLATE.fullmatch(name) is not None)
    )


def _recurs(document: Document, key: str) -> bool:
    """True if a key says that its task comes again."""
    if folded(key) not in _RECURRENCE:
        return False
    raw = document.raw_text(key)
    return raw.strip().casefold() not in _NEVER if raw is not None else bool(document.value(key))


def _heading_or_stem(document: Document) -> str:
    body = document.body
    if "```" in body or "~~~" in body:
        from hypervisor.tasks import markdown

        body = markdown.prose(body)
    found = _H1.search(body)
    if found is not None:
        return _KIND_OF_H1.sub("", found[1].rstrip("\r"), 1)
    stem = os.path.splitext(os.path.basename(document.path))[0]
    return _STEM.sub("", stem, 1)


def _aliases(document: Document) -> list[str]:
    found: list[str] = []
    for key in _ALIAS_KEYS:
        if document.holds(key):
            word = document.raw_text(key)
            found += document.raw_list(key) or [] if word is None else [word]
    return found


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
