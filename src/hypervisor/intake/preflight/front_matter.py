"""Front matter against `schemas/task.schema.json`.

Ten thousand files hold few kinds of values. So each key is put to its own part of the schema, once
for each kind of value, or for each value where the schema looks at more than its kind.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Set
from datetime import date, datetime, time
from functools import cache, lru_cache
from typing import Any, NamedTuple

import hypervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

SCHEMA = "task.schema.json"
# Keywords that look at the kind of a value only.
_OF_KINDS = frozenset({"anyOf", "description", "items", "maxItems", "title", "type"})
# Class of a value -> a value of that kind, as JSON.
_KINDS: dict[type, str] = {
    str: '""',
    date: '""',
    datetime: '""',
    bool: "false",
    int: "0",
    float: "0.5",
    type(None): "null",
    dict: "{}",
}
_encode = json.JSONEncoder(sort_keys=True).encode


class Violation(NamedTuple):
    """A key whose value the schema doesn't want; `unusable` if the task can't be read with it."""

    key: str
    what: str
    unusable: bool


def violations(meta: dict[str, object]) -> list[Violation]:
    """Return what the schema finds in a front matter, at most one entry per key."""
    found = []
    parts = _parts()
    for key, value in meta.items():
        part = parts.get(key)
        if part is None or value.__class__ in part.right or _has_form(value, part.form):
            continue
        try:
            if part.of_kinds:
                text = _kind_of(value)
            else:
                text = str(value) if value.__class__ is int else _encode(as_json(value))
        except (ValueError, RecursionError):
            found.append(Violation(key, "is nested too deep", True))
            continue
        violation = _judged(key, text)
        if violation is not None:
            found.append(violation)
        elif part.of_kinds and value.__class__ in _KINDS:
            part.right.add(value.__class__)
    return found


def looked_at() -> Set[str]:
    """Return the keys that the schema says anything of."""
    return _parts().keys()


class _Part(NamedTuple):
    """What the schema says of one key; `of_kinds` if the kind of a value is all it looks at,
    `right` the classes of values that it was found to want, and `form` the pattern of a text that
    is surely wanted: hardly two files have the same dates."""

    usable: Draft202012Validator | None
    usual: Draft202012Validator
    of_kinds: bool
    right: set[type]
    form: re.Pattern[str] | None


@cache
def _parts() -> dict[str, _Part]:
    from jsonschema import Draft202012Validator

    definitions = _schema()["$defs"]
    usable, usual = (
        {key: _inlined(part, definitions) for key, part in definitions[name]["properties"].items()}
        for name in ("usable", "usual")
    )
    return {
        key: _Part(
            Draft202012Validator(usable[key]) if key in usable else None,
            Draft202012Validator(usual[key]),
            _is_of_kinds(usable.get(key, True)) and _is_of_kinds(usual[key]),
            set(),
            _form_of(usual[key]) if key not in usable else None,
        )
        for key in usual
    }


def _form_of(schema: object) -> re.Pattern[str] | None:
    """Return the pattern that is all that a schema asks of a text, None for any other."""
    if not isinstance(schema, dict) or schema.keys() != {"title", "type", "pattern"}:
        return None
    return re.compile(schema["pattern"]) if "string" in schema["type"] else None


def _has_form(value: object, form: re.Pattern[str] | None) -> bool:
    if form is None or _KINDS.get(value.__class__) != _KINDS[str]:
        return False
    return form.search(str(as_json(value))) is not None


def _inlined(schema: object, definitions: dict[str, object]) -> Any:
    """Return a schema with what it refers to in its place: looking that up takes the longest."""
    if isinstance(schema, list):
        return [_inlined(entry, definitions) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(entry, definitions) for name, entry in schema.items()}


def _is_of_kinds(schema: object) -> bool:
    if not isinstance(schema, dict):
        return schema is True
    if not _OF_KINDS.issuperset(schema) or "integer" in schema.get("type", ()):
        return False
    return all(map(_is_of_kinds, (*schema.get("anyOf", ()), schema.get("items", True))))


def _kind_of(value: object) -> str:
    """Return, as JSON, a value of the same kind, its entries too if it is a list."""
    known = _KINDS.get(value.__class__)
    if known is not None:
        return known
    if isinstance(value, (list, tuple, set)):
        return f"[{','.join(map(_kind_of, value))}]"
    return _encode(as_json(value))


@lru_cache(maxsize=4096)
def _judged(key: str, text: str) -> Violation | None:
    value, part = json.loads(text), _parts()[key]
    unusable = part.usable is not None and not part.usable.is_valid(value)
    if not unusable and part.usual.is_valid(value):
        return None
    return Violation(key, _what(value, part.usual), unusable)


def _what(value: object, usual: Draft202012Validator) -> str:
    if isinstance(value, dict):
        return "is a mapping"
    if isinstance(value, list):
        odd = next((entry for entry in value if not isinstance(entry, str)), None)
        return f"is a list that holds {_kind(odd)}" if usual.is_valid([]) else "is a list"
    schema = usual.schema
    wanted = schema.get("title") if isinstance(schema, dict) else None
    return f"is not a {wanted}" if wanted else f"is {_kind(value)}"


def _kind(value: object) -> str:
    kinds = {dict: "a mapping", list: "a list", bool: "true or false", str: "text"}
    return "null" if value is None else kinds.get(type(value), "a number")


def as_json(value: object) -> object:
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


def _schema() -> Any:
    with open(schema_path(SCHEMA), encoding="utf-8") as source:
        return json.load(source)


def schema_path(name: str) -> str:
    """Return the path of a file in `schemas/`."""
    return os.path.join(os.path.dirname(hypervisor.__file__), "schemas", name)
