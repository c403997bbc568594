from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.config.caller import started
from hypervisor.ledger import Ledger
from hypervisor.system.errors import UsageError
from repository import REPO
from worker.support import locks, open_queue, states, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def take(root: Path, n: int = 1, only: str | None = None, queue: str = "q") -> list[str]:
    with Ledger.open(str(root)) as ledger:
        return [claim.id for claim in worker.take(ledger, queue, "w", n, only)]


def cause_of(root: Path, item_id: str) -> str:
    with Ledger.open(str(root)) as ledger:
        row = next(row for row in ledger.queries.results("q") if row.id == item_id)
        return str(row.report["reason"])


@pytest.mark.parametrize("word", ["done", "Completed", "cancelled", "won't do"])
def test_a_task_that_somebody_completed_meanwhile_is_skipped_and_the_next_one_handed_out(
    project: Path, word: str
) -> None:
    write_task(project, "a")
    write_task(project, "b")
    open_queue(project)
    write_task(project, "a", status=word)
    assert take(project) == ["b"]
    assert states(project) == {"a": "skipped", "b": "claimed"}
    assert word in cause_of(project, "a")
    assert locks(project) == ["b"]


def test_a_skipped_task_keeps_its_bytes(project: Path) -> None:
    write_task(project, "a")
    open_queue(project)
    path = write_task(project, "a", status="done")
    before = path.read_bytes()
    assert take(project) == []
    assert path.read_bytes() == before


def test_what_a_killed_session_held_is_handed_out_before_nothing_is(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(project, "a")
    write_task(project, "b")
    open_queue(project)
    client = subprocess.Popen(["sleep", "60"])
    try:
        with Ledger.open(str(project)) as ledger:
            start = started(client.pid)
            ledger.sessions.meet("s", pid=client.pid, pid_start=start, headless=False, heard=True)
            monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", "s")
            assert len(worker.take(ledger, "q", "w")) == 1
    finally:
        client.kill()
        client.wait()
    monkeypatch.delenv("CLAUDE_CODE_SESSION_ID")
    assert [take(project), take(project), take(project)] == [["b"], ["a"], []]
    with Ledger.open(str(project)) as ledger:
        # It cost nothing.
        assert [row.attempts + row.deaths for row in ledger.queries.results("q")] == [0, 0]


def test_a_task_that_was_edited_and_is_still_open_is_handed_out(project: Path) -> None:
    write_task(project, "a")
    open_queue(project)
    write_task(project, "a", body="# Another text\n")
    assert take(project) == ["a"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"---\ntitle: Fix: the parser\nid: a\n---\n", "tasks/a.md:2"),
        (b"---\nid: a\nstatus: active\n", "never closed"),
        (b"---\nid: a\nstatus: active\nstatus: done\n---\n", "status"),
        (b"---\nid: a\ntitle: caf\xe9\n---\n", "not UTF-8"),
    ],
)
def test_a_file_that_broke_meanwhile_is_blocked_with_the_line_and_left_alone(
    project: Path, text: bytes, reason: str
) -> None:
    path = write_task(project, "a")
    write_task(project, "b")
    open_queue(project)
    path.write_bytes(text)
    assert take(project) == ["b"]
    assert states(project) == {"a": "blocked", "b": "claimed"}
    assert reason in cause_of(project, "a")
    assert cause_of(project, "a").startswith("tasks/a.md")
    assert path.read_bytes() == text


def test_a_file_that_is_a_folder_now_is_blocked_with_the_reason(project: Path) -> None:
    folder = write_task(project, "b")
    open_queue(project)
    folder.unlink()
    folder.mkdir()
    assert take(project) == []
    assert states(project) == {"b": "blocked"}
    assert "not a regular file" in cause_of(project, "b")


def test_what_is_no_task_any_more_is_blocked_and_what_waits_for_it_waits(project: Path) -> None:
    path = write_task(project, "a")
    write_task(project, "b", extra="depends_on: [a]\n")
    open_queue(project)
    path.write_text("only text\n")
    assert take(project, 2) == []
    assert states(project) == {"a": "blocked", "b": "waiting"}
    assert cause_of(project, "a") == "tasks/a.md is no longer a task"


def test_what_somebody_cancelled_meanwhile_is_no_success_to_what_waits_for_it(
    project: Path,
) -> None:
    write_task(project, "a")
    write_task(project, "b", extra="depends_on: [a]\n")
    open_queue(project)
    write_task(project, "a", status="cancelled")
    assert take(project, 2) == []
    assert states(project) == {"a": "blocked", "b": "waiting"}
    assert cause_of(project, "a") == "someone set it to cancelled, and others wait for it"


def test_a_file_that_never_was_a_task_may_change_and_is_passed_over_while_it_is_gone(
    project: Path,
) -> None:
    for name in ("a", "b"):
        (project / f"{name}.md").write_text("a note\n")
    open_queue(project, ["a.md", "b.md"], instructions="read it")
    (project / "a.md").write_text("another note, longer\n")
    (project / "b.md").unlink()
    assert take(project, 2) == ["a.md"]
    assert states(project) == {"a.md": "claimed", "b.md": "ready"}


def test_a_row_is_handed_out_though_its_table_is_gone(project: Path) -> None:
    table = project / "rows.csv"
    table.write_text("id,name\nr1,Ann\n")
    open_queue(project, ["rows.csv"], instructions="greet", id_column="id")
    table.unlink()
    assert take(project) == ["r1"]


def test_several_are_claimed_at_once_and_a_completed_one_is_made_up_for(project: Path) -> None:
    for name in "abcde":
        write_task(project, name)
    open_queue(project)
    write_task(project, "b", status="done")
    assert take(project, 3) == ["a", "c", "d"]
    assert take(project, 3) == ["e"]
    assert take(project, 3) == []


