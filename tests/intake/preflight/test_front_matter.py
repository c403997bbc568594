"""Front matter against the schema: one key at a time as the schema does it at once."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from hypervisor.config.settings import load
from hypervisor.intake.preflight import Preflight, front_matter
from hypervisor.system.errors import BrokenFile
from hypervisor.tasks.front_matter import task_of
from hypervisor.tasks.read import parse, read

Write = Callable[..., Path]
Sort = Callable[..., Preflight]

SCHEMA = json.loads(Path(front_matter.schema_path(front_matter.SCHEMA)).read_text())
KEYS = SCHEMA["$defs"]["usual"]["properties"]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 6)
    | st.floats(allow_nan=True)
    | st.dates()
    | st.datetimes()
    | st.text(max_size=4)
    | st.sampled_from(["high", "Low", "P1", "2026-01-20", "2026-01-20T10:00", "active", "soon"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
)
metas = st.dictionaries(st.sampled_from([*KEYS, "else"]), values, max_size=6)


def by_schema(meta: dict[str, Any]) -> dict[str, bool]:
    """Return the keys that the schema itself does not want, and whether they are unusable."""
    found: dict[str, bool] = {}
    for error in Draft202012Validator(SCHEMA).iter_errors(front_matter.as_json(meta)):
        key = str(error.absolute_path[0])
        found[key] = found.get(key, False) or list(error.schema_path)[:2] == ["allOf", 0]
    return found


def by_key(meta: dict[str, Any]) -> dict[str, bool]:
    return {one.key: one.unusable for one in front_matter.violations(meta)}


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@given(metas)
def test_key_by_key_it_is_as_the_whole_schema_says(meta: dict[str, Any]) -> None:
    assert by_key(meta) == by_schema(meta)


@pytest.mark.parametrize("key", [*KEYS, "else"])
@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        "",
        0,
        4,
        5,
        -1,
        2.0,
        2.5,
        True,
        datetime.date(2026, 1, 2),
        datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC),
        [],
        ["a"],
        ["a", 1],
        ["a", None],
        [["a"]],
        [[["a"]]],
        [[[["a"]]]],
        [datetime.date(2026, 1, 2)],
        {},
        {"a": 1},
        [{"a": 1}],
        "high",
        "2026-01-02",
        "02.01.2026",
    ],
)
def test_key_by_key_it_is_as_the_whole_schema_says_on_odd_values(key: str, value: object) -> None:
    assert by_key({key: value}) == by_schema({key: value})


def test_key_by_key_it_is_as_the_whole_schema_says_on_real_files(backlog_md: Path) -> None:
    looked_at = 0
    for path in backlog_md.rglob("*.md"):
        try:
            meta = read(str(path)).meta
        except BrokenFile:
            continue
        looked_at += 1
        assert by_key(meta or {}) == by_schema(meta or {})
    assert looked_at > 30


def test_what_one_file_was_checked_for_is_not_checked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = """---
id: {0}
title: {0}
type: task
status: active
priority: 2
order: {1}
due: 2026-02-01
parent: {0}
depends_on: []
tags: [{0}, b]
assignee: ['@{0}']
leaf: true
project: {0}
---
"""
    first, second = (
        parse(usual.format(word, number).encode(), "a.md").meta or {}
        for word, number in (("one", 1), ("two", 2))
    )
    assert front_matter.violations(first) == []

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} was put to the schema")

    monkeypatch.setattr(front_matter.json, "loads", refuse)
    assert front_matter.violations(second) == []


@given(metas)
def test_whatever_passes_the_schema_can_be_read_as_a_task(meta: dict[str, Any]) -> None:
    import yaml

    text = f"---\n{yaml.safe_dump(meta, allow_unicode=True)}---\n"
    try:
        document = parse(text.encode("utf-8", "replace"), "a.md")
    except BrokenFile:
        return
    task_of(document, load("/nonexistent"))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("title: {a: b}", "title is a mapping"),
        ("title: [Learn]", "title is a list"),
        ("status: {a: b}", "status is a mapping"),
        ("status: [a, b]", "status is a list"),
        ("id: [a]", "id is a list"),
        ("depends_on: [{a: b}]", "depends_on is a list that holds a mapping"),
        ("dependencies: {a: b}", "dependencies is a mapping"),
        ("parent: {a: b}", "parent is a mapping"),
    ],
)
def test_a_value_that_cannot_be_read_breaks_the_file_and_names_its_line(
    line: str, told: str, write: Write, sort: Sort
) -> None:
    key = line.split(":")[0]
    usual = [f"{name}: x" for name in ("id", "title", "type", "status") if name != key]
    write("a.md", "\n".join(["---", *usual, "type2: task", line, "---", ""]))
    checked = sort()
    (broken,) = checked.broken
    assert (broken.path, broken.line, broken.reason) == ("a.md", len(usual) + 3, told)
    assert broken.fix


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"priority": "P1"}, "priority is not a priority (0 to 4, critical, high, medium, low)"),
        ({"priority": "5"}, "priority is not a priority (0 to 4, critical, high, medium, low)"),
        ({"title": "2026"}, "title is a number"),
        ({"id": "20260119"}, "id is a number"),
        ({"created": "soon"}, "created is not a date (YYYY-MM-DD)"),
        ({"tags": "review2"}, "tags is one word, read as a list of one"),
        ({"status": "[active]"}, "status is a list of one; read as 'active'"),
        ({"tags": "[1, 2]"}, "tags is a list that holds a number"),
    ],
)
def test_a_value_that_can_be_read_is_a_warning(
    keys: dict[str, str], told: str, task: Write, sort: Sort
) -> None:
    task("a.md", **keys)
    checked = sort()
    assert len(checked.ready) == 1
    assert [warning.reason for warning in checked.warnings] == [told]


def test_front_matter_of_other_files_is_not_judged(write: Write, sort: Sort) -> None:
    write("a.md", "---\ntitle: {a: b}\ndepends_on: [{a: b}]\n---\n")
    assert [entry.kind for entry in sort().skipped] == ["not_a_task"]
