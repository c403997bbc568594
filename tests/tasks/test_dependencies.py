"""What a task waits for is read from whatever keys hold it, and never dropped."""

from __future__ import annotations

import pytest

from hypervisor.tasks.dependencies import Dependencies, dependencies, link_target
from tasks.support import document


def told(*lines: str, key: str = "depends_on", ignored: tuple[str, ...] = ()) -> Dependencies:
    return dependencies(document("---\n" + "\n".join(lines) + "\n---\n"), key, ignored)


@pytest.mark.parametrize(
    "key",
    ["depends_on", "dependencies", "blocked_by", "blockedBy", "depends", "requires", "Depends-On"],
)
def test_a_key_says_that_its_holder_waits(key: str) -> None:
    assert told(f"{key}: [a, '[[folder/B|shown]]', 3]").waits == ["a", "folder/B", "3"]


@pytest.mark.parametrize("key", ["blocks", "Blocking"])
def test_a_key_says_that_the_other_waits(key: str) -> None:
    found = told(f"{key}: [a]")
    assert (found.blocks, found.waits) == (["a"], [])


@pytest.mark.parametrize("value", ["none", "N/A", "'-'", "''", "[]", "", "[none]", "false", "null"])
def test_nothing_means_nothing(value: str) -> None:
    assert told(f"depends_on: {value}") == Dependencies([], [], {}, [], [])


def test_one_text_may_list_several() -> None:
    assert told("depends_on: a, b").waits == ["a", "b"]
    assert told("depends_on: '[[One, two]]'").waits == ["One, two"]


@pytest.mark.parametrize(
    ("entry", "waits", "blocks"),
    [
        ("{issue_id: x, depends_on_id: a, type: blocks}", ["a"], []),
        ("{type: blocks, target: a}", [], ["a"]),
        ("{uid: '[[A]]', reltype: FINISHTOSTART}", ["A"], []),
        ("{id: a}", ["a"], []),
        ("{type: waits-for, id: 7}", ["7"], []),
        ("{type: related, target: a}", [], []),
    ],
)
def test_a_mapping_says_the_direction(entry: str, waits: list[str], blocks: list[str]) -> None:
    found = told("dependencies:", f"  - {entry}")
    assert (found.waits, found.blocks, found.unread) == (waits, blocks, [])
    assert bool(found.remarks) == ("related" in entry)


@pytest.mark.parametrize(
    "lines",
    [
        ["depends_on: {after: lunch}"],
        ["blocked_by:", "  - when: the roof is on"],
        ["dependencies:", "  - [a, [b]]"],
        ["depends_on: true"],
        ["waits: {x: {y: z}}"],
    ],
)
def test_what_cant_be_understood_is_named(lines: list[str]) -> None:
    assert told(*lines).unread == [lines[0].split(":")[0]]


def test_other_keys_may_say_so_unless_they_are_ignored() -> None:
    lines = ["needs: [gpu]", "waiting-on: b", "after: 2026-01-01", "blocked: true", "prereq:"]
    assert told(*lines).may == {"needs": ["gpu"], "waiting-on": ["b"]}
    assert told(*lines, ignored=("needs",)).may == {"waiting-on": ["b"]}


def test_the_key_of_the_family_counts_whatever_it_is_called() -> None:
    assert told("previous: [a]", key="previous").waits == ["a"]


def test_a_link_is_the_name_in_it() -> None:
    assert link_target("[[a/b.md#part|text]]") == "b"
    assert link_target(" plain ") == "plain"


@pytest.mark.parametrize(
    "value",
    [
        "'[A](a.md)'",
        "'[A](./a.md)'",
        "['[the A, b](a.md#part)']",
        "'`a`'",
        "a;a",
        "|\n  - a\n  - a",
    ],
)
def test_a_name_is_read_out_of_what_stands_around_it(value: str) -> None:
    assert set(told(f"depends_on: {value}").waits) == {"a"}


def test_a_link_of_markdown_may_be_escaped() -> None:
    assert told("depends_on: '[x](Move%20house.md)'").waits == ["Move house"]
    assert link_target("[x](../a/Move%20house.md)") == "Move house"


def test_a_date_to_come_holds_and_one_that_is_past_does_not() -> None:
    assert told("blocked_until: 2999-01-01").unread == ["blocked_until"]
    assert told("blocked_until: 2001-01-01") == Dependencies([], [], {}, [], [])
