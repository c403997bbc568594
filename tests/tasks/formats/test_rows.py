"""Rows of tools that own their data: what is open, what waits, and how the tool closes it."""

from __future__ import annotations

import pytest

from hypervisor.config.settings import load
from hypervisor.tasks import formats
from hypervisor.tasks.item import Item

STATUS_CLASS = load("/").status_class


def item(row: dict[str, object], name: str) -> Item | None:
    kind = formats.of_row(row)
    assert kind.name == name
    return kind.item(row, STATUS_CLASS)


def told(row: dict[str, object], name: str) -> tuple[str, str, str]:
    found = item(row, name)
    assert found is not None
    return found.id, found.title, found.state


BEADS = {"id": "bd-1", "title": "T", "status": "open", "issue_type": "task"}


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({}, "ready"),
        ({"status": "closed"}, "done"),
        ({"status": "deferred"}, "waiting"),
        ({"status": "hooked"}, "in_progress"),
        ({"status": "custom"}, "unknown"),
        ({"issue_type": "epic"}, ""),
        ({"issue_type": "epic", "status": "in_progress"}, ""),
        ({"issue_type": "epic", "status": "blocked"}, "blocked"),
    ],
)
def test_an_issue_of_beads_stands_as_its_tool_says(more: dict[str, str], state: str) -> None:
    assert told(BEADS | more, "beads") == ("bd-1", "T", state)


@pytest.mark.parametrize(
    "more", [{"status": "tombstone"}, {"issue_type": "gate"}, {"pinned": True}]
)
def test_what_beads_keeps_beside_issues_is_none(more: dict[str, object]) -> None:
    assert item(BEADS | more, "beads") is None


def test_in_beads_the_holder_of_a_link_waits_and_a_remark_is_none() -> None:
    links = [
        {"issue_id": "bd-1", "depends_on_id": "bd-2", "type": "blocks"},
        {"issue_id": "bd-1", "depends_on_id": "bd-3", "type": "related"},
        {"issue_id": "bd-1", "depends_on_id": "bd-0", "type": "parent-child"},
    ]
    found = item(BEADS | {"dependencies": links}, "beads")
    assert found is not None
    assert (found.depends_on, found.blocks, found.parent) == (("bd-2",), (), "bd-0")


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({"state": "OPEN"}, "ready"),
        ({"state": "CLOSED"}, "done"),
        ({"state": "closed", "state_reason": "not_planned"}, "cancelled"),
        ({"state": "CLOSED", "stateReason": "DUPLICATE"}, "cancelled"),
    ],
)
def test_an_issue_of_github_is_known_by_its_number(more: dict[str, str], state: str) -> None:
    assert told({"number": 7, "title": "T", **more}, "github") == ("7", "T", state)


def test_a_pull_request_is_no_issue() -> None:
    row = {"number": 7, "title": "T", "state": "open", "pull_request": {}}
    assert item(row, "github") is None


def test_issues_of_github_wait_for_each_other() -> None:
    row = {"number": 7, "title": "T", "state": "OPEN", "blockedBy": {"nodes": [{"number": 6}]}}
    found = item(row | {"blocking": [{"number": 8}], "parent": {"number": 1}}, "github")
    assert found is not None
    assert (found.depends_on, found.blocks, found.parent) == (("6",), ("8",), "1")


def test_an_issue_of_gitlab_is_known_by_the_number_that_people_see() -> None:
    row = {"id": 99, "iid": 3, "title": "T", "state": "opened"}
    assert told(row, "gitlab") == ("3", "T", "ready")
    assert told(row | {"state": "closed"}, "gitlab")[2] == "done"


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({"Status": "To Do"}, "ready"),
        ({"Status": "Done"}, "done"),
        ({"Status": "Selected"}, "unknown"),
        ({"Status": "Selected", "Status Category": "To Do"}, "ready"),
        ({"Status": "Selected", "Resolution": "Fixed"}, "done"),
        ({"Status": "To Do", "Resolution": "Unresolved"}, "ready"),
    ],
)
def test_an_issue_of_jira_is_known_by_category_and_resolution(
    more: dict[str, str], state: str
) -> None:
    assert told({"Issue key": "A-1", "Summary": "T", **more}, "jira") == ("A-1", "T", state)


def test_issues_of_jira_wait_by_their_links() -> None:
    row = {
        "Issue key": "A-1", "Summary": "T", "Status": "To Do",
        "Inward issue link (Blocks)": ["A-2", "", "A-3"], "Outward issue link (Blocks)": "A-4",
    }  # fmt: skip
    found = item(row, "jira")
    assert found is not None
    assert (found.depends_on, found.blocks) == (("A-2", "A-3"), ("A-4",))


def test_the_dates_of_linear_tell_whatever_the_state_is_called() -> None:
    row = {"ID": "E-1", "Team": "x", "Title": "'=1+1", "Status": "Shipping", "Completed": ""}
    assert told(row, "linear") == ("E-1", "=1+1", "ready")
    assert told(row | {"Completed": "2026-01-02"}, "linear")[2] == "done"
    assert told(row | {"Started": "2026-01-02"}, "linear")[2] == "in_progress"
    plain = {"ID": "E-1", "Team": "E", "Title": "T", "Status": "Backlog"}
    assert told(plain, "linear")[2] == "ready"
    assert told(plain | {"Status": "Shaping"}, "linear")[2] == "unknown"
    found = item(row | {"Blocked by": "E-2, E-3"}, "linear")
    assert found is not None and found.depends_on == ("E-2", "E-3")


