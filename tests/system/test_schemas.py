"""Schemas of answers: nothing is fetched, formats are asserted, and what does not fit is named."""

from __future__ import annotations

import json
import os

import pytest

from hypervisor.system import schemas, validating
from hypervisor.system.errors import UsageError


def faults(schema: dict[str, object], value: object) -> str:
    return schemas.faults(
        schemas.validator(schemas.load(json.dumps(schema), "s.json")), json.dumps(value)
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ("[]", "an array, no schema"),
        ('{"type": "object", "type": "string"}', "'type' appears twice"),
        ('{"type": "objekt"}', "schema.type"),
        ('{"pattern": "("}', "schema.pattern"),
        ('{"$ref": "https://example.org/s.json"}', "leads to nothing in the file"),
        ('{"$ref": "file:///etc/passwd"}', "leads to nothing in the file"),
        ('{"items": {"$ref": "#/$defs/none"}}', "leads to nothing in the file"),
        ('{"$schema": "http://json-schema.org/draft-07/schema#"}', "is not JSON Schema 2020-12"),
        ('{"properties": {"a": {"format": "zip"}}}', "format zip can't be checked"),
    ],
)
def test_what_is_no_schema_or_leads_out_of_it_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError) as refused:
        schemas.load(text, "s.json")
    assert str(refused.value).startswith("s.json: ") and why in str(refused.value)


def test_names_of_keywords_are_names_where_they_are_data() -> None:
    for data in (
        {"properties": {"$ref": {"type": "string"}, "format": {"type": "string"}}},
        {"enum": [{"$ref": "x", "format": "zip"}]},
    ):
        schemas.load(json.dumps(data), "s.json")


def test_a_reference_leads_to_a_part_of_the_schema() -> None:
    schema = {"$defs": {"n": {"type": "number"}}, "properties": {"x": {"$ref": "#/$defs/n"}}}
    assert faults(schema, {"x": "a"}) == 'answer.x: "a" is a string, not number'
    assert faults(schema, {"x": 1.5}) == ""


@pytest.mark.parametrize(
    ("format", "good", "bad"),
    [
        ("date", "2024-02-29", "2023-02-29"),
        ("date-time", "2024-02-29T23:59:60Z", "2024-02-29"),
        ("time", "08:00:00+02:00", "8:00"),
        ("duration", "P1DT2H", "1 day"),
        ("email", "ada@example.org", "ada"),
        ("hostname", "a.example.org", "-a.example"),
        ("ipv4", "127.0.0.1", "127.0.0.256"),
        ("ipv6", "::1", "1::2::3"),
        ("uri", "https://example.org/a?b=c#d", "example.org"),
        ("uri-reference", "/a/b", "a b"),
        ("iri", "https://example.org/ä", "ä"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
        ("regex", "^a+$", "("),
        ("json-pointer", "/a/~0b", "a"),
        ("relative-json-pointer", "1/a", "/a"),
    ],
)
def test_formats_are_asserted(format: str, good: str, bad: str) -> None:
    assert faults({"format": format}, good) == ""
    assert faults({"format": format}, bad) == f'answer: "{bad}" is not a valid {format}'


@pytest.mark.parametrize(
    ("schema", "value", "told"),
    [
        ({"maximum": 10}, 11, "answer: 11 is above 10"),
        ({"minimum": 0}, -1, "answer: -1 is below 0"),
        ({"required": ["a", "b"]}, {"a": 1}, 'answer: "b" is missing'),
        ({"enum": ["a", "b"]}, "c", 'answer: "c" is not one of "a", "b"'),
        ({"const": 1}, 2, "answer: 2 is not 1"),
        ({"maxLength": 2}, "abc", 'answer: "abc" has 3 characters, not at most 2'),
        ({"items": {"minItems": 1}}, [[]], "answer[0]: it has 0 entries, not at least 1"),
        ({"pattern": "^a"}, "b", 'answer: "b" does not match ^a'),
        ({"type": ["integer", "null"]}, True, "answer: true is true or false, not integer or null"),
        ({"properties": {"a b": {"maximum": 1}}}, {"a b": 2}, 'answer["a b"]: 2 is above 1'),
        ({"anyOf": [{"type": "null"}, {"maximum": 1}]}, 2, "answer: 2 is above 1"),
        ({"items": {"type": "null"}}, [1] * 9, "; and more"),
    ],
)
def test_the_place_and_the_rule_are_named(
    schema: dict[str, object], value: object, told: str
) -> None:
    assert told in faults(schema, value)


def test_a_process_of_its_own_validates_and_is_kept() -> None:
    schema = json.dumps({"pattern": "^a"})
    assert validating.faults(schema, "b") == 'answer: "b" does not match ^a'
    first = validating._known[os.getpid(), schema].pid
    assert validating.faults(schema, "ä\n") != "" and validating.faults(schema, "a") == ""
    assert validating._known[os.getpid(), schema].pid == first


@pytest.mark.thorough
def test_what_takes_longer_than_a_second_is_refused_and_the_next_is_looked_at() -> None:
    schema = json.dumps({"pattern": "^(a+)+$"})
    assert "within 1 s" in validating.faults(schema, "a" * 60 + "!")
    assert validating.faults(schema, "aaa") == ""


def test_a_schema_that_leads_into_itself_ends_in_a_refusal() -> None:
    assert "leads into itself" in validating.faults(json.dumps({"$ref": "#"}), 1)
