"""What the verbs print as JSON is what the schemas say."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hypervisor import worker
from hypervisor.ledger import STATES, Ledger, NewItem
from hypervisor.views import summary
from repository import REPO
from worker.support import open_queue, write_task

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def check(name: str, told: Any) -> None:
    schema = json.loads((REPO / f"schemas/{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(told)


@pytest.fixture
def mixed(project: Path) -> Path:
    """A queue with an item in each of the eight states."""
    for name in "abcdefgh":
        write_task(project, name, extra="depends_on: [b]\n" if name == "h" else "")
    open_queue(project, max_attempts=1)
    (project / "tasks/f.md").write_text("---\nid: f\ntitle: F\nstatus: done\n---\n")
    with Ledger.open(str(project)) as ledger:

        def take(item: str) -> str:
            return worker.take(ledger, "q", "w", only=item)[0].token

        worker.finish(ledger, take("a"), "done", {"summary": "x", "files": ["y"], "commit": "z"})
        worker.finish(ledger, take("b"), "blocked", {"reason": "no"})
        worker.finish(ledger, take("c"), "failed", {"reason": "broken"})
        take("d")
        assert worker.take(ledger, "q", "w", only="f") == []
    return project


def test_claims_have_their_shape(project: Path, run: Run) -> None:
    write_task(project, "a")
    (project / "rows.csv").write_text("id,name\nr1,Ann\n")
    open_queue(project, ["tasks", "rows.csv"], instructions="greet", id_column="id")
    told = json.loads(run("next", "q", "-n", "5", "--json").stdout)
    check("claims", told)
    task, row = told["claims"]
    assert task == {
        "id": "a", "token": task["token"], "attempt": 1, "before": None, "path": "tasks/a.md",
        "payload": None, "instructions": "greet", "asks": [], "queue": "q",
        "lease_seconds": 900.0, "base_commit": None, "branch": None, "worktree": None,
    }  # fmt: skip
    assert row["payload"] == {"id": "r1", "name": "Ann"}
    for token in (task["token"], row["token"]):
        following = run("done", token, "--summary", "x", "--next", "--json")
        check("claims", json.loads(following.stdout))


def test_a_status_has_its_shape_and_its_counts_add_up(mixed: Path, run: Run) -> None:
    told = json.loads(run("status", "q", "--json").stdout)
    check("status", told)
    assert set(told["counts"]) == set(STATES)
    assert told["total"] == 8 == sum(told["counts"].values())
    assert told["counts"]["waiting"] == told["counts"]["skipped"] == told["counts"]["claimed"] == 1
    assert {item["id"]: item["state"] for item in told.pop("left")} == {
        "d": "claimed", "e": "ready", "g": "ready", "h": "waiting",
    }  # fmt: skip
    all_queues = json.loads(run("status", "--json").stdout)
    assert list(all_queues) == ["queues"]
    [same] = all_queues["queues"]
    check("status", same)
    for status in (told, same):
        # Time goes on between the two.
        status["workers"][0]["holds"][0].pop("lease_left_seconds")
        for name in ("per_minute", "eta_seconds"):
            status.pop(name)
    assert same == told
    run("cancel", "q", "--reason", "enough")
    told = json.loads(run("status", "q", "--json").stdout)
    check("status", told)
    assert (told["state"], told["reason"], told["counts"]["cancelled"]) == (
        "cancelled",
        "enough",
        4,
    )


@pytest.mark.parametrize("then", [None, "pause", "cancel"])
def test_a_summary_has_its_shape_and_its_counts_add_up(
    mixed: Path, run: Run, then: str | None
) -> None:
    if then is not None:
        run(then, "q", "--reason", "enough")
    told = json.loads(run("summary", "q", "--json").stdout)
    check("summary", told)
    assert told["total"] == 8 == sum(told["counts"].values()) == len(told["workers"])
    by_id = {entry["task_id"]: entry for entry in told["workers"]}
    assert (by_id["a"]["status"], by_id["a"]["outcome"]) == ("success", "x")
    assert (by_id["a"]["commit"], by_id["a"]["files"]) == ("z", ["y"])
    assert (by_id["b"]["status"], by_id["b"]["reason"]) == ("blocked", "no")
    assert (by_id["c"]["status"], by_id["c"]["reason"]) == ("failed", "broken")
    assert by_id["f"]["status"] == "skipped"
    assert by_id["e"]["status"] == "not_attempted"
    assert told["running"] == (0 if then == "cancel" else 1)
    assert sum(told["counts"].values()) == 8
    assert by_id["d"]["status"] == ("cancelled" if then == "cancel" else "at_work")
    text = run("summary", "q").stdout
    d = "1 cancelled" if then == "cancel" else "1 at work"
    assert f"8 items: 1 done, 1 blocked, 1 failed, 1 skipped, {d}, 3 not attempted\n" in text


def test_what_is_not_known_is_null(project: Path, run: Run) -> None:
    write_task(project, "a")
    open_queue(project)
    told = json.loads(run("summary", "q", "--json").stdout)
    check("summary", told)
    assert told["runtime_seconds"] is None
    assert told["total_tokens"] is None
    worker_told = told["workers"][0]
    for key in ("worker", "tokens", "runtime_seconds", "report_pending"):
        assert worker_told[key] is None
    assert "tokens: not known" in run("summary", "q").stdout


def test_the_runtime_is_from_the_first_claim_to_the_last_finish(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    now = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem("a"), NewItem("b"), NewItem("c")])
        now += 100
        first = worker.take(ledger, "q", "w")[0]
        now += 5
        second = worker.take(ledger, "q", "w")[0]
        now += 10
        worker.finish(ledger, second.token, "done", {"summary": "x"})
        now += 20.5
        worker.finish(ledger, first.token, "done", {"summary": "x"})
        now += 1000
        ledger.generations.cancel("q")
        told = summary.summarize(ledger, "q")
    assert told["runtime_seconds"] == 35.5
    assert [entry["runtime_seconds"] for entry in told["workers"]] == [35.5, 10.0, None]


def test_what_open_plan_and_undo_print_has_its_shape(project: Path, run: Run) -> None:
    write_task(project, "a")
    write_task(project, "b")
    open_queue(project, ["tasks/b.md"], "other")
    opened = json.loads(run("open", "q", "tasks", "--json").stdout)
    check("open", opened)
    assert (opened["added"], opened["preflight"]["counts"]["held"]) == (1, 1)
    steps = []

    def planned() -> None:
        for queue in ("q", "other"):
            plan = json.loads(run("plan", queue, "--json").stdout)
            check("plan", plan)
            steps.append(plan["step"])

    planned()
    token = run("next", "q").stdout.split()[1]
    planned()
    run("done", token, "--summary", "x")
    run("pause", "other")
    planned()
    assert {"canary", "wait", "finished", "paused"} == set(steps)
    undone = json.loads(run("undo", "q", "--json").stdout)
    check("undo", undone)
    assert undone["files"][0]["outcome"] == "restored"
