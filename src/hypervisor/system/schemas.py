"""JSON Schemas (2020-12) of answers: looked at once, then values against them.

Nothing is fetched: a `$ref` leads to a place in the schema itself. Every format that a schema names
is asserted, and one that nobody here can tell is refused.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY, Schema, SchemaResource

from hypervisor.system.errors import UsageError
from hypervisor.system.strict_json import KINDS, decoder
from hypervisor.system.text import count, either, listed, one_line

if TYPE_CHECKING:
    from referencing._core import Resolver

LARGEST = 64 * 1024
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SHOWN = 3
_DATE = r"\d{4}-\d\d-\d\d"
_TIME = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"
_URI = r"[!#$%&'()*+,\-./0-9:;=?@A-Z_a-z~\[\]]*"
_LABEL = r"[0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?"
_SPAN = r"P(?=[\dT])(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?)"


def _matches(pattern: str) -> Callable[[str], bool]:
    whole = re.compile(pattern)
    return lambda text: whole.fullmatch(text) is not None


def _is_date(text: str) -> bool:
    if re.fullmatch(_DATE, text) is None:
        return False
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_moment(text: str) -> bool:
    return _is_date(text[:10]) and re.fullmatch(f"[Tt ]{_TIME}", text[10:]) is not None


def _is_address(text: str, *, scheme: bool = True) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    broken = re.search(r"%(?![0-9A-Fa-f]{2})", text) is not None
    return (
        not broken
        and bool(parts.scheme or not scheme)
        and re.search(r"[\s<>\"{}|\\^`]", text) is None
    )


# What is asserted, beside what jsonschema asserts with the standard library alone.
_FORMATS: dict[str, Callable[[str], bool]] = {
    "date": _is_date,
    "date-time": _is_moment,
    "time": _matches(_TIME),
    "duration": _matches(_SPAN),
    "email": _matches(r"[^@\s]{1,64}@[^@\s]{1,255}"),
    "hostname": lambda text: len(text) <= 253 and _matches(rf"{_LABEL}(\.{_LABEL})*")(text),
    "uri": lambda text: _matches(_URI)(text) and _is_address(text),
    "uri-reference": lambda text: _matches(_URI)(text) and _is_address(text, scheme=False),
    "iri": _is_address,
    "iri-reference": lambda text: _is_address(text, scheme=False),
    "json-pointer": _matches(r"(/([^~/]|~[01])*)*"),
    "relative-json-pointer": _matches(r"(0|[1-9]\d*)(#|(/([^~/]|~[01])*)*)"),
}
_OWN = ("ipv4", "ipv6", "regex", "uuid")


def _checker() -> FormatChecker:
    checker = FormatChecker(_OWN)
    for name, holds in _FORMATS.items():
        checker.checks(name)(lambda value, holds=holds: not isinstance(value, str) or holds(value))
    return checker


def load(text: str, path: str) -> str:
    """Return the schema in `text`, the content of the file at `path`, as it is kept. Raises
    UsageError for what is not a schema, or leads out of the file."""
    shown = one_line(path)
    try:
        schema: object = decoder().decode(text)
    except RecursionError:
        raise UsageError(f"{shown}: nested too deep", "write it flatter") from None
    except ValueError as error:
        raise UsageError(f"{shown}: not JSON: {one_line(error, 120)}", "fix it") from None
    if not isinstance(schema, dict):
        raise UsageError(
            f"{shown}: {KINDS[type(schema)]}, no schema", 'write an object, e.g. {"type": "object"}'
        )
    try:
        Draft202012Validator.check_schema(schema, format_checker=_checker())
    except SchemaError as error:
        where = _place("schema", error.absolute_path)
        raise UsageError(f"{shown}: {where}: {one_line(error.message, 200)}", "fix it") from None
    resource = DRAFT202012.create_resource(schema)
    registry = EMPTY_REGISTRY.with_resource("", resource)
    for part, resolver in _parts(resource, registry.resolver_with_root(resource)):
        for key in ("$ref", "$dynamicRef"):
            if key in part:
                try:
                    resolver.lookup(str(part[key]))
                except (Unresolvable, ValueError):
                    raise UsageError(
                        f"{shown}: {key} {one_line(part[key], 120)} leads to nothing in the file",
                        "write what it names below $defs; nothing is fetched",
                    ) from None
        name = part.get("format")
        if name is not None and name not in (*_FORMATS, *_OWN):
            known = ", ".join(sorted((*_FORMATS, *_OWN)))
            raise UsageError(
                f"{shown}: format {one_line(name, 60)} can't be checked",
                f"one of these can: {known}",
            )
        if str(part.get("$schema", _DIALECT)).rstrip("#") != _DIALECT:
            raise UsageError(
                f"{shown}: $schema {one_line(part['$schema'], 120)} is not JSON Schema 2020-12",
                f"write the schema for {_DIALECT}",
            )
    return json.dumps(schema, ensure_ascii=False)


def _parts(
    resource: SchemaResource, resolver: Resolver[Schema]
) -> Iterator[tuple[Mapping[str, object], Resolver[Schema]]]:
    """Yield each part of a schema that is an object, and what resolves its references."""
    if not isinstance(resource.contents, bool):
        yield resource.contents, resolver
    for part in resource.subresources():
        yield from _parts(part, resolver.in_subresource(part))


def validator(schema: str) -> Validator:
    """Return what validates against a schema that `load` has looked at."""
    told = json.loads(schema)
    return Draft202012Validator(told, registry=EMPTY_REGISTRY, format_checker=_checker())


def faults(known: Validator, answer: str | bytes) -> str:
    """Return where `answer`, as JSON, does not fit and by which rule, "" where it does: the first
    few."""
    found: list[str] = []
    for error in known.iter_errors(json.loads(answer)):
        found.append(_told(_deepest(error)))
        if len(found) > _SHOWN:
            return f"{'; '.join(found[:_SHOWN])}; and more"
    return "; ".join(found)


def _deepest(error: ValidationError) -> ValidationError:
    """Return what is wrong with the alternative that fits best, where only one has anything wrong
    that is not its kind."""
    while error.context and error.validator in ("anyOf", "oneOf"):
        inner: list[ValidationError] = [
            one for one in error.context if one.validator not in ("type", "const", "enum")
        ]
        if len({one.schema_path[0] for one in inner}) != 1:
            break
        error = inner[0]
    return error


def _place(root: str, path: Iterable[str | int]) -> str:
    """Return a place as people write it: `answer.pages[0]`."""
    told = root
    for one in path:
        if isinstance(one, int):
            told += f"[{one}]"
        else:
            told += f".{one}" if one.isidentifier() else f"[{json.dumps(one, ensure_ascii=False)}]"
    return one_line(told, 200)


_facts = attrgetter("validator_value", "instance")


def _told(error: ValidationError) -> str:
    place = _place("answer", error.absolute_path)
    rule, value = _facts(error)
    shown = one_line(json.dumps(value, ensure_ascii=False), 80)
    match error.validator:
        case "required":
            missing = [name for name in rule if name not in value]
            return f"{place}: {listed([json.dumps(one) for one in missing], 5, 60)} is missing"
        case "additionalProperties" | "unevaluatedProperties" if rule is False:
            return f"{place}: {one_line(error.message, 200)}"
        case "type":
            kinds = [rule] if isinstance(rule, str) else rule
            return f"{place}: {shown} is {KINDS[type(value)]}, not {' or '.join(kinds)}"
        case "enum":
            options = listed([json.dumps(one, ensure_ascii=False) for one in rule], 12, 60)
            return f"{place}: {shown} is not one of {options}"
        case "const":
            return f"{place}: {shown} is not {one_line(json.dumps(rule, ensure_ascii=False), 80)}"
        case "maximum":
            return f"{place}: {shown} is above {rule}"
        case "minimum":
            return f"{place}: {shown} is below {rule}"
        case "exclusiveMaximum":
            return f"{place}: {shown} is not below {rule}"
        case "exclusiveMinimum":
            return f"{place}: {shown} is not above {rule}"
        case "maxLength" | "minLength":
            word = "at most" if error.validator == "maxLength" else "at least"
            return f"{place}: {shown} has {count(len(value), 'character')}, not {word} {rule}"
        case "maxItems" | "minItems":
            word = "at most" if error.validator == "maxItems" else "at least"
            entries = either(len(value), "entry", "entries")
            return f"{place}: it has {len(value)} {entries}, not {word} {rule}"
        case "pattern":
            return f"{place}: {shown} does not match {one_line(rule, 120)}"
        case "format":
            return f"{place}: {shown} is not a valid {rule}"
        case None:
            return f"{place}: nothing is allowed there"
        case _:
            return f"{place}: {error.validator}: {one_line(error.message, 200)}"
