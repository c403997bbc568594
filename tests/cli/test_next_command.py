"""What a person types next stands at the end, and works as it is printed."""

from __future__ import annotations

import html
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def rows(project: Path) -> Path:
    (project / "i.md").write_text("Answer it.\n")
    (project / "rows.csv").write_text("id,text\n1,What is a queue?\n2,What is a lease?\n")
    return project


def test_it_names_the_column_of_the_rows_that_says_most(rows: Path, run: Run) -> None:
    words = ("rows.csv", "--instructions", "i.md", "--id", "id")
    end = "-- COMMAND {text}   (or --agent NAME)\n"
    assert run("preflight", *words).stdout.endswith(
        f"next: hypervisor work {' '.join(words)} {end}"
    )
    assert run("open", "q", *words).stdout.endswith(f"next: hypervisor work q {end}")


def test_status_names_it_as_long_as_nobody_is_at_work(rows: Path, run: Run) -> None:
    words = ("rows.csv", "--instructions", "i.md")
    run("open", "q", *words)
    line = "next: hypervisor work q -- COMMAND {text}   (or --agent NAME)\n"
    assert run("status").stdout.endswith(line)
    assert "next:" not in run("-q", "status").stdout + run("status", "--json").stdout
    (rows / "two.csv").write_text("text\nWhat is a claim?\n")
    run("open", "other", "two.csv", *words[1:])
    assert "next:" not in run("status").stdout, "it is not known which of the two is meant"
    run("cancel", "other")
    run("next", "q")
    assert "next:" not in run("status").stdout


def test_a_queue_goes_on_with_the_command_of_its_last_pool(rows: Path, run: Run) -> None:
    halted = run("work", "rows.csv", "--id", "id", "--halt", "1", "--", "sh", "fix me", "{text}")
    assert halted.returncode == 1
    line = "hypervisor work --queue rows --halt 1 -- sh 'fix me' '{text}'"
    assert run("resume", "rows").stdout.endswith(f"next: {line}\n")
    beside = run("resume", "rows", cwd=rows / ".hypervisor").stdout
    assert beside.endswith(f"next: cd {shlex.quote(str(rows))} && {line}\n")
    run("report", "rows")
    page = (rows / ".hypervisor/reports/rows.html").read_text()
    assert line in html.unescape(page) and "hypervisor next" not in page
    (rows / "fix me").write_text("echo done\n")
    assert run(*shlex.split(line)[1:]).returncode == 0


def test_rows_without_instructions_are_one_line_that_says_how(rows: Path, run: Run) -> None:
    told = run("preflight", "rows.csv")
    assert told.returncode == 3
    assert told.stdout == (
        "2 items: 0 ready, 2 held, 0 broken\n"
        "held, without instructions (2):\n"
        "  rows.csv, 2 rows: add --instructions FILE, or have a command do each: "
        "hypervisor work SOURCE -- COMMAND {COLUMN}\n"
    )


def test_a_source_that_is_not_there_is_one_error_with_what_is(rows: Path, run: Run) -> None:
    (rows / "tasks/inbox").mkdir(parents=True)
    told = run("open", "q", "task/inbox")
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == (
        "error: task/inbox: no such file or folder\n"
        "hint: the closest name there is tasks\n"
        "note: no queue was opened\n"
    )


def test_a_file_without_a_title_is_called_by_its_name(project: Path, run: Run) -> None:
    (project / "notes").mkdir()
    (project / "notes/My idea.md").write_text("Sum it up.\n")
    assert run("work", "notes", "--dry-run", "--", "echo", "{title}").stdout == "echo 'My idea'\n"


def test_several_queues_are_named_with_the_verb_that_was_typed(rows: Path, run: Run) -> None:
    for queue in ("one", "two"):
        (rows / queue).write_text("x")
        assert run("open", queue, f"./{queue}", "--instructions", "i.md").returncode == 0
    assert run("results").stderr == (
        "error: which queue? there are one, two\nhint: name one, as in: hypervisor results one\n"
    )


def test_a_misspelt_queue_is_named_with_the_one_there_is(rows: Path, run: Run) -> None:
    run("open", "prompts", "rows.csv", "--instructions", "i.md")
    told = run("work", "prompt", "--", "true")
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.endswith("note: no queue was opened\nnote: there is a queue prompts\n")


def test_who_judges_is_a_command_where_one_is_given(rows: Path, run: Run) -> None:
    assert run("work", "rows.csv", "--", "true").returncode == 0
    told = run("judge", "rows")
    assert (told.returncode, told.stderr) == (
        2, "error: no command and no agent is given\nhint: add -- COMMAND, or --agent NAME\n",
    )  # fmt: skip
    missing = run("judge", "rows", "--", "./judge.sh")
    assert missing.stderr == "error: ./judge.sh: no such file\nhint: check the path\n"
