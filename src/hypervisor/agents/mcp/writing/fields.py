"""The fields of a task that callers name, as the keys and values of its file."""

from __future__ import annotations

from collections.abc import Mapping

from hypervisor.config.settings import Settings
from hypervisor.system.errors import UsageError
from hypervisor.system.reading import MIB
from hypervisor.system.text import one_line
from hypervisor.tasks.dependencies import link_target
from hypervisor.tasks.edit import Edit, SetKey
from hypervisor.tasks.header_edit import RemoveKey
from hypervisor.tasks.read import Document
from hypervisor.tasks.task import Family

FIELDS = (
    "title", "type", "status", "priority", "order", "parent", "depends_on", "soft_depends_on",
    "due", "project", "tags", "assignee", "complexity",
)  # fmt: skip
LISTS = frozenset({"depends_on", "soft_depends_on", "tags"})
NUMBERS = frozenset({"order"})

Value = str | int | list[str]

BODY = MIB
_FIELD = 10_000


def check_size(fields: Mapping[str, object], body: str) -> None:
    """Raise UsageError for fields or a body that are larger than a task's ever are."""
    if len(body) > BODY:
        raise UsageError("the body is larger than 1 MiB", "put long text into a file of its own")
    for field, told in fields.items():
        if len(str(told)) > _FIELD:
            raise UsageError(
                f"{one_line(field, 40)} is longer than {_FIELD:,} characters", "shorten it"
            )


def key_of(field: str, family: Family) -> str:
    """Return the key that holds a field in files of a family."""
    return family.fields.get(field, field)


def value_of(field: str, told: object, family: Family, settings: Settings) -> Value:
    """Return what a caller told of a field as it is written; "" and [] clear it.

    Lists may come as one text with commas. Raises UsageError for what is none of a field's values.
    """
    if isinstance(told, list):
        words = [link_target(str(word).strip()) for word in told if str(word).strip()]
        if field not in LISTS:
            raise UsageError(f"{field} takes one value, not a list")
        return words
    text = str(told).strip()
    if not text:
        return [] if field in LISTS else ""
    if field in LISTS:
        return [link_target(word.strip()) for word in text.split(",") if word.strip()]
    if field in NUMBERS or (field == "priority" and text.lstrip("-").isdecimal()):
        try:
            return int(text)
        except ValueError:
            raise UsageError(f"{field} is a whole number, not '{one_line(text, 40)}'") from None
    if "\n" in text or "\r" in text:
        raise UsageError(f"{field} takes one line")
    if field == "status":
        return _status(text, family, settings)
    if field == "type" and text.lower() not in settings.task_types:
        known = ", ".join(sorted(settings.task_types))
        raise UsageError(f"unknown type '{one_line(text, 40)}'", f"known: {known}")
    return link_target(text) if field == "parent" else text


def edits_of(
    document: Document, family: Family, values: Mapping[str, Value]
) -> list[tuple[str, list[Edit]]]:
    """Return for each field the edits that give it its value."""
    meta = document.meta or {}
    found: list[tuple[str, list[Edit]]] = []
    for field, value in values.items():
        key = key_of(field, family)
        held = meta.get(key)
        edits: list[Edit] = []
        if value in ("", []):
            edits = [RemoveKey(key)] if key in meta else []
        elif isinstance(value, list) and held is not None and not isinstance(held, list):
            edits = [RemoveKey(key), SetKey(key, value)]
        elif field == "assignee" and (isinstance(held, list) or _listed(field, family, held)):
            edits = [SetKey(key, [str(value)])]
        else:
            edits = [SetKey(key, value)]
        found.append((field, edits))
    return found


def _listed(field: str, family: Family, held: object) -> bool:
    return held is None and field in family.lists


def _status(word: str, family: Family, settings: Settings) -> str:
    state = settings.status_class(word)
    if state == "unknown":
        known = ", ".join(sorted({one for words in settings.status.values() for one in words}))
        raise UsageError(f"unknown status '{one_line(word, 40)}'", f"known: {known}")
    # `done` means Done where a family writes that.
    return family.words.get(state, word) if word == state and family.name != "aops" else word
