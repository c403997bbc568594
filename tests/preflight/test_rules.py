"""What a task's own file says against working on it now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.preflight import Preflight

Write = Callable[..., Path]
Sort = Callable[..., Preflight]
Reason = Callable[..., str]


@pytest.mark.parametrize("status", ["active", "inbox", "To Do", "TODO", "to-do", "Ready", "''"])
def test_a_task_that_waits_for_nothing_is_ready(status: str, task: Write, sort: Sort) -> None:
    task("a.md", status=status)
    (entry,) = sort().ready
    assert (entry.id, entry.path, entry.title) == ("a", "a.md", "Something")


@pytest.mark.parametrize("status", ["done", "Done", "COMPLETED", "closed", "Complete"])
@pytest.mark.parametrize("purpose", ["work", "triage"])
def test_a_finished_task_is_skipped(status: str, purpose: str, task: Write, reason: Reason) -> None:
    task("a.md", status=status)
    assert reason(purpose=purpose) == f"skipped: already complete: its status is '{status}'"


@pytest.mark.parametrize("status", ["cancelled", "Canceled", "Won't Do", "won’t do", "superseded"])
@pytest.mark.parametrize("purpose", ["work", "triage"])
def test_a_cancelled_task_is_skipped(status: str, purpose: str, task: Write, sort: Sort) -> None:
    task("a.md", status=f'"{status}"')
    (entry,) = sort(purpose=purpose).skipped
    assert entry.kind == "cancelled"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("in_progress", "held: in progress"),
        ("In Progress", "held: in progress"),
        ("in-progress", "held: in progress (status 'in-progress')"),
        ("review", "held: in progress (status 'review')"),
        ("blocked", "held: blocked"),
        ("waiting", "held: waiting"),
        ("someday", "held: waiting (status 'someday')"),
        ("failed", "held: failed"),
        ("draft", "held: draft"),
        (
            "Frobnicating",
            "held: unknown status 'Frobnicating': add it to [status] in hypervisor.toml",
        ),
    ],
)
def test_a_status_that_is_not_for_workers_holds_a_task_and_triage_takes_it(
    status: str, told: str, task: Write, reason: Reason, sort: Sort
) -> None:
    task("a.md", status=status)
    assert reason() == told
    assert len(sort(purpose="triage").ready) == 1


def test_a_status_told_in_the_settings_is_known(task: Write, write: Write, sort: Sort) -> None:
    write("hypervisor.toml", '[status]\nready = ["frobnicating"]\n')
    task("a.md", status="Frobnicating")
    assert len(sort().ready) == 1


@pytest.mark.parametrize("heading", ["Close Reason", "Closed"])
def test_a_close_section_counts_as_complete_and_triage_sets_the_status(
    heading: str, task: Write, reason: Reason, sort: Sort
) -> None:
    task("a.md", f"# A\n\n## {heading}\n\nFixed in abc1234\n")
    assert reason() == (
        f"skipped: already complete: it has a '## {heading}' section; "
        "`hypervisor triage` sets its status"
    )
    assert len(sort(purpose="triage").ready) == 1


def test_a_close_reason_key_counts_as_complete(task: Write, reason: Reason) -> None:
    task("a.md", close_reason="fixed")
    assert "already complete: it has a close_reason" in reason()


@pytest.mark.parametrize(
    "body",
    [
        "## Closed issues of last week\n",
        "```\n## Close Reason\n```\n",
        "    ## Closed\n",
        "<!--\n## Closed\n-->\n",
        "> ## Closed\n",
        "# Closed\n",
        "### Close Reason\n",
        "The text says ## Close Reason here\n",
    ],
)
def test_what_only_looks_like_a_close_section_is_text(body: str, task: Write, sort: Sort) -> None:
    task("a.md", body)
    assert len(sort().ready) == 1


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"assignee": "nic"}, "assignee nic"),
        ({"assignee": "['@Nic']"}, "assignee @Nic"),
        ({"tags": "[code, peer_review]"}, "tag peer_review"),
        ({"tags": "Vote"}, "tag Vote"),
        ({"labels": "[human-required]", "dependencies": "[]"}, "tag human-required"),
        ({"type": "learn"}, "type learn"),
        ({"complexity": "blocked-human"}, "complexity blocked-human"),
    ],
)
def test_a_task_for_people_is_held_and_triage_takes_it(
    keys: dict[str, str], told: str, task: Write, reason: Reason, sort: Sort
) -> None:
    task("a.md", **keys)
    assert reason() == f"held: needs a human ({told})"
    assert len(sort(purpose="triage").ready) == 1


@pytest.mark.parametrize("assignee", ["bot", "[]", "null", "['@codex']", "nicole"])
def test_a_task_for_others_or_nobody_is_ready(assignee: str, task: Write, sort: Sort) -> None:
    task("a.md", assignee=assignee)
    assert len(sort().ready) == 1


@pytest.mark.parametrize(
    ("body", "tool"),
    [
        ("Look it up in Zotero.\n", "zotero"),
        ("Send it from OUTLOOK today.\n", "outlook"),
        ("Call mcp__claude_outlook__send now.\n", "outlook"),
        ("Add a calendar invite for Monday.\n", "calendar"),
        ("Sign in to the web site of the funder.\n", "browser"),
    ],
)
def test_a_task_that_needs_a_tool_which_workers_lack_is_held(
    body: str, tool: str, task: Write, reason: Reason
) -> None:
    task("a.md", body)
    assert reason() == f"held: needs {tool}, which workers lack"


@pytest.mark.parametrize(
    "body", ["```\nzotero\n```\n", "> from: outlook\n", "A memory leak.\n", "A calendar view.\n"]
)
def test_a_tool_in_code_or_a_quote_or_as_a_plain_word_holds_nothing(
    body: str, task: Write, sort: Sort
) -> None:
    task("a.md", body)
    assert len(sort().ready) == 1


@pytest.mark.parametrize("key", ["tools", "needs", "requires_tools"])
@pytest.mark.parametrize(
    ("value", "tool"),
    [("[Read, mcp__memory__search]", "mcp__memory__search"), ("Zotero", "zotero")],
)
def test_a_tool_may_be_told_in_the_front_matter(
    key: str, value: str, tool: str, task: Write, reason: Reason
) -> None:
    task("a.md", **{key: value})
    assert reason() == f"held: needs {tool}, which workers lack"


def test_tools_that_workers_have_hold_nothing(task: Write, sort: Sort) -> None:
    task("a.md", tools="[Read, Bash, Grep]")
    assert len(sort().ready) == 1


def test_the_title_is_read_for_tools_too(task: Write, reason: Reason) -> None:
    task("a.md", title="Clean up Zotero")
    assert "needs zotero" in reason()


def test_the_settings_add_tools(task: Write, write: Write, reason: Reason) -> None:
    write("hypervisor.toml", "[preflight.tools]\nspss = ['\\bspss\\b']\n")
    task("a.md", "Open it in SPSS.\n")
    assert reason() == "held: needs spss, which workers lack"
