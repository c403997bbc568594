from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hypervisor.config.settings import Settings
from hypervisor.tasks.family import AOPS, BACKLOG, family_of
from hypervisor.tasks.front_matter import is_closed_by_reason, task_of
from hypervisor.tasks.read import parse
from hypervisor.tasks.task import Task
from tasks.support import document, readable


def task(settings: Settings, *lines: str, path: str = "folder/some-task.md") -> Task | None:
    return task_of(document("---\n" + "\n".join(lines) + "\n---\nBody.\n", path), settings)


def told(settings: Settings, *lines: str) -> Task:
    found = task(settings, *lines)
    assert found is not None
    return found


def test_a_status_or_a_known_type_makes_a_task(defaults: Settings) -> None:
    assert task(defaults, "status: active")
    assert task(defaults, "type: Bug")
    assert task(defaults, "id: a", "title: b", "status:")
    for lines in (
        ["id: a", "title: b"],
        ["permalink: p", "title: b"],
        ["title: a note"],
        ["id: a"],
        ["type: recipe"],
        ["tags: [a]"],
        ["status:"],
    ):
        assert task(defaults, *lines) is None
    assert task_of(document("# note\n"), defaults) is None


def test_ids_and_titles_are_text_as_written(defaults: Settings) -> None:
    found = told(defaults, "id: 1.10", "title: 2026", "due: 2026-02-01", "status: Done")
    assert (found.id, found.title, found.due, found.state) == ("1.10", "2026", "2026-02-01", "done")
    assert told(defaults, "id: 01", "status: x").id == "01"


def test_the_id_is_looked_for_in_the_older_keys_too(defaults: Settings) -> None:
    assert told(defaults, "permalink: p", "task_id: t", "status: x").id == "t"
    assert told(defaults, "id: null", "permalink: p", "status: x").id == "p"
    assert told(defaults, "status: x").id is None


def test_a_task_without_a_title_is_named_by_its_file(defaults: Settings) -> None:
    assert told(defaults, "id: a", "status: x").title == "some-task"


def test_one_word_where_a_list_belongs_is_a_list_of_one_with_a_warning(defaults: Settings) -> None:
    found = told(defaults, "status: active", "tags: review", "depends_on: aops-aaaa1111")
    assert found.tags == ["review"]
    assert found.depends_on == ["aops-aaaa1111"]
    assert found.warnings == ["tags is one word, read as a list of one"]


def test_null_lists_are_empty_and_make_no_trouble(defaults: Settings) -> None:
    found = told(defaults, "id: 20260119", "status: active", "depends_on: null", "tags:")
    assert (found.depends_on, found.tags, found.warnings) == ([], [], [])


@pytest.mark.parametrize(
    "written",
    ['"[[aops-epic-x|Epic X]]"', "[[aops-epic-x]]", "aops-epic-x", '"[[folder/aops-epic-x#^a]]"'],
)
def test_a_parent_may_be_a_wikilink(defaults: Settings, written: str) -> None:
    assert told(defaults, "status: x", f"parent: {written}").parent == "aops-epic-x"


def test_dependencies_may_be_wikilinks(defaults: Settings) -> None:
    found = told(defaults, "status: x", "depends_on:", '- "[[a|A]]"', "- [[b]]", "- c")
    assert found.depends_on == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("Done", "done"),
        ("completed", "done"),
        ("in-progress", "in_progress"),
        ("ISSUES_FOUND", "failed"),
        ("Won't Do", "cancelled"),
        ("qwerty", "unknown"),
        ("2026", "unknown"),
        ("[a, b]", "unknown"),
        ("{a: b}", "unknown"),
    ],
)
def test_a_status_has_a_class_and_an_unknown_one_is_never_ready(
    defaults: Settings, word: str, state: str
) -> None:
    assert told(defaults, f"status: {word}").state == state


def test_an_empty_assignee_is_none(defaults: Settings) -> None:
    for written in ("[]", "", "null", "''", "[null]"):
        assert told(defaults, "status: x", f"assignee: {written}").assignee is None
    assert told(defaults, "status: x", "assignee: ['@a', b]").assignees == ["@a", "b"]


def test_the_two_families_are_told_apart(defaults: Settings, backlog_md: Path) -> None:
    names = set()
    for found in readable(backlog_md):
        one = task_of(found, defaults)
        if one is not None:
            names.add(one.family.name)
            assert one.state != "unknown"
    assert names == {"backlog"}
    assert told(defaults, "id: a", "status: x", "tags: [a]").family is AOPS
    assert told(defaults, "status: x").family is AOPS


def test_backlog_fields_have_their_own_keys(defaults: Settings) -> None:
    found = told(
        defaults, "status: To Do", "dependencies: [task-1]", "parent_task_id: task-2", "labels: [a]"
    )
    assert (found.depends_on, found.parent, found.tags) == (["task-1"], "task-2", ["a"])
    assert found.family.name == "backlog"
    assert "blocked" not in found.family.words
    assert "cancelled" not in found.family.words


