"""One call: `hypervisor work SOURCE… -- COMMAND` opens a queue of that and works it off."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.agents.pool.launch import View
from hypervisor.cli.workers import shown
from hypervisor.ledger import STATES, Ledger
from worker.support import open_queue, states, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_rows_go_to_a_command_without_instructions(run: Run, project: Path) -> None:
    (project / "prompts.csv").write_text("prompt\na\nb\n")
    told = run("work", "prompts.csv", "--", "test", "{prompt}", "!=", "c")
    assert told.returncode == 0, told.stderr
    assert set(states(project, "prompts").values()) == {"done"}
    assert "queue prompts: 2 items added" in told.stdout
    page = told.stdout.partition("page: ")[2].splitlines()[0]
    assert (project / page).is_file()
    assert "next: hypervisor results prompts" in told.stdout


def test_the_same_call_goes_on_with_what_is_left(run: Run, project: Path) -> None:
    (project / "notes").mkdir()
    for name in "ab":
        (project / f"notes/{name}.txt").write_text(name)
    line = ("work", "notes", "--", "grep", "-q", "a", "{path}")
    first = run(*line)
    assert first.returncode == 1
    assert "next: hypervisor retry notes, hypervisor review notes or " in first.stdout
    assert states(project, "notes") == {"notes/a.txt": "done", "notes/b.txt": "failed"}
    (project / "notes/b.txt").write_text("a")
    (project / "notes/c.txt").write_text("a")
    assert run(*line, cwd=project).returncode == 0
    assert run("work", "../notes", *line[2:], cwd=project / "notes").returncode == 3
    again = run("work", "notes", *line[2:])
    assert again.returncode == 3 and again.stdout.endswith(
        "nothing to do: all 3 items are done already\n"
        "next: hypervisor results notes   (to do it again: the same command with --again)\n"
    )


def test_rows_keep_their_ids_where_a_later_call_names_no_column(run: Run, project: Path) -> None:
    (project / "rows.csv").write_text("key,text\na,x\n")
    assert run("work", "rows.csv", "--id", "key", "--", "true").returncode == 0
    for key in "bc":
        with (project / "rows.csv").open("a") as rows:
            rows.write(f"{key},x\n")
        again = run("work", "./rows.csv", "--", "true")
        assert "rows keep the ids that --id key gave them" in again.stderr
        assert "queue rows: 1 item added" in again.stdout
        assert states(project, "rows") == {key: "done"}


def test_tasks_are_told_from_the_files_beside_them(run: Run, project: Path) -> None:
    write_task(project, "a")
    (project / "tasks/README.md").write_text("# About these\n")
    assert run("work", "tasks", "--", "true").returncode == 0
    assert states(project, "tasks") == {"a": "done"}
    again = run("work", "tasks", "--", "true")
    assert again.returncode == 3 and again.stderr == ""
    assert "nothing to do: the one item is done already" in again.stdout
    assert "hypervisor results tasks   (to do it again: hypervisor undo tasks, then" in again.stdout
    assert run("undo", "tasks").returncode == 0
    assert run("preflight", "tasks").returncode == 0


def test_a_queue_that_was_opened_with_instructions_is_gone_on_with(run: Run, project: Path) -> None:
    (project / "notes").mkdir()
    (project / "notes/a.md").write_text("# A\n")
    (project / "i.md").write_text("Write a line.\n")
    assert run("open", "notes", "notes", "--instructions", "i.md").returncode == 0
    told = run("work", "notes", "--", "true")
    assert told.returncode == 0, told.stderr
    assert states(project, "notes") == {"notes/a.md": "done"}


def test_a_name_that_is_a_queue_and_a_folder_is_refused_unless_one_was_opened_of_the_other(
    run: Run, project: Path
) -> None:
    write_task(project, "a")
    open_queue(project, queue="inbox")
    (project / "inbox").mkdir()
    (project / "inbox/b.txt").write_text("b")
    refused = run("work", "inbox", "--", "true")
    assert refused.returncode == 2
    assert "say ./inbox or --queue inbox" in refused.stderr
    assert states(project, "inbox") == {"a": "ready"}
    assert run("work", "./inbox", "--", "true").returncode == 0
    assert states(project, "inbox-2") == {"inbox/b.txt": "done"}
    assert run("work", "./inbox", "--", "true").returncode == 3
    assert run("work", "--queue", "inbox", "--", "true").returncode == 0
    assert states(project, "inbox") == {"a": "done"}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("tasks", "tasks"),
        ("./tasks/", "tasks"),
        ("tasks/*.md", "tasks"),
        ("tasks/a.md", "a"),
        ("a", "a"),
        ("My list.v1.csv", "My-list.v1"),
        ("Überblick.csv", "Uberblick"),
        (".", "project"),
    ],
)
def test_the_queue_is_called_by_the_last_part_of_the_path_without_its_suffix(
    run: Run, project: Path, source: str, name: str
) -> None:
    write_task(project, "a")
    for table in ("My list.v1.csv", "Überblick.csv"):
        (project / table).write_text("x\n1\n")
    assert run("-q", "work", source, "--", "true").returncode == 0
    with Ledger.open(str(project)) as ledger:
        assert ledger.queues.names() == {name}


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("work nowhere -- true", 2, "nowhere: no such file"),
        ("work nowhere tasks -- true", 2, "no queue was opened"),
        ("work empty -- true", 3, "empty holds nothing"),
        ("work other -- missing-command", 1, "missing-command"),
        (
            "work odd -- true",
            3,
            "no queue was opened: 1 held\nhint: fix what is listed, then run the same command",
        ),
        ("work - -- true", 2, "add --queue NAME"),
        ("work tasks", 2, "add -- COMMAND {path}, or --agent NAME"),
        ("work -- true", 2, "name a queue"),
        ("open x nowhere", 1, "no queue was opened"),
        ("pull nowhere", 1, "nowhere: no such file"),
        ("work header.csv -- true", 3, "header.csv has a header and no rows"),
        ("work rows.csv -- echo {promt}", 2, "did you mean {prompt}?"),
        ("work rows.csv --repeat 2 --dry-run -- echo {prompt} {run}", 0, "echo x 1\necho x 2\n"),
        ("open x empty", 3, "empty holds nothing"),
        ("open x pictures", 3, "pictures holds 2 .png files, 1 folder; "),
        ("open x odd", 3, "no queue was opened: 1 held"),
    ],
)
def test_a_source_that_gives_no_item_opens_no_queue_and_says_what_was_found(
    run: Run, project: Path, line: str, code: int, said: str
) -> None:
    write_task(project, "a")
    (project / "empty").mkdir()
    (project / "pictures/more").mkdir(parents=True)
    for name in ("a.png", "b.png"):
        (project / "pictures" / name).write_bytes(b"x")
    (project / "header.csv").write_text("prompt\n")
    (project / "rows.csv").write_text("prompt\nx\n")
    (project / "odd").mkdir()
    (project / "odd/c.md").write_text("---\nid: c\nstatus: odd\n---\nx\n")
    (project / "other").mkdir()
    (project / "other/d.txt").write_text("d")
    before = set(os.listdir(project))
    told = run(*line.split())
    assert told.returncode == code, told.stderr
    assert said in told.stdout + told.stderr
    assert set(os.listdir(project)) == before


def test_a_call_goes_on_with_an_open_queue_though_its_sources_have_nothing_new(
    run: Run, project: Path
) -> None:
    (project / "rows.csv").write_text("prompt\na\nb\n")
    assert run("work", "rows.csv", "--", "true").returncode == 0
    again = run("work", "rows.csv", "--again", "--halt", "1", "--max-attempts", "1", "--", "false")
    assert again.returncode == 1
    assert sorted(states(project, "rows").values()) == ["failed", "ready"]
    assert "echo b" in run("work", "rows.csv", "--dry-run", "--", "echo", "{prompt}").stdout
    assert run("work", "rows.csv", "--", "true").returncode == 1
    assert sorted(states(project, "rows").values()) == ["done", "failed"]


def test_a_named_format_holds_for_each_file_of_a_folder_that_has_items_of_it(
    run: Run, project: Path
) -> None:
    (project / "notes").mkdir()
    (project / "notes/a.md").write_text("# A\n\n- [ ] one\n- [ ] two\n")
    (project / "notes/b.md").write_text("# B\n")
    line = ("work", "notes", "--format", "checklist", "--", "true")
    assert run(*line).returncode == 0
    assert set(states(project, "notes").values()) == {"done"}
    assert (project / "notes/a.md").read_text() == "# A\n\n- [x] one\n- [x] two\n"
    assert run(*line).returncode == 3
    assert "next: " not in run("resume", "notes").stdout


def test_nothing_is_offered_for_review_where_nothing_is_done(run: Run, project: Path) -> None:
    write_task(project, "a")
    told = run("work", "tasks", "--max-attempts", "1", "--", "false").stdout
    assert "next: hypervisor retry tasks or hypervisor report tasks --open" in told
    assert run("review", "tasks").stdout == "queue tasks: 0 accepted reports\n"


def test_a_pool_goes_on_when_nobody_reads_its_progress(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(os.dup(writer), "w", buffering=1) as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        with shown("q") as show:
            show(View(dict.fromkeys(STATES, 0), "open", "", None, True, []))
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), stderr.fileno())
    os.close(writer)


def test_the_log_of_an_unknown_queue_is_refused_as_everywhere(run: Run, project: Path) -> None:
    write_task(project, "a")
    open_queue(project)
    refused = run("work", "inbx", "--attach")
    assert (refused.returncode, "no queue 'inbx'" in refused.stderr) == (2, True)
    assert "no pool of q was detached" in run("work", "q", "--attach").stderr


def test_what_is_only_for_sources_is_refused_with_a_queue(run: Run, project: Path) -> None:
    write_task(project, "a")
    open_queue(project)
    refused = run("work", "q", "--verify", "false", "--", "true")
    assert (refused.returncode, "--verify is for sources" in refused.stderr) == (2, True)
    assert run("work", "q", "tasks", "--", "true").returncode == 2
    assert states(project) == {"a": "ready"}


def test_what_was_claimed_elsewhere_or_blocked_is_no_success(run: Run, project: Path) -> None:
    for name in "ab":
        write_task(project, name)
    open_queue(project)
    token = run("next", "q").stdout.split()[1]
    other = run("next", "q").stdout.split()[1]
    nothing = run("work", "q", "--", "true")
    assert (nothing.returncode, "a is with " in nothing.stdout) == (3, True)
    run("release", other)
    run("block", token, "--reason", "no")
    assert run("work", "q", "--", "true").returncode == 1


def test_a_session_is_told_a_workers_command_and_a_person_the_next_one(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(project, "a")
    told = run("open", "q", "tasks").stdout
    assert "next: hypervisor work q " in told and "worker's first command" not in told
    monkeypatch.setenv("CLAUDECODE", "1")
    told = run("open", "q", "tasks").stdout
    assert told.endswith("a worker's first command: hypervisor next q\n")
