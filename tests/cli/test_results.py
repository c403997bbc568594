"""`hypervisor results`: the source's own columns as they are, then ours, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.ledger import Ledger

Run = Callable[..., subprocess.CompletedProcess[str]]
OURS = [
    "hv.status", "hv.proof", "hv.reason", "hv.item", "hv.attempt", "hv.model", "hv.tokens",
    "hv.usd", "hv.started", "hv.ended", "hv.report",
]  # fmt: skip


@pytest.fixture
def run(run_hypervisor: Run, project: Path) -> Run:
    (project / "i.md").write_text("Do it.\n")
    return run_hypervisor


def opened(run: Run, source: str, *words: str) -> None:
    ran = run("open", "q", source, "--instructions", "i.md", *words)
    assert ran.returncode == 0, ran.stderr


def end(project: Path, outcomes: dict[str, str]) -> None:
    """End items of the queue `q` by their ids."""
    with Ledger.open(str(project)) as ledger:
        for claim in worker.take(ledger, "q", "w", len(outcomes)):
            outcome = outcomes[claim.id]
            report = {"summary": "did it"} if outcome == "done" else {"reason": "=no"}
            worker.finish(ledger, claim.token, outcome, report)


def table(run: Run, *words: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(run("results", "q", *words).stdout)))


def test_columns_of_the_source_come_first_and_as_they_are(run: Run, project: Path) -> None:
    (project / "r.csv").write_text('key,text\nb,"two, ""lines""\nof é"\na,x\nc,\n')
    opened(run, "r.csv", "--id", "key")
    end(project, {"b": "done", "a": "blocked"})
    head, *rows = table(run)
    assert head == ["key", "text", *OURS]
    assert [row[:6] for row in rows] == [
        ["b", 'two, "lines"\nof é', "success", "claimed", "", "b"],
        ["a", "x", "blocked", "claimed", "'=no", "a"],
        ["c", "", "not_attempted", "", "not tried yet", "c"],
    ]
    assert [row[6] for row in rows] == ["1", "1", ""]
    assert [row[-1] for row in rows] == ["did it", "", ""]
    assert rows[0][-2].endswith("Z") and rows[2][-1] == ""


def test_tasks_have_id_path_and_title_beside_rows(run: Run, project: Path) -> None:
    (project / "t.md").write_text("---\nid: t\ntitle: Try\nstatus: active\n---\n")
    (project / "todo.txt").write_text("Call\n")
    assert run("open", "q", "t.md", "todo.txt").returncode == 0
    head, *rows = table(run)
    assert head == ["id", "path", "title", *OURS]
    assert [row[:3] for row in rows] == [
        ["t", "t.md", "Try"], ["todo.txt#Call", "todo.txt", "Call"],
    ]  # fmt: skip


def test_json_lines_keep_types_and_texts(run: Run, project: Path) -> None:
    row = {"id": 7, "tags": ["a", {"b": None}], "text": "=1+1"}
    (project / "r.jsonl").write_text(json.dumps(row) + "\n")
    opened(run, "r.jsonl", "--id", "id")
    [line] = run("results", "q", "--jsonl").stdout.splitlines()
    told = json.loads(line)
    assert (told["input"], told["answer"], told["hv"]["item"]) == (row, None, "7")
    assert list(told["hv"]) == [name.removeprefix("hv.") for name in OURS]
    assert table(run)[1][:3] == ["7", '["a", {"b": null}]', "'=1+1"]


def test_all_that_a_command_printed_about_a_row_stands_in_the_table_whose_name_says_its_shape(
    run: Run, project: Path
) -> None:
    (project / "r.csv").write_text("question\nWhy?\n")
    script = project / "answer.sh"
    script.write_text('#!/bin/sh\necho "$1"; seq 20; echo progress >&2; echo; echo so.\n')
    script.chmod(0o755)
    assert run("work", "r.csv", "--", "./answer.sh", "{question}").returncode == 0
    said = "\n".join(["Why?", *map(str, range(1, 21)), "", "so."])
    [_, row] = csv.reader(io.StringIO(run("results").stdout))
    assert row[0] == "Why?" and row[-1] == said
    assert run("results", "--out", "r.jsonl", "--csv").returncode == 0
    assert (project / "r.jsonl").read_text().startswith("question,")
    assert run("results", "--out", "r.jsonl").returncode == 0
    assert json.loads((project / "r.jsonl").read_text())["hv"]["report"] == said


def test_what_a_spreadsheet_would_run_is_quoted_and_counted_unless_raw(
    run: Run, project: Path
) -> None:
    texts = ["=cmd", "+1-x", "-x", "@a", "\tx", "-5", "+3.5e2", "-.5", "plain", "-inf"]
    texts += ["\n=x", "\uff1dx"]
    rows = "".join(json.dumps({"id": str(n), "t": text}) + "\n" for n, text in enumerate(texts))
    (project / "r.jsonl").write_text(rows)
    opened(run, "r.jsonl", "--id", "id")
    ran = run("results", "q")
    shown = [row[1] for row in csv.reader(io.StringIO(ran.stdout))][1:]
    assert shown == [
        "'=cmd", "'+1-x", "'-x", "'@a", "'\tx", "-5", "+3.5e2", "-.5", "plain", "'-inf",
        "'\n=x", "'\uff1dx",
    ]  # fmt: skip
    assert "before 8 texts" in ran.stderr
    raw = run("results", "q", "--raw")
    assert [row[1] for row in csv.reader(io.StringIO(raw.stdout))][1:] == texts
    assert raw.stderr == ""


def test_each_item_stands_once_with_its_newest_report_of_any_generation(
    run: Run, project: Path
) -> None:
    (project / "r.csv").write_text("id\na\nb\nc\n")
    opened(run, "r.csv", "--id", "id")
    end(project, {"a": "done", "b": "blocked"})
    assert run("cancel", "q").returncode == 0
    (project / "r.csv").write_text("id\nb\nc\nd\n")
    opened(run, "r.csv", "--id", "id")
    end(project, {"b": "done"})
    rows = table(run)[1:]
    assert [(row[0], row[1]) for row in rows] == [
        ("a", "success"), ("b", "success"), ("c", "not_attempted"), ("d", "not_attempted"),
    ]  # fmt: skip
    first = table(run, "--generation", "1")[1:]
    assert [row[0] for row in first] == ["a", "b", "c"] and first[1][1] == "blocked"
    none = run("results", "q", "--generation", "3")
    assert none.returncode == 2 and "has no generation 3" in none.stderr


def test_a_file_is_written_whole_and_never_over_another(run: Run, project: Path) -> None:
    (project / "r.csv").write_text("id\na\n")
    opened(run, "r.csv", "--id", "id")
    for words in ((), ("--jsonl",)):
        for _ in range(2):
            ran = run("results", "q", *words, "--out", "out.txt")
            assert (ran.returncode, ran.stdout) == (0, "out.txt\n")
    assert json.loads((project / "out.txt").read_text())["input"] == {"id": "a"}
    before = sorted(os.listdir(project))
    ran = run("results", "q", "--out", "r.csv")
    assert ran.returncode == 2 and (project / "r.csv").read_text() == "id\na\n"
    assert run("results", "q", "--out", ".hypervisor/x").returncode == 2
    assert sorted(os.listdir(project)) == before


def test_no_device_no_pipe_and_no_source_is_written_over(run: Run, project: Path) -> None:
    (project / "r.csv").write_text("id,hv.status\na,x\n")
    opened(run, "r.csv", "--id", "id")
    os.mkfifo(project / "pipe")
    (project / "link").symlink_to("pipe")
    for path, why in (
        ("pipe", "is not a file"), ("link", "is not a file"), (".", "is not a file"),
        ("", "is not a file"),
        ("none/r.csv", "no such folder"), ("r.csv", "is a source of queue q"),
    ):  # fmt: skip
        ran = run("results", "q", "--out", path)
        assert ran.returncode == 2 and why in ran.stderr, (path, ran.stderr)
    assert (project / "r.csv").read_text() == "id,hv.status\na,x\n"
    assert (project / "pipe").is_fifo() and (project / "link").is_symlink()


def test_a_name_of_more_than_one_column_is_told(run: Run, project: Path) -> None:
    (project / "r.csv").write_text("id,hv.status\na,x\n")
    opened(run, "r.csv", "--id", "id")
    ran = run("results", "q")
    assert "more than one column is called hv.status; " in ran.stderr
    assert next(csv.reader(io.StringIO(ran.stdout)))[:3] == ["id", "hv.status", "hv.status"]
    assert run("results", "q", "--jsonl").stderr == ""


def test_a_session_writes_inside_of_the_project_and_nothing_that_steers(
    run: Run, project: Path
) -> None:
    (project / "r.csv").write_text("id\na\n")
    opened(run, "r.csv", "--id", "id")
    session: dict[str, str | None] = {"CLAUDECODE": "1"}
    assert run("results", "q", "--out", "out.csv", env=session).returncode == 0
    for path in ("../out.csv", str(project.parent / "o"), ".claude/settings.json", ".git/config"):
        ran = run("results", "q", "--out", path, env=session)
        assert ran.returncode == 2 and "not for a session" in ran.stderr, path


def test_issues_that_are_done_are_closed_by_one_quoted_command_each(
    run: Run, project: Path
) -> None:
    issues = [
        {"number": n, "title": f"Crash {n}", "state": "OPEN", "body": "$(x)"} for n in (7, 8, 9)
    ]
    (project / "issues.json").write_text(json.dumps(issues))
    assert run("open", "q", "issues.json").returncode == 0
    end(project, {"7": "done", "8": "blocked", "9": "done"})
    ran = run("results", "q", "--closing")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "".join(f"gh issue close {n} --reason completed\n" for n in (7, 9))


def test_an_id_of_a_row_is_neither_shell_code_nor_an_option(run: Run, project: Path) -> None:
    rows = [{"id": name, "title": "T", "status": "open", "issue_type": "task", "priority": 1}
            for name in ("bd-1; touch x", "--force")]  # fmt: skip
    (project / "issues.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run("open", "q", "issues.jsonl").returncode == 0
    end(project, {"bd-1; touch x": "done", "--force": "done"})
    ran = run("results", "q", "--closing")
    assert ran.stdout == "bd close 'bd-1; touch x' --reason done\n"
    assert ran.returncode == 1 and "1 done item" in ran.stderr


def test_an_issue_whose_file_a_tool_owns_is_closed_by_that(run: Run, project: Path) -> None:
    issues = project / ".tbd/data-sync/issues"
    issues.mkdir(parents=True)
    text = "---\ntype: is\nid: is-1\ntitle: T\nkind: task\nstatus: open\n---\nDo it.\n"
    (issues / "is-1.md").write_text(text)
    opened = run("open", "q", str(issues / "is-1.md"))
    assert opened.returncode == 0, opened.stdout
    end(project, {"is-1": "done"})
    ran = run("results", "q", "--closing")
    assert (ran.returncode, ran.stdout) == (0, "tbd close is-1 --reason done\n")
    assert (issues / "is-1.md").read_text() == text


def test_sources_without_a_command_that_closes_say_so(run: Run, project: Path) -> None:
    (project / "todo.txt").write_text("Call\n")
    assert run("open", "q", "todo.txt").returncode == 0
    end(project, {"todo.txt#Call": "done"})
    ran = run("results", "q", "--closing")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "1 done item came from no tool" in ran.stderr
