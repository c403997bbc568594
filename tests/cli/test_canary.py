"""The items that are tried first decide about the rest, and who waits for them comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from hypervisor import worker
from hypervisor.cli import main
from hypervisor.ledger import Ledger
from worker.support import open_queue, write_task

Run = Callable[..., "CompletedProcess[str]"]


@pytest.fixture
def ledger(project: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(project)
    for number in range(12):
        write_task(project, f"t-{number:02}")
    open_queue(project)
    with Ledger.open(str(project)) as opened:
        yield opened


def ends(ledger: Ledger, outcome: str, queue: str = "q") -> str:
    """A worker takes an item and ends it so; return its id."""
    claim = worker.take(ledger, queue, "w")[0]
    if outcome == "unreported":
        ledger.ends.end(claim.token, "unreported", "I think it is fine")
    elif outcome == "died":
        ledger.ends.end(claim.token, "died", "API Error: 400")
    else:
        report = {"summary" if outcome == "done" else "reason": f"because of {outcome}"}
        worker.finish(ledger, claim.token, outcome, report)
    return claim.id


def plan(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    main(["plan", "q", "--json", *words])
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


@pytest.mark.parametrize("outcome", ["blocked", "failed", "unreported"])
def test_only_an_item_that_is_done_has_the_rest_started(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], outcome: str
) -> None:
    assert plan(capsys)["step"] == "canary"
    tried = ends(ledger, outcome)
    told = plan(capsys)
    assert told["step"] == "not_done"
    state = "blocked" if outcome == "blocked" else "failed"
    [item] = told["not_done"]
    assert (item["id"], item["state"]) == (tried, state)
    assert outcome in item["reason"] or "I think it is fine" in item["reason"]
    assert main(["plan", "q"]) == 0
    words = capsys.readouterr().out
    assert item["reason"] in words and "Start nothing more" in words
    assert "hypervisor retry q" in words and "/hypervisor:resume q" in words


def test_the_user_may_go_on_all_the_same_and_is_not_asked_again(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    ends(ledger, "blocked")
    assert plan(capsys)["step"] == "not_done"
    assert plan(capsys, "--go-on")["step"] == "workers"
    ends(ledger, "blocked")
    assert plan(capsys)["step"] == "workers"


def test_a_yes_before_anything_was_tried_does_not_skip_the_trial(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan(capsys, "--go-on")["step"] == "canary"


def test_what_is_mended_and_tried_again_is_tried_alone(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    ends(ledger, "blocked")
    assert main(["retry", "q", "--blocked"]) == 0
    assert plan(capsys)["step"] == "canary"
    ends(ledger, "done")
    assert plan(capsys)["step"] == "workers"


def test_a_worker_that_dies_is_no_answer_and_one_more_is_tried(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    ends(ledger, "died")
    assert plan(capsys)["step"] == "canary"


def test_three_are_tried_of_more_than_a_hundred_or_as_many_as_are_asked_for(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    (project / "rows.csv").write_text("name\n" + "".join(f"r{n}\n" for n in range(101)))
    (project / "how.md").write_text("Count.\n")
    assert main(["open", "q", "rows.csv", "--id", "name", "--instructions", "how.md"]) == 0
    told = plan(capsys)
    assert (told["step"], told["workers"]) == ("canary", 3)
    main(["plan", "q"])
    assert "Start 3 workers in the background" in capsys.readouterr().out
    with Ledger.open(str(project)) as ledger:
        ends(ledger, "done")
        assert plan(capsys)["workers"] == 2
        ends(ledger, "done")
        ends(ledger, "done")
        assert plan(capsys)["step"] == "workers"
        assert main(["open", "q", "rows.csv", "--id", "name", "--instructions", "how.md",
                     "--canary", "5"]) == 0  # fmt: skip
        told = plan(capsys)
        assert (told["step"], told["workers"]) == ("canary", 2)


def test_wait_comes_back_when_the_tried_item_has_ended_with_no_hook_heard(
    ledger: Ledger, run_forked: Run
) -> None:
    environment = {"CLAUDE_CODE_SESSION_ID": "s-1", "CLAUDE_CODE_ENTRYPOINT": "cli"}

    def run(*words: str) -> CompletedProcess[str]:
        return run_forked(*words, env=environment)

    assert "Try one item first" in run("plan", "q").stdout
    claim = worker.take(ledger, "q", "w")[0]
    assert run("wait", "q", "--timeout", "1").returncode == 1
    worker.finish(ledger, claim.token, "blocked", {"reason": "unclear"})
    back = run("wait", "q", "--timeout", "20")
    assert back.returncode == 0
    assert "has finished its trial run" in back.stdout and "hypervisor plan q" in back.stdout
    assert "unclear" in run("plan", "q").stdout


def test_wait_says_with_a_code_of_its_own_that_nobody_works(
    ledger: Ledger, run_forked: Run
) -> None:
    alone = run_forked("wait", "q", "--timeout", "1")
    assert alone.returncode == 5 and "no worker alive" in alone.stdout
    claim = worker.take(ledger, "q", "w")[0]
    busy = run_forked("wait", "q", "--timeout", "1")
    assert busy.returncode == 1 and "not at rest yet" in busy.stdout
    worker.finish(ledger, claim.token, "done", {"summary": "did it"})
    deserted = run_forked("wait", "q", "--timeout", "1")
    assert deserted.returncode == 5
    assert "no worker alive" in deserted.stdout and f"done (1): {claim.id}" in deserted.stdout


# --- what is kept with the queue


def row(project: Path) -> tuple[Any, Any, Any]:
    with Ledger.open(str(project)) as ledger:
        told = ledger.queues.get("q")
        return told.item_calls, told.item_ms, told.canary


def test_the_bounds_of_an_item_are_kept_with_the_queue_and_can_be_changed_at_work(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    write_task(project, "t-1")
    assert main(["open", "q", "tasks"]) == 0
    assert row(project) == (200, 3_600_000, None)
    assert main(["open", "q", "tasks", "--item-calls", "9", "--canary", "2"]) == 0
    assert row(project) == (9, 3_600_000, 2)
    assert main(["open", "q", "tasks", "--item-minutes", "0.5"]) == 0
    assert row(project) == (9, 30_000, 2)
    assert main(["open", "q", "tasks", "--item-minutes", "0"]) == 0
    assert row(project) == (9, None, 2)


def test_a_lease_that_is_longer_than_the_time_for_an_item_is_not_cut_short(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    write_task(project, "t-1")
    (project / "hypervisor.toml").write_text("[limits]\nitem_calls = 50\nitem_minutes = 30\n")
    assert main(["open", "q", "tasks", "--lease", "2h"]) == 0
    assert row(project) == (50, 7_200_000, None)


@pytest.mark.parametrize(
    ("option", "more", "less"),
    [("--item-calls", "201", "20"), ("--item-minutes", "61", "5"), ("--canary", "0", "4")],
)
def test_a_session_may_only_lower_what_a_worker_may_take(
    project: Path, run_forked: Run, option: str, more: str, less: str
) -> None:
    write_task(project, "t-1")
    session = {"CLAUDE_CODE_SESSION_ID": "s-1"}
    for value in (more, "0"):
        refused = run_forked("open", "q", "tasks", option, value, env=session)
        assert refused.returncode == 2 and "for the user to decide" in refused.stderr
    assert run_forked("open", "q", "tasks", option, less, env=session).returncode == 0
    assert run_forked("open", "q", "tasks", option, more).returncode == 0


@pytest.mark.parametrize("option", ["--item-calls", "--item-minutes", "--canary"])
def test_a_bound_below_nought_is_refused(project: Path, run_forked: Run, option: str) -> None:
    write_task(project, "t-1")
    refused = run_forked("open", "q", "tasks", f"{option}=-1")
    assert refused.returncode == 2 and option in refused.stderr


@pytest.mark.parametrize("made", [True, False])
def test_a_pool_tries_as_many_as_the_queue_says_before_the_rest(
    project: Path, run_forked: Run, made: bool
) -> None:
    for number in range(4):
        write_task(project, f"t-{number}")
    assert run_forked("open", "q", "tasks", "--canary", "1").returncode == 0
    if made:
        (project / "made").touch()
    words = ["work", "q", "--agent", "command", "--workers", "4", "--", "test", "-e", "made"]
    ran = run_forked(*words)
    with Ledger.open(str(project)) as ledger:
        counts = ledger.queues.stats("q")
        claims = [claim for item in range(1, 5) for claim in ledger.queries.claims_on(item)]
    if made:
        assert ran.returncode == 0 and counts["done"] == 4
        # The first alone: nobody else had begun before it was done.
        assert sorted(one.claimed_at for one in claims)[1] >= min(
            one.ended_at or 0 for one in claims
        )
        return
    assert ran.returncode == 1 and counts["done"] == 0 and len(claims) == 1
    assert "what was tried first is not done: t-0: exit code 1" in ran.stdout
    (project / "made").touch()
    assert run_forked("plan", "q", "--go-on").returncode == 0
    assert run_forked(*words).returncode == 0
