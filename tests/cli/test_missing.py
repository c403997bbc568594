"""Items whose files are gone for good are ended by a person's word, and who waits for them told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from cli.test_shapes import check
from hypervisor.ledger import Ledger, NewItem
from worker.support import open_queue, states, write_task

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_missing_items_end_on_request_and_their_dependants_are_told(
    project: Path, run: Run
) -> None:
    gone = write_task(project, "a")
    write_task(project, "b", extra="depends_on: [a]\n")
    moved = write_task(project, "c")
    open_queue(project)
    gone.unlink()
    moved.rename(project / "c.md")
    [problem] = json.loads(run("status", "q", "--json").stdout)["problems"]
    assert (problem["kind"], problem["fix"]) == ("missing", "hypervisor cancel q --missing")
    told = run("cancel", "q", "--missing", "--json")
    assert told.returncode == 0
    check("cancel", json.loads(told.stdout))
    [one] = json.loads(told.stdout)["cancelled"]
    assert (one["items"], one["dependants"]) == (1, [{"id": "b", "queue": "q"}])
    assert states(project) == {"a": "cancelled", "b": "ready", "c": "ready"}
    said = run("next", "q").stdout + run("next", "q").stdout
    assert "know first: it waited for a, which was cancelled: its file is missing" in said
    nothing = run("cancel", "q", "--missing")
    assert nothing.returncode == 3 and "0 items of q ended" in nothing.stdout


def test_who_waits_for_an_item_of_a_cancelled_queue_is_told(project: Path, run: Run) -> None:
    write_task(project, "a")
    write_task(project, "b")
    open_queue(project, ["tasks/a.md"])
    with Ledger.open(str(project)) as ledger:
        ledger.generations.open("other", [NewItem("b", "tasks/b.md", after=["a"])])
    said = run("cancel", "q").stdout
    assert "b in other waited for that: its worker is told" in said
    assert "it waited for a, which was cancelled: cancelled" in run("summary", "other").stdout
    assert "know first: it waited for a" in run("next", "other").stdout
    assert states(project) == {"a": "cancelled"}, "what ends itself waits for nothing"


def test_cancel_missing_is_about_one_queue(project: Path, run: Run) -> None:
    assert run("cancel", "--missing").returncode == 2
    assert run("cancel", "--all", "--missing").returncode == 2


def test_no_worker_is_started_for_items_that_are_all_missing(project: Path, run: Run) -> None:
    for name in "abc":
        write_task(project, name)
    open_queue(project)
    for name in "abc":
        (project / f"tasks/{name}.md").unlink()
    told = run("plan", "q")
    assert told.returncode == 3
    assert "nothing left to hand out (3 items or their files are missing: a, b, c; " in told.stdout
    write_task(project, "b")
    assert "Start one worker" in run("plan", "q").stdout