def test_one_item_can_be_asked_for_by_its_id(project: Path) -> None:
    for name in "ab":
        write_task(project, name)
    open_queue(project)
    assert take(project, only="b") == ["b"]
    assert take(project, only="b") == []
    assert states(project) == {"a": "ready", "b": "claimed"}


def test_a_failure_between_claim_and_handing_out_leaves_nothing_claimed(project: Path) -> None:
    for name in "abc":
        write_task(project, name)
    open_queue(project)
    write_task(project, "b", body="changed\n")
    (project / "hypervisor.toml").write_text("nonsense = true\n")
    with pytest.raises(UsageError, match="nonsense"):
        take(project, 3)
    assert set(states(project).values()) == {"ready"}
    assert locks(project) == []


@pytest.mark.parametrize("verb", ["next", "done"])
def test_claims_that_nobody_can_have_read_go_back(
    project: Path, run_hypervisor: Run, verb: str
) -> None:
    for name in "ab":
        write_task(project, name)
    open_queue(project)
    line = ["next", "q"]
    if verb == "done":
        token = json.loads(run_hypervisor("next", "q", "--json").stdout)["claims"][0]["token"]
        line = ["done", token, "--next", "--summary", "did it"]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [REPO / "bin" / "hypervisor", *line],
            cwd=project,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert ended.returncode == 1
    assert ended.stderr.endswith(
        "error: system: No space left on device\nhint: free some space on the disk\n"
    )
    assert "claimed" not in states(project).values()
    assert states(project)["a"] == ("done" if verb == "done" else "ready")


@pytest.mark.parametrize("words", [("next", "q", "-n", "3"), ("next", "q", "--json")])
def test_claims_go_back_where_the_output_was_closed_before_the_start(
    project: Path, words: tuple[str, ...]
) -> None:
    for name in "abcd":
        write_task(project, name)
    open_queue(project)
    line = ["sh", "-c", '"$0" "$@" >&-', str(REPO / "bin" / "hypervisor")]
    ended = subprocess.run(
        [*line, *words], cwd=project, stderr=subprocess.PIPE, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr == "error: standard output: Bad file descriptor\n"
    assert set(states(project).values()) == {"ready"}
    # What says nothing that has to be read does its work.
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
    told = subprocess.run(
        [*line, "done", claim.token, "--summary", "x"],
        cwd=project,
        capture_output=True,
        check=False,
    )
    assert (told.returncode, told.stderr) == (0, b"") and states(project)["a"] == "done"


def imported(project: Path, *line: str) -> set[str]:
    """The modules that a command imports."""
    python = next((Path(os.environ["HYPERVISOR_HOME"])).glob("*/bin/python"))
    ended = subprocess.run(
        [python, "-I", "-S", "-X", "importtime", REPO / "src/hypervisor/__main__.py", *line],
        cwd=project,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-500:]
    return {text.rpartition("|")[2].strip() for text in ended.stderr.splitlines() if "|" in text}


# What takes as long to load as much of a call takes.
SLOW = frozenset((
    "argparse", "collections", "contextlib", "dataclasses", "enum", "frontmatter", "functools",
    "hashlib", "importlib", "json", "pathlib", "re", "subprocess", "tempfile", "threading",
    "tomllib", "typing", "yaml",
))  # fmt: skip


def test_an_unchanged_file_is_not_looked_at_and_costs_no_library(
    project: Path, run_hypervisor: Run
) -> None:
    for name in "ab":
        write_task(project, name)
    open_queue(project)
    run_hypervisor("--version")  # makes the environment
    modules = imported(project, "next", "q")
    assert "hypervisor.ledger" in modules
    heavy = SLOW | {"hypervisor.tasks", "hypervisor.config.settings"}
    assert modules.isdisjoint(heavy), modules & heavy
    modules = imported(project, "status")
    assert modules.isdisjoint(heavy), modules & heavy
    write_task(project, "b", body="changed\n")
    modules = imported(project, "next", "q")
    assert "hypervisor.tasks" in modules
    assert modules.isdisjoint(SLOW), modules & SLOW
    assert states(project) == {"a": "claimed", "b": "claimed"}


def test_a_report_on_a_plain_task_costs_no_library(project: Path, run_hypervisor: Run) -> None:
    for name in "ab":
        write_task(project, name, body="# T\n\nDo it, and say what you did.\n\n- [x] done\n")
    open_queue(project)
    run_hypervisor("--version")  # makes the environment
    token = run_hypervisor("next", "q").stdout.split()[1]
    modules = imported(project, "done", token, "--summary", "The tests pass.", "--next", "--json")
    assert "hypervisor.tasks.report" in modules
    assert modules.isdisjoint(SLOW), modules & SLOW
    assert "status: done" in (project / "tasks/a.md").read_text()
    assert states(project) == {"a": "done", "b": "claimed"}


def test_done_next_ends_one_item_and_claims_the_next_in_one_commit(project: Path) -> None:
    for name in "ab":
        write_task(project, name)
    open_queue(project)
    said: list[str] = []
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w")
        ledger.store.connection.set_trace_callback(said.append)
        ended = worker.finish(ledger, claim.token, "done", {"summary": "x"}, more=True)
        ledger.store.connection.set_trace_callback(None)
        [second] = ended.claims
        assert second.id == "b" and ended.state == "done"
    steps = [line for line in said if line.startswith(("commit", "update claim", "insert into cl"))]
    assert [line.split()[0] for line in steps[:3]] == ["update", "insert", "commit"]
