"""`hypervisor preflight` as it is typed."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import hypervisor
from hypervisor.cli import main
from hypervisor.intake.preflight.front_matter import schema_path
from hypervisor.ledger import Ledger, NewItem

Write = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]

SCHEMA = json.loads(Path(schema_path("preflight.schema.json")).read_text())
SOURCES = Path(hypervisor.__file__).parent.parent


@pytest.fixture
def run(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run(*arguments)`: exit code, output and errors of the command in the root."""
    monkeypatch.chdir(project)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["preflight", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def tree(folder: Path) -> dict[str, Any]:
    """Return every file below a folder with its bytes and times."""
    return {
        str(path): (path.lstat().st_mtime_ns, path.lstat().st_ino,
                    path.read_bytes() if path.is_file() else None)
        for path in folder.rglob("*")
    }  # fmt: skip


@pytest.fixture
def of_every_kind(task: Write, write: Write) -> None:
    task("ready.md")
    task("done.md", status="done")
    task("gone.md", status="cancelled")
    task("busy.md", status="in progress")
    task("behind.md", depends_on="[ready]")
    task("odd.md", priority="P1")
    write("note.md", "# A note\n")
    write("broken.md", "---\nid: b\ntitle: Fix: it\n---\n")


def test_the_result_for_programs_is_as_the_schema_says(of_every_kind: None, run: Run) -> None:
    code, out, _ = run(".", "--json")
    told = json.loads(out)
    Draft202012Validator(SCHEMA).validate(told)
    assert code == 0
    assert told["ready"] == [
        {"id": "odd", "path": "odd.md"},
        {"id": "ready", "path": "ready.md"},
    ]
    (broken,) = told["broken"]
    assert broken.pop("reason").startswith("not YAML: mapping values are not allowed")
    assert broken == {
        "id": "b",
        "path": "broken.md",
        "line": 3,
        "fix": "quote the value of this line: title: 'Fix: it'",
        "kind": "unreadable",
    }
    assert [entry["after"] for entry in told["held"] if "after" in entry] == [["ready"]]
    assert told["counts"] == {
        "ready": 2,
        "skipped": 3,
        "held": 2,
        "broken": 1,
        "total": 8,
        "not_matching": 0,
    }


def test_the_result_for_people_says_first_what_is_complete(of_every_kind: None, run: Run) -> None:
    _, out, _ = run(".")
    lines = out.splitlines()
    assert lines[0] == "1 task skipped (already complete)"
    assert lines[1] == (
        "8 items: 2 ready, 2 held, 1 broken, 1 skipped (cancelled), 1 skipped (not a task)"
    )
    assert "  busy  busy.md: in progress (status 'in progress')" not in lines
    assert "  busy  busy.md: in progress" in lines
    assert any(line.startswith("  broken.md:3: not YAML") for line in lines)


def test_what_is_skipped_is_told_first_of_tasks_alone(task: Write, write: Write, run: Run) -> None:
    write("r.csv", "text\na\n")
    write("do.txt", "Translate it.\n")
    assert run("r.csv", "--instructions", "do.txt")[1].startswith("1 item: 1 ready")
    task("a.md")
    assert run("a.md")[1].startswith("0 tasks skipped (already complete)\n1 item: 1 ready")


def test_the_result_for_people_is_bounded(task: Write, run: Run) -> None:
    for number in range(300):
        task(f"t{number:03}.md", status="blocked")
    _, out, _ = run(".")
    assert len(out.splitlines()) == 24
    assert out.splitlines()[-1] == "  … and 280 more, --json lists all"


def test_it_fails_with_three_where_nothing_is_ready(task: Write, run: Run) -> None:
    task("a.md", status="done")
    assert run(".")[0] == 3


def test_it_fails_with_one_where_a_source_cannot_be_read_and_tells_the_rest(
    task: Write, run: Run
) -> None:
    task("a.md")
    code, out, err = run("gone.md", "a.md", "--json")
    told = json.loads(out)
    assert code == 1
    assert [entry["id"] for entry in told["ready"]] == ["a"]
    assert told["failed_sources"][0]["reason"] == "gone.md: no such file or folder"
    assert err.startswith("error: gone.md: no such file or folder\nhint: ")
    Draft202012Validator(SCHEMA).validate(told)


def test_a_broken_file_is_a_finding_and_no_failure(task: Write, write: Write, run: Run) -> None:
    task("a.md")
    write("b.md", "---\ntitle: a: b\n---\n")
    assert run(".")[0] == 0


def test_no_source_is_a_usage_error(run: Run) -> None:
    code, _, err = run()
    assert code == 2 and "no source" in err


@pytest.mark.parametrize("text", [None, b"", b" \n", b"\xff"])
def test_instructions_that_cannot_be_read_are_a_usage_error(
    text: bytes | None, task: Write, write: Write, run: Run
) -> None:
    task("a.md")
    if text is not None:
        write("do.txt", text)
    assert run(".", "--instructions", "do.txt")[0] == 2


def test_rows_with_instructions_and_an_id_column(write: Write, run: Run) -> None:
    write("do.txt", "Translate it.\n")
    write("r.csv", "key,text\nk1,a\nk2,b\n")
    code, out, _ = run("r.csv", "--id", "key", "--instructions", "do.txt", "--json")
    assert code == 0
    assert json.loads(out)["ready"] == [
        {"id": "k1", "path": "r.csv"},
        {"id": "k2", "path": "r.csv"},
    ]


def test_standard_input_conditions_and_children(
    task: Write, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    task("e.md", id="e", type="epic")
    task("a.md", parent="e", project="x")
    task("b.md", parent="e", project="y")
    code, out, _ = run("--children-of", "e", "--where", "project=X", "--json")
    assert (code, json.loads(out)["ready"]) == (0, [{"id": "a", "path": "a.md"}])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"b.md\n")))
    assert json.loads(run("-", "--json")[1])["ready"] == [{"id": "b", "path": "b.md"}]


