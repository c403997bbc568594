"""What a task's own file says against working on it now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.intake.preflight import Preflight

Write = Callable[..., Path]
Sort = Callable[..., Preflight]
Reason = Callable[..., str]

LACKING = (
    "held: needs {0}, which workers lack: do it yourself (/hypervisor:pull), "
    "or hypervisor allow QUEUE --tools {0}"
)


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
        "`hypervisor triage a` sets its status"
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
        ({"assignee": "ada"}, "assignee ada"),
        ({"assignee": "['@Ada']"}, "assignee @Ada"),
        ({"assignee": "[bot, Ada]"}, "assignee Ada"),
        ({"tags": "[code, peer_review]"}, "tag peer_review"),
        ({"tags": "Vote"}, "tag Vote"),
        ({"labels": "[human-required]", "dependencies": "[]"}, "tag human-required"),
        ({"type": "learn"}, "type learn"),
        ({"complexity": "blocked-human"}, "complexity blocked-human"),
    ],
)
def test_a_task_for_people_is_held_and_triage_takes_it(
    keys: dict[str, str], told: str, task: Write, write: Write, reason: Reason, sort: Sort
) -> None:
    write("hypervisor.toml", '[preflight]\nhumans = ["@ada"]\n')
    task("a.md", **keys)
    assert reason("a.md") == f"held: needs a human ({told})"
    assert len(sort(purpose="triage").ready) == 1


@pytest.mark.parametrize(
    "assignee",
    ["bot", "[]", "null", "['@codex']", "Unassigned", "'-'", "[claude, AI]", "claude-code"],
)
def test_a_task_for_an_agent_or_for_nobody_is_ready(assignee: str, task: Write, sort: Sort) -> None:
    task("a.md", assignee=assignee)
    assert len(sort().ready) == 1


@pytest.mark.parametrize(
    ("title", "body"),
    [
        ("Economic outlook for 2026", ""),
        ("Add Outlook import", "Parse the .ics file in src/import.py.\n"),
        ("Fix 400 errors of the calendar API", "It refuses the calendar event ids of new users.\n"),
        ("Clean up the Zotero export", "Look it up in Zotero, then sign in to the web site.\n"),
        ("Free mcp memory", "A memory server leaks; see mcp__init and __mcp__.\n"),
        ("Quote it", "```\nmcp__zotero__search\n```\n\n> use mcp__zotero__search\n"),
    ],
)
def test_words_in_a_title_or_a_text_hold_nothing(
    title: str, body: str, task: Write, sort: Sort
) -> None:
    task("a.md", body, title=title)
    assert len(sort().ready) == 1


@pytest.mark.parametrize(
    "body",
    [
        "Call mcp__claude_outlook__send now.\n",
        "Then `mcp__claude_outlook__send`, twice.\n",
        "- with mcp__claude_outlook__send(to=all)\n",
    ],
)
def test_a_tool_that_is_named_in_full_holds_the_task(
    body: str, task: Write, reason: Reason
) -> None:
    task("a.md", body)
    assert reason() == LACKING.format("mcp__claude_outlook__send")


@pytest.mark.parametrize("key", ["tools", "requires_tools"])
@pytest.mark.parametrize(
    ("value", "tool"),
    [
        ("[Read, mcp__memory__search]", "mcp__memory__search"),
        ("Zotero", "Zotero"),
        ("bash, zotero", "zotero"),
        ("{zotero: true}", "zotero"),
    ],
)
def test_a_task_says_with_a_key_which_tools_it_needs(
    key: str, value: str, tool: str, task: Write, reason: Reason
) -> None:
    task("a.md", **{key: value})
    assert reason() == LACKING.format(tool)


def test_the_command_that_mends_it_is_left_out_where_the_name_may_not_stand_in_one(
    task: Write, reason: Reason
) -> None:
    task("a.md", tools='"x; rm -r $HOME"')
    assert reason() == (
        "held: needs x; rm -r $HOME, which workers lack: do it yourself (/hypervisor:pull)"
    )


@pytest.mark.parametrize("tools", ["[Read, Bash, Grep]", "[]", "null", "git", "''"])
def test_tools_that_workers_have_hold_nothing(tools: str, task: Write, sort: Sort) -> None:
    task("a.md", tools=tools)
    assert len(sort().ready) == 1


@pytest.mark.parametrize(
    ("needs", "kind"),
    [("design", "unread_dependency"), ("mcp__memory__search", "needs_tool")],
)
def test_a_key_with_other_uses_counts_where_it_surely_names_a_tool(
    needs: str, kind: str, task: Write, sort: Sort
) -> None:
    task("a.md", needs=needs)
    assert [entry.kind for entry in sort().held] == [kind]


def test_the_settings_add_tools(task: Write, write: Write, reason: Reason) -> None:
    write("hypervisor.toml", "[preflight.tools]\nspss = ['\\bspss\\b']\n")
    task("a.md", "Open it in SPSS.\n")
    assert reason() == LACKING.format("spss")


def test_a_word_holds_where_the_settings_say_that_it_names_a_tool(
    task: Write, write: Write, sort: Sort
) -> None:
    write("hypervisor.toml", "[preflight.tools]\noutlook = ['\\boutlook\\b']\n")
    task("a.md", title="Send it by Outlook")
    task("b.md", "```\noutlook\n```\n\n> from: outlook\n")
    (held,) = sort().held
    assert held.path == "a.md"