def test_a_family_of_the_settings_comes_first() -> None:
    entry = {
        "name": "ours",
        "detect": ["blocked_by"],
        "fields": {"depends_on": "blocked_by"},
        "words": {"done": "Fertig"},
    }
    settings: Any = SimpleNamespace(families=(entry,))
    family = family_of({"blocked_by", "dependencies", "labels"}, settings, "/a.md")
    assert (family.name, family.words) == ("ours", {"done": "Fertig"})
    assert (family.fields["depends_on"], family.fields["status"]) == ("blocked_by", "status")
    assert family_of({"dependencies", "labels"}, settings, "/a.md").name == BACKLOG.name


@pytest.mark.parametrize("header", ["Status: Done", "STATE: closed", "completed: yes"])
def test_finished_is_finished_in_whatever_letters_it_is_said(
    header: str, defaults: Settings
) -> None:
    assert told(defaults, "id: a", "type: task", header).state == "done"


@pytest.mark.parametrize(
    "status",
    [
        "\u2705 Done",
        "Done \u2705",
        "'[[Done]]'",
        "'#done'",
        "done.",
        "3. Done",
        "Done (2026-01-02)",
    ],
)
def test_what_stands_beside_a_status_does_not_hide_it(status: str, defaults: Settings) -> None:
    assert told(defaults, f"status: {status}").state == "done"


@pytest.mark.parametrize("status", ["done?", "50% done", "~~done~~", "not done"])
def test_what_turns_a_status_round_does_not_go(status: str, defaults: Settings) -> None:
    assert told(defaults, f"status: {status}").state == "unknown"


def test_keys_may_begin_with_capitals(defaults: Settings) -> None:
    found = told(defaults, "ID: x", "Title: X", "Status: Todo", "Priority: 1", "Parent: '[[E]]'")
    assert (found.id, found.title, found.state, found.status_key) == ("x", "X", "ready", "Status")
    assert (found.priority, found.parent) == ("1", "E")


@pytest.mark.parametrize(
    ("key", "recurs"),
    [("repeat: weekly", True), ("Recurrence: x", True), ("recurrence: none", False),
     ("recurring: 'no'", False), ("repeat: false", False), ("rec: 1w", True)],
)  # fmt: skip
def test_a_task_recurs_by_any_key_that_says_how(key: str, recurs: bool, defaults: Settings) -> None:
    assert told(defaults, "status: todo", key).recurs is recurs


@pytest.mark.parametrize("key", ["blocked", "draft"])
def test_a_flag_goes_before_a_status_that_is_ready(key: str, defaults: Settings) -> None:
    assert told(defaults, "status: todo", f"{key}: true").state == key
    assert told(defaults, "status: done", f"{key}: true").state == "done"


@pytest.mark.parametrize(
    "lines",
    [("title: <Task name>",), ("title: '%title%'",), ("title: '{% x %}'",), ("id: '{{id}}'",),
     ("title: T", "template: true"), ("title: T", "type: [note]")],
)  # fmt: skip
def test_what_is_to_be_filled_in_is_no_task(lines: tuple[str, ...], defaults: Settings) -> None:
    assert task(defaults, "status: todo", *lines) is None


@pytest.mark.parametrize(
    ("name", "is_task"),
    [("template.md", False), ("_Template.md", False), ("Task Template.md", False),
     ("00-template-issue.md", False), ("fix-template.md", True), ("templates-of-mail.md", True)],
)  # fmt: skip
def test_a_template_is_none_by_its_name(name: str, is_task: bool, defaults: Settings) -> None:
    found = task_of(parse(b"---\ntitle: T\nstatus: todo\n---\n", f"/p/{name}"), defaults)
    assert (found is not None) is is_task


@pytest.mark.parametrize(
    ("closed", "since"),
    [("closed_at: 2026-05-29", "modified: 2026-08-15"),
     ("closedAt: 2026-05-29T16:22:02Z", "updatedAt: 2026-08-15T05:34:49Z"),
     ("closed_at: 2026-05-29T23:22:02+02:00", "updated_at: 2026-05-29T22:00:00Z"),
     ("closed_at: 2026-05-29", "reopened_at: 2026-06-01")],
)  # fmt: skip
def test_a_change_after_the_end_opens_a_task_again(closed: str, since: str) -> None:
    assert not is_closed_by_reason(document(f"---\nclose_reason: x\n{closed}\n{since}\n---\n"))
    assert is_closed_by_reason(document(f"---\nclose_reason: x\n{closed}\n---\n"))


def test_a_title_is_no_comment_in_code(defaults: Settings) -> None:
    text = b"---\nstatus: todo\n---\n```\n# no\n```\n# TASK-12: Mailer\n"
    found = task_of(parse(text, "/p/a.md"), defaults)
    assert found is not None and found.title == "Mailer"
