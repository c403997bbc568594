"""What people ask of a batch, each answered by one command."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.test_shapes import check
from hypervisor.ledger import Ledger
from worker.support import open_queue, states, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def batch(project: Path) -> Path:
    """Seven tasks: a and b with priority 1 and high, c and d with 2 and low, e waits for a, f has
    none, and g is named by no queue."""
    priorities = {"a": "1", "b": "high", "c": "2", "d": "low", "e": "1"}
    for name in "abcdefg":
        extra = f"priority: {priorities[name]}\n" if name in priorities else ""
        extra += "depends_on: [a]\n" if name == "e" else ""
        write_task(project, name, title=f"Title of {name}", extra=extra)
    open_queue(project, [f"tasks/{name}.md" for name in "abcdef"])
    return project


def claim(run: Run, *words: str) -> str:
    told = json.loads(run("next", "q", *words, "--json").stdout)
    token: str = told["claims"][0]["token"]
    return token


# -- what is left --


def test_what_is_left_is_told_by_names(batch: Path, run: Run) -> None:
    run("done", claim(run), "--summary", "x")
    held = claim(run, "--worker", "ann")
    said = run("status", "q").stdout
    assert "  claimed: b “Title of b”\n" in said
    assert "  ready: c “Title of c”, f “Title of f”, d “Title of d”, e “Title of e”\n" in said
    assert "“Title of a”" not in said
    told = json.loads(run("status", "q", "--json").stdout)
    check("status", told)
    assert {one["id"]: one["worker"] for one in told["left"] if one["worker"]} == {"b": "ann"}
    run("block", held, "--reason", "which port?")
    said = run("status", "q").stdout
    assert "! blocked b: which port?; hypervisor retry q --blocked" in said


def test_what_waits_is_told_with_what_it_waits_for(batch: Path, run: Run) -> None:
    assert "  waiting: e “Title of e” (for a)\n" in run("status", "q").stdout


def test_the_names_of_what_is_left_are_bounded_and_json_has_all(project: Path, run: Run) -> None:
    for number in range(40):
        write_task(project, f"t{number}", title="x" * 300)
    open_queue(project)
    said = run("status", "q").stdout
    assert " and 20 more (--json lists all)\n" in said and len(said) < 3000
    assert len(json.loads(run("status", "q", "--json").stdout)["left"]) == 40


# -- only the high-priority ones --


def test_only_the_high_priority_ones_are_opened(project: Path, run: Run) -> None:
    for name, priority in {"a": "1", "b": "high", "c": "2", "d": "low"}.items():
        write_task(project, name, extra=f"priority: {priority}\n")
    assert "2 items: 2 ready" in run("preflight", "tasks", "--where", "priority<=1").stdout
    assert run("open", "q", "tasks", "--where", "priority<=1").returncode == 0
    assert set(states(project)) == {"a", "b"}
    # What is shown to be typed again is quoted.
    assert "“tasks --where 'priority<=1'”" in run("log", "q").stdout


def test_an_open_queue_is_narrowed_to_the_high_priority_ones_and_all_come_back(
    batch: Path, run: Run
) -> None:
    narrowed = run("open", "q", "--where", "priority<=1")
    assert narrowed.returncode == 0, narrowed.stderr
    assert "3 items of q are left to work on: a, b, e\n" in narrowed.stdout
    assert "3 set aside: c, f, d\n" in narrowed.stdout
    back = "hypervisor open q --where all"
    assert f"all of them back: {back}\n" in narrowed.stdout
    said = run("status", "q").stdout
    assert said.startswith("q: open, 6 items: 1 waiting, 2 ready, 3 set aside\n")
    assert f"  3 set aside, not priority<=1; all back: {back}\n" in said
    assert "  set aside: c “Title of c”, f “Title of f”, d “Title of d”\n" in said
    told = json.loads(run("status", "q", "--json").stdout)
    check("status", told)
    assert told["set_aside"] == {"items": 3, "where": "priority<=1"}
    assert told["counts"]["waiting"] == 4
    for _ in "abe":
        run("done", claim(run), "--summary", "x")
    nothing = run("next", "q")
    assert (nothing.returncode, nothing.stdout) == (3, "nothing left; 3 are set aside\n")
    assert "drained" in run("status", "q").stdout
    assert run(*shlex.split(back)[1:]).stdout.startswith("3 items of q are left")
    assert claim(run)


def test_narrowing_has_its_shape_and_says_what_a_worker_has(batch: Path, run: Run) -> None:
    token = claim(run, "--id", "c")
    told = json.loads(run("open", "q", "--where", "priority<=1", "--json").stdout)
    check("narrow", told)
    assert told == {
        "queue": "q", "where": ["priority<=1"], "left": ["a", "b", "e"], "aside": ["f", "d"],
        "at_work": ["c"], "back": [],
    }  # fmt: skip
    said = run("open", "q", "--where", "priority<=1").stdout
    assert "1 don't match, but a worker has them: they go on" in said
    run("fail", token, "--reason", "no")
    assert states(batch)["c"] == "waiting"
    told = json.loads(run("open", "q", "--where", "priority<=2", "--json").stdout)
    assert told["back"] == ["c"]


def test_rows_and_what_files_say_now_decide(project: Path, run: Run) -> None:
    (project / "rows.csv").write_text("id,points\nr1,5\nr2,50\n")
    (project / "how.md").write_text("Greet.\n")
    path = write_task(project, "a", extra="points: 5\n")
    run("open", "q", "tasks", "rows.csv", "--id", "id", "--instructions", "how.md")
    path.write_text(path.read_text().replace("points: 5", "points: 500"))
    told = json.loads(run("open", "q", "--where", "points>=50", "--json").stdout)
    assert (sorted(told["left"]), told["aside"]) == (["a", "r2"], ["r1"])
    path.unlink()
    assert json.loads(run("open", "q", "--where", "points>=50", "--json").stdout)["left"] == ["r2"]


def test_a_queue_that_matches_nothing_says_so_with_exit_code_three(batch: Path, run: Run) -> None:
    nothing = run("open", "q", "--where", "project=nowhere")
    assert (nothing.returncode, nothing.stdout.splitlines()[0]) == (
        3,
        "0 items of q are left to work on",
    )


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["q"], "no source"),
        (["q", "--where", "priority<=1", "--lease", "5m"], "no source"),
        (["q", "--where", "priority"], "is no condition; write it in quotes"),
        (["nowhere", "--where", "priority<=1"], "no queue 'nowhere'"),
    ],
)
def test_what_is_no_narrowing_is_refused(words: list[str], why: str, batch: Path, run: Run) -> None:
    refused = run("open", *words)
    assert refused.returncode == 2
    assert why in refused.stderr
    assert json.loads(run("status", "q", "--json").stdout)["set_aside"] is None


def test_what_is_set_aside_is_no_part_of_what_a_plan_counts(batch: Path, run: Run) -> None:
    run("done", claim(run), "--summary", "x")
    run("open", "q", "--where", "priority<=1")
    assert json.loads(run("plan", "q", "--json").stdout)["left"] == 2


def test_a_session_hears_what_is_set_aside(
    batch: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", "s-1")
    monkeypatch.setenv("CLAUDE_PID", "1")
    run("open", "q", "--where", "priority=1")
    with Ledger.open(str(batch)) as ledger:
        ledger.follow("s-1", "q")
    for _ in "abe":
        run("done", claim(run), "--summary", "x")
    news = run("status").stdout
    assert "3 of 6 items ended" in news
    assert "3 are set aside; all back: hypervisor open q --where all" in news
    assert "did not succeed" not in news