def test_paths_are_told_from_the_root_wherever_it_is_typed(
    task: Write, run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task("t/a.md", id="a")
    monkeypatch.chdir(project / "t")
    assert json.loads(run("a.md", "--json")[1])["ready"] == [{"id": "a", "path": "t/a.md"}]


def test_nothing_is_changed_and_no_state_is_made(
    of_every_kind: None, project: Path, run: Run
) -> None:
    shutil.rmtree(project / ".hypervisor")
    before = tree(project)
    run(".")
    run(".", "--json")
    assert tree(project) == before


def test_nothing_is_changed_where_there_is_a_ledger(
    of_every_kind: None, project: Path, run: Run
) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem("ready", "ready.md")])
    before = tree(project)
    _, out, _ = run(".", "--json")
    assert "open in queue q" in out
    # SQLite makes and removes its journal there, so the folder's own time changes.
    state = str(project / ".hypervisor")
    after = tree(project)
    assert after.pop(state)[1:] == before.pop(state)[1:]
    assert after == before


def test_what_may_not_be_read_is_broken_with_the_mend() -> None:
    # For root nothing is forbidden; and the first run imports what nobody else may read.
    program = (
        "import contextlib, io, os, sys\n"
        "from hypervisor.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()): main(['preflight', 'b.md', '--json'])\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(main(['preflight', '.', '--json']))\n"
    )
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)
        for name in ("a.md", "b.md"):
            Path(root, name).write_text(f"---\nid: {name}\nstatus: active\n---\n")
        os.chmod(f"{root}/a.md", 0)
        os.mkdir(f"{root}/shut", 0)
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(SOURCES)},
            capture_output=True,
            text=True,
        )
        os.chmod(f"{root}/shut", 0o700)
    assert done.returncode == 0, done.stderr
    broken = {entry["path"]: entry for entry in json.loads(done.stdout)["broken"]}
    assert broken["a.md"]["reason"] == "can't be read: Permission denied"
    assert broken["a.md"]["fix"].startswith("chmod u+r ")
    assert broken["shut"]["fix"].startswith("chmod u+rx ")


@pytest.mark.parametrize(
    "names, told",
    [
        (["1.md"], "1 Markdown file that is not a task: add --instructions FILE to work on it"),
        (
            ["1.md", "2.markdown"],
            "2 Markdown files that are not tasks: add --instructions FILE to work on each",
        ),
        (["1.md", "x.py"], "2 files that are not tasks: add --instructions FILE to work on each"),
    ],
)
def test_files_that_are_no_tasks_say_how_they_are_items(
    names: list[str], told: str, write: Write, run: Run
) -> None:
    for name in names:
        write(name, "# Do it\n\nNow.\n")
    assert told in run(*names)[1].splitlines()


def test_a_page_beside_tasks_is_left_out_without_advice(
    task: Write, write: Write, run: Run
) -> None:
    task("a.md")
    write("page.md", "# About\n")
    assert "--instructions" not in run(".")[1]


def test_files_are_not_advised_as_items_where_they_are_some_already(write: Write, run: Run) -> None:
    write("i.md", "Do it.\n")
    write("1.md", "# One\n")
    assert "no task" not in run("1.md", "--instructions", "i.md")[1]