def test_a_task_of_taskwarrior_is_known_by_its_uuid() -> None:
    row: dict[str, object] = {"uuid": "u-1", "id": 0, "description": "T", "entry": "x"}
    row |= {"status": "pending", "depends": ["u-2"]}
    assert told(row, "taskwarrior") == ("u-1", "T", "ready")
    assert told(row | {"wait": "29990101T000000Z"}, "taskwarrior")[2] == "waiting"
    assert told(row | {"start": "20260101T000000Z"}, "taskwarrior")[2] == "in_progress"
    assert told(row | {"status": "recurring"}, "taskwarrior")[2] == "draft"


@pytest.mark.parametrize(
    ("row", "state"),
    [
        ({"Status": "Done"}, "done"),
        ({"status": "cancelled"}, "cancelled"),
        ({"done": True}, "done"),
        ({"done": "maybe"}, "ready"),
        ({"status": "200"}, "ready"),
        ({"status": "active"}, "ready"),
        ({"text": "x"}, "ready"),
    ],
)
def test_other_rows_are_finished_where_a_word_is_beyond_doubt(
    row: dict[str, object], state: str
) -> None:
    assert told(row, "rows")[2] == state


@pytest.mark.parametrize(
    ("name", "item_id", "others"),
    [
        ("beads", "bd-a3f2.1; rm -r /", []),
        ("github", "7", ["https://github.com/o/r/issues/7", "7; rm -r /", "#7", "\u0667", ""]),
        ("gitlab", "7", ["https://gitlab.com/o/r/-/issues/7", "7 8", ""]),
        (
            "taskwarrior",
            "123e4567-e89b-12d3-a456-426614174000",
            ["rc:/tmp/rc", "rc.hooks.location=/tmp", "project:Home", "+tag", "7", "1-99", ""],
        ),
    ],
)
def test_a_tool_closes_with_a_fixed_reason_one_item_by_its_own_id(
    name: str, item_id: str, others: list[str]
) -> None:
    kind = formats.get(name)
    assert isinstance(kind, formats.rows.Rows)
    command = kind.closing(item_id)
    assert command is not None and item_id in command
    assert [kind.closing(other) for other in others] == [None] * len(others)


def test_a_flag_in_any_spelling_is_a_finished_row() -> None:
    for flag in ("true", "Yes", "x", True):
        assert told({"id": "a", "done": flag}, "rows")[2] == "done"
    assert told({"id": "a", "done": "no"}, "rows")[2] == "ready"


def test_a_state_that_no_tracker_has_is_never_taken_for_an_end() -> None:
    assert told({"iid": 1, "title": "T", "state": "locked"}, "gitlab")[2] == "unknown"


def test_a_parent_in_jira_is_called_by_its_number_too() -> None:
    row = {
        "Issue key": "P-2",
        "Issue id": "101",
        "Summary": "S",
        "Status": "To Do",
        "Parent": "100",
    }
    found = item(row, "jira")
    assert found is not None and (found.parent, found.aliases) == ("100", ("101",))


def test_an_issue_of_beads_that_is_put_off_waits_and_a_lone_link_counts() -> None:
    assert told({**BEADS, "defer_until": "2999-01-01T00:00:00Z"}, "beads")[2] == "waiting"
    found = item({**BEADS, "dependencies": "bd-2"}, "beads")
    assert found is not None and found.depends_on == ("bd-2",)


@pytest.mark.parametrize(
    ("row", "state"),
    [
        ({"status": "\u2705 Done"}, "done"),
        ({"status": "Done (2026-01-02)"}, "done"),
        ({"status": "3. Done"}, "done"),
        ({"status": "50% done"}, "ready"),
        ({"Task Status": "Done"}, "done"),
        ({"isDone": True}, "done"),
        ({"Complete": "\u2713"}, "done"),
        ({"done": 1}, "done"),
        ({"done": 0}, "ready"),
        ({"closedAt": "2026-01-02"}, "done"),
        ({"closedAt": None}, "ready"),
        ({"closedAt": "2026-01-02", "status": "todo"}, "ready"),
    ],
)
def test_a_row_is_finished_in_whatever_spelling_it_says_so(
    row: dict[str, object], state: str
) -> None:
    assert told(row, "rows")[2] == state


def test_columns_of_jira_and_linear_are_known_in_any_letters() -> None:
    row = {"issue Key": "P-1", "summary": "S", "status": "Done"}
    assert told(row, "jira") == ("P-1", "S", "done")
    assert told({"id": "E-1", "team": "T", "title": "S", "status": "Todo"}, "linear")[2] == "ready"


def test_a_link_of_beads_that_is_a_remark_is_none_under_either_name() -> None:
    links = [{"id": "bd-2", "dependency_type": "related"}, {"id": "bd-3"}]
    found = item({**BEADS, "dependencies": links}, "beads")
    assert found is not None and found.depends_on == ("bd-3",)


@pytest.mark.parametrize(
    ("row", "title"),
    [
        ({"id": "6f1e-4c22-9a70", "question": "Why?\nSay it.", "n": 12345678901}, "Why?"),
        ({"lang": "de", "body": " Guten Tag ", "title": "", "n": "12"}, "de, Guten Tag"),
        ({"text": "short", "notes": "much longer than that"}, "short"),
        ({"a": 1, "b": None}, ""),
        ({"body": "x" * 1000}, "x" * 200),
    ],
)
def test_a_row_without_a_title_is_called_by_its_texts(row: dict[str, object], title: str) -> None:
    assert told(row, "rows")[1] == title
