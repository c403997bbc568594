from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from worker.support import locks, states, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_queue_from_its_opening_to_its_summary(project: Path, run_forked: Run) -> None:
    for name in "abc":
        write_task(project, name)
    write_task(project, "old", status="done")
    (project / "how.md").write_text("Be brief.\n")
    opened = run_forked(
        "open", "q", "tasks", "--instructions", "how.md", "--verify", "true", "--lease", "90s",
        "--max-attempts", "2",
    )  # fmt: skip
    assert opened.returncode == 0, opened.stderr
    assert opened.stdout.splitlines()[0] == "1 task skipped (already complete)"
    assert "queue q: 3 items added\n" in opened.stdout
    assert "\nnext: hypervisor work q " in opened.stdout
    shown = run_forked("next", "q").stdout
    assert (
        "yours for 1 min 30 s;" in shown
        and "passes, and done runs it: true" in shown
        and "  Be brief.\n" in shown
    )
    for _ in "abc":
        shown = run_forked("done", claimed(shown), "--summary", "did it", "--next").stdout
    assert shown.endswith("nothing left\n")
    text = run_forked("summary", "q").stdout
    assert text.startswith("queue q: drained, 3 items: 3 done\n")
    assert "pre-flight: 1 skipped\n" in text
    for name in "abc":
        assert "status: done\n" in (project / f"tasks/{name}.md").read_text()
    again = run_forked("open", "q", "tasks")
    assert again.returncode == 3
    assert locks(project) == []


def claimed(shown: str) -> str:
    return next(line for line in shown.splitlines() if line.startswith("claim ")).split()[1]


def test_a_paused_queue_hands_out_nothing_takes_reports_and_goes_on_after_resume(
    project: Path, run_forked: Run
) -> None:
    for name in "ab":
        write_task(project, name)
    run_forked("open", "q", "tasks")
    token = claimed(run_forked("next", "q").stdout)
    assert run_forked("pause", "q", "--reason", "lunch\n\x1b[31m").returncode == 0
    refused = run_forked("next", "q")
    assert refused.returncode == 0
    assert refused.stdout == (
        "queue paused (lunch\\u000a\\u001b[31m): stop here; hypervisor resume q continues it\n"
    )
    assert run_forked("done", token, "--summary", "x").returncode == 0
    assert run_forked("resume", "q").stdout.startswith("q: open, 2 items: ")
    assert claimed(run_forked("next", "q").stdout)


def test_a_cancelled_queue_refuses_late_reports_frees_its_locks_and_hands_out_nothing(
    project: Path, run_forked: Run
) -> None:
    for name in "abc":
        write_task(project, name)
    run_forked("open", "q", "tasks")
    kept = claimed(run_forked("next", "q").stdout)
    run_forked("done", kept, "--summary", "x")
    token = claimed(run_forked("next", "q").stdout)
    said = run_forked("cancel", "q").stdout
    assert said.startswith("cancelled q: 2 open items ended, 1 of them half done:\n  b “Task b”: ")
    assert locks(project) == []
    assert run_forked("done", token, "--summary", "x").returncode == 4
    nothing = run_forked("next", "q")
    assert (nothing.returncode, nothing.stdout) == (3, "nothing left; the queue was cancelled\n")
    assert states(project) == {"a": "done", "b": "cancelled", "c": "cancelled"}
    assert run_forked("resume", "q").returncode == 2


def test_an_item_given_back_goes_to_somebody_else(project: Path, run_forked: Run) -> None:
    write_task(project, "a")
    run_forked("open", "q", "tasks")
    token = claimed(run_forked("next", "q").stdout)
    given = run_forked("release", token, "--reason", "not mine")
    assert (given.returncode, given.stdout) == (0, f"released {token}: the item is ready\n")
    other = claimed(run_forked("next", "q").stdout)
    assert other != token
    assert run_forked("done", token, "--summary", "x").returncode == 4


def test_the_third_worker_that_gives_an_item_back_ends_it_with_the_reason_in_the_file(
    project: Path, run_forked: Run
) -> None:
    path = write_task(project, "a")
    run_forked("open", "q", "tasks")
    for number in range(3):
        token = claimed(run_forked("next", "q").stdout)
        ended = run_forked("release", token, "--reason", f"reason {number}")
    assert ended.stdout == f"released {token}: the item is failed\n"
    assert "> 3 workers gave it back; the last: reason 2\n" in path.read_text()


def test_every_verb_explains_itself(run_forked: Run, tmp_path: Path) -> None:
    for verb in ("open", "next", "done", "block", "fail", "release", "heartbeat", "expire",
                 "pause", "resume", "cancel", "retry", "show", "log", "prune", "completion",
                 "unlock", "status", "summary"):  # fmt: skip
        told = run_forked(verb, "--help", cwd=tmp_path)
        assert told.returncode == 0
        assert told.stdout.startswith(f"usage: hypervisor {verb} ")
