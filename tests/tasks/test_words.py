"""Done is written in the words of the place, and read where people write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypervisor.config.settings import Settings
from hypervisor.tasks.body_status import status_in
from hypervisor.tasks.front_matter import task_of
from hypervisor.tasks.read import read
from hypervisor.tasks.task import Task
from hypervisor.tasks.words import word_for


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def found(path: Path, settings: Settings) -> Task:
    task = task_of(read(str(path)), settings)
    assert task is not None
    return task


def word(path: Path, settings: Settings, state: str = "done") -> str | None:
    return word_for(state, found(path, settings), read(str(path)), settings)


def test_the_word_is_that_of_most_siblings(tmp_path: Path, defaults: Settings) -> None:
    mine = write(tmp_path, "mine.md", "---\nstatus: open\n---\n")
    assert word(mine, defaults) == "done"
    for number, said in enumerate(["closed", "'Closed'", '"Closed"', "cancelled", "open"]):
        write(tmp_path, f"{number}.md", f"---\nx: 1\nstatus: {said} # so\n---\nstatus: complete\n")
    assert word(mine, defaults) == "Closed"
    assert word(mine, defaults, "cancelled") == "cancelled"


def test_the_word_of_a_sibling_of_another_format_is_none(
    tmp_path: Path, defaults: Settings
) -> None:
    mine = write(tmp_path, "mine.md", "---\nstatus: open\n---\n")
    write(tmp_path, "002-complete-p2-x.md", "---\nstatus: complete\n---\n")
    assert word(mine, defaults) == "done"


def test_a_project_that_lists_its_words_has_the_last_one_for_done(
    tmp_path: Path, defaults: Settings
) -> None:
    header = "---\nid: TASK-{}\nstatus: {}\nlabels: []\ndependencies: []\n---\n"
    write(tmp_path / "backlog", "config.yml", 'statuses: ["Todo", "Doing", "Shipped"]\n')
    tasks = tmp_path / "backlog/tasks"
    one = write(tasks, "task-1 - A.md", header.format(1, "Todo"))
    two = write(tasks, "task-2 - B.md", header.format(2, "shipped"))
    three = write(tasks, "task-3 - C.md", header.format(3, "Doing"))
    assert word(one, defaults) == "Shipped"
    states = [found(path, defaults).state for path in (one, two, three)]
    assert states == ["ready", "done", "in_progress"]


def test_state_is_a_status_where_there_is_no_other(tmp_path: Path, defaults: Settings) -> None:
    task = found(write(tmp_path, "a.md", "---\nid: a\nstate: done\n---\n"), defaults)
    assert (task.state, task.status_key) == ("done", "state")


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("name: Fix the login\nstatus: open\n---\n# Other\n", "Fix the login"),
        ("status: open\n---\ntext\n# Task: Mailer test #\n", "Mailer test"),
        ("status: open\n---\n# Story 1.2: Import\n", "Import"),
        ("status: open\n---\ntext\n", "wire-parser"),
    ],
)
def test_a_title_is_what_people_see(
    text: str, title: str, tmp_path: Path, defaults: Settings
) -> None:
    path = write(tmp_path, "002-ready-p2-wire-parser.md", f"---\n{text}")
    assert found(path, defaults).title == title


@pytest.mark.parametrize(
    "header",
    [
        "title: '{{title}}'\nstatus: todo",
        "title: <% tp.file.title %>\nstatus: todo",
        "type: note\nstatus: active",
        "type: ADR\nstatus: accepted",
        "title: A\npermalink: /a/",
        "id: intro\ntitle: A",
    ],
)
def test_templates_and_pages_are_no_tasks(header: str, tmp_path: Path, defaults: Settings) -> None:
    assert task_of(read(str(write(tmp_path, "a.md", f"---\n{header}\n---\n"))), defaults) is None


def test_a_draft_is_one_by_its_id(tmp_path: Path, defaults: Settings) -> None:
    path = write(tmp_path, "a.md", "---\nid: DRAFT-3\nstatus: To Do\n---\n")
    assert found(path, defaults).state == "draft"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("# S\n\n## Status\n\nDone\n\n## Story\n", "Done"),
        ("# S\n\n## Status: old\nDone\n", "old"),
        ("# S\n**Status**: Completed\n## A\n", "Completed"),
        ("# S\n## **Status** - \u2705 Done\n", "Done"),
        ("# S\n## Status\n<!-- why -->\n- [x] Done\n", "Done"),
        ("# S\n## Status\n- [ ] Done\n", None),
        ("# S\n## Status updates\nDone\n", None),
        ("# S\nStatus: Done, merged\n", "Done"),
        ("# S\n- **Status**: Done\n", "Done"),
        ("# S\n**Priority**: High | **Status**: Done\n", "Done"),
        ("# S\n| Status | Done |\n", "Done"),
        ("# S\n\n**Status:** `Done`\r\n", "Done"),
        ("# S\n## Gate\n**Status:** PASS\n", None),
        ("no such word\n", None),
        ("# S\n## STATUS\n> **Done** - see below\n", "Done"),
        ("# S\n**Status:** Won't fix (2026-01-02) \u2705\n", "Won't fix"),
        ("# S\n## Status\n~~Done~~ opened again\n", None),
        ("# S\n```\n## Status\nDone\n```\n", None),
    ],
)
def test_a_body_says_its_status_in_its_section_or_above_the_first(
    body: str, status: str | None
) -> None:
    assert status_in(body) == status
