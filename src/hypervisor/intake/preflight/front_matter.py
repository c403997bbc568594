"""Front matter against `schemas/task.schema.json`.

The schema is the authority. A table of the usual kinds of values, which is a hundred times faster,
clears the keys that it knows to be right; only the others are put to the schema.
"""

from __future__ import annotations

import json
import os
import re
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any, NamedTuple

import hypervisor

SCHEMA = "task.schema.json"

_Kinds = frozenset[type]
_TEXT: _Kinds = frozenset({str, type(None), date, datetime})
_NUMBER: _Kinds = frozenset({int, float, type(None)})
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PRIORITIES = frozenset(
    {None, "critical", "high", "medium", "low", "Critical", "High", "Medium", "Low"}
)
_KINDS: dict[str, _Kinds] = {
    **dict.fromkeys(
        ("id", "title", "type", "status", "project", "complexity", "parent", "parent_task_id"),
        _TEXT,
    ),
    "assignee": _TEXT,
    "order": _NUMBER,
    "ordinal": _NUMBER,
    "leaf": frozenset({bool, type(None)}),
    **dict.fromkeys(
        ("due", "created", "modified", "created_date", "updated_date"),
        frozenset({date, datetime, type(None)}),
    ),
    **dict.fromkeys(
        ("depends_on", "soft_depends_on", "dependencies", "tags", "labels"),
        frozenset({type(None)}),
    ),
    "priority": frozenset({type(None)}),
}
_LISTS = frozenset({"depends_on", "soft_depends_on", "dependencies", "tags", "labels", "assignee"})
_DATES = frozenset({"due", "created", "modified", "created_date", "updated_date"})


class Violation(NamedTuple):
    """A key whose value the schema doesn't want; `unusable` if the task can't be read with it."""

    key: str
    what: str
    unusable: bool


def violations(meta: dict[str, object]) -> list[Violation]:
    """Return what the schema finds in a front matter, at most one entry per key."""
    found = []
    for key, value in meta.items():
        kinds = _KINDS.get(key)
        if kinds is not None and value.__class__ not in kinds and not _is_usual(key, value):
            violation = judged(key, value)
            if violation is not None:
                found.append(violation)
    return found


def _is_usual(key: str, value: Any) -> bool:
    if value.__class__ is list:
        return key in _LISTS and all(entry.__class__ in _TEXT and entry is not None
                                     for entry in value)  # fmt: skip
    if key in _DATES:
        return value.__class__ is str and _DATE.match(value) is not None
    if key == "priority":
        if value.__class__ is str:
            return value in _PRIORITIES
        return value.__class__ is int and 0 <= value <= 4
    return False


def judged(key: str, value: object) -> Violation | None:
    """Return what the schema itself says of one key."""
    plain = as_json(value)
    try:
        text = json.dumps(plain, sort_keys=True)
    except (ValueError, RecursionError):
        return Violation(key, "is nested too deep", True)
    return _judged(key, text)


@lru_cache(maxsize=4096)
def _judged(key: str, text: str) -> Violation | None:
    value = json.loads(text)
    worst: Violation | None = None
    for error in validator().iter_errors({key: value}):
        unusable = list(error.schema_path)[:2] == ["allOf", 0]
        if worst is None or (unusable and not worst.unusable):
            worst = Violation(key, _what(key, value), unusable)
    return worst


def _what(key: str, value: object) -> str:
    if isinstance(value, dict):
        return "is a mapping"
    if isinstance(value, list):
        odd = next((entry for entry in value if not isinstance(entry, str)), None)
        return f"is a list{'' if key not in _LISTS else f' that holds {_kind(odd)}'}"
    if key in _DATES:
        return "is no date (YYYY-MM-DD)"
    if key == "priority":
        return "is none of 0 to 4, critical, high, medium, low"
    return f"is {_kind(value)}"


def _kind(value: object) -> str:
    kinds = {dict: "a mapping", list: "a list", bool: "true or false", str: "text"}
    return "null" if value is None else kinds.get(type(value), "a number")


def as_json(value: object) -> Any:
    """Return a YAML value as JSON has it: dates as ISO text, keys as text."""
    if isinstance(value, dict):
        return {str(key): as_json(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [as_json(entry) for entry in value]
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return str(value)


@lru_cache(maxsize=1)
def validator() -> Any:
    """Return the validator for `schemas/task.schema.json`."""
    from jsonschema import Draft202012Validator

    with open(schema_path(SCHEMA), encoding="utf-8") as source:
        return Draft202012Validator(json.load(source))


def schema_path(name: str) -> str:
    """Return the path of a file in `schemas/`."""
    return os.path.join(os.path.dirname(hypervisor.__file__), "schemas", name)
