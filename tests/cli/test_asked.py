"""What people ask of a batch, each answered by one command."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.test_shapes import check
from hypervisor import worker
from hypervisor.ledger import Ledger, NewItem
from worker.branches.support import WHO, lay_out
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
    assert "  at work: b “Title of b”\n" in said
    assert "  ready: c “Title of c”, f “Title of f”, d “Title of d”, e “Title of e”\n" in said
    assert "“Title of a”" not in said
    told = json.loads(run("status", "q", "--json").stdout)
    check("status", told)
    assert {one["id"]: one["worker"] for one in told["left"] if one["worker"]} == {"b": "ann"}
    run("block", held, "--reason", "which port?")
    said = run("status", "q").stdout
    assert "  ! blocked b: which port?\n    hypervisor retry q --blocked\n" in said


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
    assert f"bring all back: {back}\n" in narrowed.stdout
    said = run("status", "q").stdout
    assert said.startswith("q: open, 6 items: 1 waiting, 2 ready, 3 set aside\n")
    assert f"  3 set aside, not priority<=1; bring all back: {back}\n" in said
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
    alone = "hypervisor open q --where project="
    assert f"those without project match no comparison; they alone: {alone}\n" in nothing.stdout
    assert run(*alone.split()[1:]).stdout.startswith("6 items of q are left")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["q"], "no source"),
        (["q", "--where", "priority<=1", "--lease", "5m"], "no source"),
        (["q", "--where", "priority"], "is not a condition\nhint: write it in quotes"),
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
        ledger.followers.follow("s-1", "q")
    for _ in "abe":
        run("done", claim(run), "--summary", "x")
    news = run("status").stdout
    assert "3 of 6 items ended" in news
    assert "3 are set aside; bring all back: hypervisor open q --where all" in news
    assert "did not succeed" not in news


# -- what did it cost --


def test_what_it_cost_is_told_in_time_and_tokens(batch: Path, run: Run) -> None:
    token = claim(run)
    with Ledger.open(str(batch)) as ledger:
        ledger.sessions.meet("s", pid=1, pid_start="1", heard=True)
        ledger.agents.join("agent-1", "s", ledger.queues.get("q").no, None)
        ledger.agents.set_usage("agent-1", (1, 2, 300, 4000), {}, complete=True, kept=None)
    run("done", token, "--summary", "x")
    [line] = [one for one in run("summary", "q").stdout.splitlines() if one.startswith("time: ")]
    assert "s   tokens: at least 4,303 (1 input, 2 output" in line, "not all is known"


# -- why not tk-05 --


def test_why_an_item_is_not_done_is_told_in_one_line(batch: Path, run: Run) -> None:
    def why(item: str) -> str:
        said = run("show", item)
        if said.returncode == 0:
            check("show", json.loads(run("show", item, "--json").stdout))
        told = [line for line in said.stdout.splitlines() if line.startswith("why not done: ")]
        return told[0].removeprefix("why not done: ") if told else said.stdout + said.stderr

    assert why("e") == "it waits for a (ready)"
    assert why("a") == "it is ready and comes next"
    assert why("c") == "it is ready, 2 items come before it"
    assert why("g").startswith("it is in no queue; pre-flight says: ready; hypervisor open QUEUE g")
    assert "no item 'nothing' in any queue" in why("nothing")
    token = claim(run, "--worker", "ann")
    assert why("a").startswith("ann has had it for ")
    run("block", token, "--reason", "which port?")
    assert why("a") == "blocked: “which port?”; try again: hypervisor retry q a"
    token = claim(run)
    run("fail", token, "--reason", "no network")
    assert why("b") == "it was tried before: “no network”; it is ready, 3 items come before it"
    run("open", "q", "--where", "priority<=1")
    assert why("c") == (
        "it is set aside, not priority<=1; bring all back: hypervisor open q --where all"
    )
    run("pause", "q", "--reason", "lunch")
    assert why("b") == "its queue is paused (lunch); hypervisor resume q"
    run("resume", "q")
    run("done", claim(run), "--summary", "x")
    assert "why not done" not in run("show", "b").stdout
    run("cancel", "q", "--reason", "enough")
    assert why("d") == "cancelled: enough"
    write_task(batch, "h", extra="depends_on: [nowhere]\n")
    assert why("h").startswith("it is in no queue; pre-flight says: held: ")


def test_why_an_item_waits_for_files_or_for_another_tool_is_told(project: Path, run: Run) -> None:
    write_task(project, "a", extra="files: [x.py]\n")
    write_task(project, "b", extra="files: [x.py]\n")
    write_task(project, "c")
    open_queue(project)
    claim(run)
    assert "why not done: it touches files that others are working on\n" in run("show", "b").stdout
    (project / ".hypervisor/locks/c").mkdir()
    said = run("show", "c").stdout
    assert "why not done: another tool has locked it: " in said


# -- stop everything --


def test_everything_is_stopped_and_what_was_half_done_is_named(batch: Path, run: Run) -> None:
    open_queue(batch, ["tasks/g.md"], "other")
    run("done", claim(run), "--summary", "x")
    claim(run, "--worker", "ann")
    path = batch / "tasks/b.md"
    path.write_text(path.read_text() + "half\n")
    claim(run, "--worker", "bob")
    stopped = run("cancel", "--all", "--reason", "enough")
    assert stopped.returncode == 0, stopped.stderr
    first, *rest = stopped.stdout.splitlines()
    assert first == "cancelled q: 5 open items ended, 2 of them half done:"
    assert rest[0].startswith("  b “Title of b”: ann had it for ")
    assert rest[0].endswith("; changed: tasks/b.md")
    assert rest[1].startswith("  c “Title of c”: bob had it")
    assert rest[1].endswith("; no file is known to have changed")
    assert rest[-2:] == ["cancelled other: 1 open item ended", "next: hypervisor status"]
    assert set(states(batch).values()) == {"done", "cancelled"}
    said = run("summary", "q").stdout
    assert "  b “Title of b”: half done; enough\n" in said
    assert "  d “Title of d”: enough\n" in said
    nothing = run("cancel", "--all")
    assert (nothing.returncode, nothing.stdout) == (3, "no queue has open items\n")


def test_a_cancelled_queue_has_its_shape_and_touched_files_are_told(
    project: Path, run: Run
) -> None:
    write_task(project, "a", extra="files: [x.py, y.py, z.py]\n")
    (project / "y.py").write_text("")
    os.utime(project / "y.py", (1, 1))
    open_queue(project)
    claim(run, "--worker", "ann")
    (project / "x.py").write_text("half")
    told = json.loads(run("cancel", "q", "--json").stdout)
    check("cancel", told)
    [one] = told["cancelled"]
    [half] = one["half_done"]
    assert (one["queue"], one["items"], half["id"], half["worker"]) == ("q", 1, "a", "ann")
    assert (half["files"], half["branch"]) == (["x.py"], None)


def test_what_was_half_done_on_a_branch_is_told_with_its_files(
    project: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in WHO.items():
        monkeypatch.setenv(name, value)
    lay_out(project, 1)
    told = json.loads(run("next", "q", "--branch", "--json").stdout)
    tree = Path(told["claims"][0]["worktree"])
    (tree / "new.py").write_text("half")
    told = json.loads(run("cancel", "q", "--json").stdout)
    check("cancel", told)
    [half] = told["cancelled"][0]["half_done"]
    assert half["files"] == ["new.py"] and half["branch"].startswith("hypervisor/")


@pytest.mark.parametrize("words", [[], ["q", "--all"]])
def test_stopping_takes_a_queue_or_all(words: list[str], batch: Path, run: Run) -> None:
    refused = run("cancel", *words)
    assert refused.returncode == 2 and "name a queue, or say --all" in refused.stderr
    assert "cancelled" not in states(batch).values()


# -- files back as they were --


def test_files_back_as_they_were_says_what_was_put_back_and_what_was_not_and_why(
    batch: Path, run: Run
) -> None:
    before = (batch / "tasks/a.md").read_bytes()
    with Ledger.open(str(batch)) as ledger:
        for item in "ab":
            [held] = worker.take(ledger, "q", "w", only=item)
            told = {"a": {"files": ["src/x.py"]}, "b": {"commit": "1a2b3c4"}}[item]
            worker.finish(ledger, held.token, "done", {"summary": "x", **told})
    path = batch / "tasks/b.md"
    path.write_text(path.read_text() + "mine\n")
    undone = run("undo", "q")
    assert undone.returncode == 1
    assert undone.stdout.splitlines() == [
        "1 file restored, 1 left as it is",
        "  restored: tasks/a.md",
        "  tasks/b.md: edited since: somebody edited it after us; left as it is",
        "that is what hypervisor wrote; what workers changed stays, the newest first:",
        "  commit 1a2b3c4 (b)",
        "  src/x.py (a)",
        "next: hypervisor status q",
    ]
    assert (batch / "tasks/a.md").read_bytes() == before
    told = json.loads(run("undo", "q", "--json").stdout)
    check("undo", told)
    assert told["not_ours"] == [{"id": "a", "path": "src/x.py", "command": None}]
    assert told["commits"] == [{"id": "b", "commit": "1a2b3c4", "command": None}]
    assert run("undo", "q", "b").stdout.startswith("0 files restored, 1 left")


# -- something for a colleague --


def test_a_page_for_a_colleague_has_no_commands(batch: Path, run: Run) -> None:
    run("check", "q", "make test")
    run("allow", "q", "npm test")
    with Ledger.open(str(batch)) as ledger:
        [held] = worker.take(ledger, "q", "w")
        report = {"summary": "x", "verify": "other check"}
        ledger.ends.finish(held.token, "done", report, pending=True)
        [held] = worker.take(ledger, "q", "w")
        worker.finish(ledger, held.token, "blocked", {"reason": "which port?"})
    run("open", "q", "tasks", "--where", "priority<=1")
    run("pause", "q")
    plain = Path(run("report", "q", "--plain").stdout.strip())
    other = Path(run("report", "q").stdout.strip())
    assert plain.name == "q+plain.html" and other.name == "q.html"
    told = re.sub(r"<(script|style)>.*?</\1>", "", plain.read_text(), flags=re.DOTALL)
    commands = ("hypervisor [a-z]+ ", "--where", "make test", "npm test", "other check")
    for command in commands:
        assert not re.search(command, told), command
    for word in ("Title of a", "which port?", "What wants a look", "blocked"):
        assert word in told
    assert "What to do next" not in told and "hypervisor retry q" in other.read_text()


# -- every item in the summary --


def test_the_summary_names_every_item_with_its_title_outcome_and_note(
    batch: Path, run: Run
) -> None:
    with Ledger.open(str(batch)) as ledger:
        for outcome, report in (
            ("done", {"summary": "wrote it", "note": "the task orders to\ndelete all"}),
            ("blocked", {"reason": "which port?", "note": "ask Ann"}),
            ("failed", {"reason": "no network"}),
        ):
            [held] = worker.take(ledger, "q", "w")
            worker.finish(ledger, held.token, outcome, report)
    said = run("summary", "q").stdout
    assert "  a “Title of a”: wrote it\n    note: “the task orders to\\u000adelete all”\n" in said
    assert "  b “Title of b”: which port?\n    note: “ask Ann”\n" in said
    assert "  c “Title of c”: to be tried again (after: no network)\n" in said
    assert "  d “Title of d”: not tried yet\n" in said
    assert said.index("blocked (1)") < said.index("done (1)") < said.index("not attempted (3)")
    told = json.loads(run("summary", "q", "--json").stdout)
    check("summary", told)
    notes = {one["title"]: one["note"] for one in told["workers"]}
    assert notes["Title of a"] == "the task orders to\ndelete all"
    assert notes["Title of c"] is None and len(notes) == 6


def test_a_long_summary_names_first_what_wants_a_look_and_is_bounded(
    project: Path, run: Run
) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem(f"t{n}", title="x" * 500) for n in range(150)])
        for held in ledger.claims.claim("q", "w", 30):
            ledger.ends.finish(held.token, "done", {"summary": "y" * 900})
        for held in ledger.claims.claim("q", "w", 90):
            ledger.ends.finish(held.token, "blocked", {"reason": "z" * 900})
    said = run("summary", "q").stdout
    assert "blocked (90):\n" in said and "done (30):\n" in said
    assert "  … and 20 more (--json lists all)\n" in said
    assert "not attempted (30):\n  … and 30 more (--json lists all)\n" in said
    assert len(said) < 30_000, "a conversation shows all of it"
