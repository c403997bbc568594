"""Prune: what is old goes and is told; what is open or pending never does."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.test_shapes import check
from hypervisor import worker
from hypervisor.agents import retention
from hypervisor.ledger import Ledger
from worker.support import open_queue, states, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]
OLD = time.time() - 40 * 86400


def date_back(root: Path, queue: str) -> None:
    """Have a queue, its kept transcripts and its undo be forty days old."""
    with Ledger.open(str(root)) as ledger, ledger.store.write():
        for table, column in (("queue", "opened_at"), ("queue", "ended_at"), ("event", "at")):
            ledger.store.change(
                f"update {table} set {column} = ? where {column} is not null", (OLD,)
            )
        ledger.store.change(
            "update item set finished_at = ? where finish_no is not null and queue in "
            "(select no from queue where name = ?)",
            (OLD, queue),
        )
    for kind in ("outputs", "undo"):
        for path in (root / ".hypervisor" / kind).glob(f"{queue}/*"):
            os.utime(path, (OLD, OLD))


@pytest.fixture
def aged(project: Path) -> Path:
    """`old` drained 40 days ago, `busy` is as old and still open, `new` is from now."""
    for queue in ("old", "busy", "new"):
        for name in "ab":
            write_task(project, f"{queue}-{name}")
        open_queue(project, [f"tasks/{queue}-a.md", f"tasks/{queue}-b.md"], queue)
        with Ledger.open(str(project)) as ledger:
            for claim in worker.take(ledger, queue, "w", 1 if queue == "busy" else 2):
                worker.finish(ledger, claim.token, "done", {"summary": "x"})
        transcript = project / "t.jsonl"
        transcript.write_text("{}\n")
        with Ledger.open(str(project)) as ledger:
            agent = f"agent-of-{queue}"
            ledger.agents.join(agent, "session", ledger.queues.get(queue).no, str(transcript))
            assert retention.keep(ledger.state, queue, agent, [str(transcript)])
    for queue in ("old", "busy"):
        date_back(project, queue)
    return project


def kept(root: Path) -> set[str]:
    state = root / ".hypervisor"
    return {str(path.relative_to(state)).rpartition("/")[0] for path in state.glob("*/*/*")}


def test_a_dry_run_tells_what_would_go_and_removes_nothing(aged: Path, run: Run) -> None:
    before = kept(aged)
    told = json.loads(run("prune", "--dry-run", "--json").stdout)
    check("prune", told)
    assert [(one["queue"], one["items"]) for one in told["queues"]] == [("old", 2)]
    assert [(one["queue"], one["reason"]) for one in told["kept"]] == [
        ("busy", "items of it are open")
    ]
    assert told["outputs"]["files"] == told["undo"]["files"] == 1
    assert "queues would go: 1 with 2 items\n  old (generation 1), drained " in (
        run("prune", "--dry-run").stdout
    )
    assert kept(aged) == before
    assert set(states(aged, "old").values()) == {"done"}


def test_what_was_told_goes_and_nothing_else(aged: Path, run_hypervisor: Run) -> None:
    told = run_hypervisor("prune")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("queues removed: 1 with 2 items\n")
    assert "stays: busy (generation 1), open " in told.stdout
    assert "undo removed: 1 file" in told.stdout
    assert run_hypervisor("status", "old").returncode == 2
    assert sorted(states(aged, "busy").values()) == ["done", "ready"]
    assert set(states(aged, "new").values()) == {"done"}
    assert kept(aged) >= {"outputs/busy", "outputs/new", "undo/busy", "undo/new"}
    assert not kept(aged) & {"outputs/old", "undo/old"}
    with Ledger.open(str(aged)) as ledger:
        for table, column in (("claim", "item"), ("dependency", "item")):
            orphans = f"select count(*) from {table} where {column} not in (select no from item)"
            assert ledger.store.row(orphans)[0] == 0
        assert ledger.store.row("pragma integrity_check")[0] == "ok"
    again = run_hypervisor("prune", "--json")
    assert json.loads(again.stdout)["queues"] == []
    assert run_hypervisor("next", "busy").returncode == 0


def test_a_queue_whose_report_is_pending_stays(aged: Path, run: Run) -> None:
    with Ledger.open(str(aged)) as ledger, ledger.store.write():
        ledger.store.change("update item set pending = 'why' where id = 'old-a'")
    (aged / "tasks/old-a.md").unlink()
    told = json.loads(run("prune", "--json").stdout)
    assert ("old", "reports of it are not in their files yet") in [
        (one["queue"], one["reason"]) for one in told["kept"]
    ]
    assert states(aged, "old")["old-a"] == "done"


def test_no_token_is_given_twice_after_a_pruning(project: Path, run: Run) -> None:
    write_task(project, "a")
    open_queue(project)
    token = run("next", "q").stdout.split()[1]
    run("done", token, "--summary", "x")
    date_back(project, "q")
    told = json.loads(run("prune", "--json").stdout)
    assert told["queues"] == []
    assert "the next queue and claim" in told["kept"][0]["reason"]
    write_task(project, "b")
    open_queue(project, ["tasks/b.md"], "second")
    second = run("next", "second").stdout.split()[1]
    assert int(second.split("-")[0]) > int(token.split("-")[0])
    assert [one["queue"] for one in json.loads(run("prune", "--json").stdout)["queues"]] == ["q"]


def test_days_say_how_old_a_queue_must_be(aged: Path, run: Run) -> None:
    assert json.loads(run("prune", "--days", "50", "--dry-run", "--json").stdout)["queues"] == []
    assert run("prune", "--days", "-1").returncode == 2
    assert run("prune", "--days", "x").returncode == 2


def test_a_queue_that_stays_open_is_pruned_of_its_ended_claims(project: Path, run: Run) -> None:
    for name in "abcd":
        write_task(project, name)
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        for outcome in ("done", "blocked", "failed"):
            [claim] = worker.take(ledger, "q", "w")
            worker.finish(ledger, claim.token, outcome, {"summary": "x", "reason": "no"})
        [late] = worker.take(ledger, "q", "w")
        with ledger.store.write():
            ledger.store.change("update claim set ended_at = ? where ended_at is not null", (OLD,))
    date_back(project, "q")
    told = json.loads(run("prune", "--dry-run", "--json").stdout)
    check("prune", told)
    assert (told["claims"], len(told["queues"])) == (2, 0), "of a, and the first one of c"
    assert "ended claims removed from queues that stay: 2" in run("prune").stdout
    assert json.loads(run("prune", "--json").stdout)["claims"] == 0
    assert states(project) == {"a": "done", "b": "blocked", "c": "ready", "d": "claimed"}
    summary = run("summary", "q").stdout
    assert "a “Task a”: done" in summary and "b “Task b”: no" in summary
    assert run("done", late.token, "--summary", "x").returncode == 0
    assert run("retry", "q", "b").returncode == 0
    assert run("show", "a").returncode == 0 and run("report", "q").returncode == 0
