"""What a session is told, by which event, and that it is told once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hypervisor import digest, worker
from hypervisor.cli import main
from hypervisor.summary import summarize
from worker.support import open_queue

from .conftest import SESSION, Session, notice, text_of


def do_all(session: Session, agent: str = "a1", count: int = 6) -> None:
    for _ in range(count):
        session.reports(session.takes(agent))
    session.stops(agent, f"ended {count}")


def test_the_first_wake_carries_everything_and_the_next_one_nothing(session: Session) -> None:
    do_all(session)
    heard = text_of(session.event("UserPromptSubmit", prompt="how is it going?"))
    assert "queue q has drained; 6 of 6 items ended" in heard
    assert all(f"t-{number}" in heard for number in range(6))
    assert session.notice("a1") is None
    assert session.turn_ends() is None
    by = summarize(session.ledger, "q")["notices"]
    assert by["by"] == {"prompt": 6} and by["arrived"] == by["workers_ended"] == 1


def test_stop_tells_at_rest_and_is_silent_while_work_goes_on(session: Session) -> None:
    session.reports(session.takes("a1"))
    session.takes("a1")
    assert session.turn_ends("a1") is None
    assert session.turn_ends("a1", active=True) is None


def test_stop_is_silent_when_it_has_already_prolonged_the_turn(session: Session) -> None:
    do_all(session)
    assert session.turn_ends(active=True) is None
    assert "has drained" in text_of(session.turn_ends())


def test_a_stall_is_told_once_and_not_while_the_user_is_being_asked(session: Session) -> None:
    session.reports(session.takes("a1"))
    session.stops("a1", "ended one")
    assert "q has stalled: 5 left" in text_of(session.turn_ends())
    assert session.turn_ends() is None


def test_a_session_that_has_asked_for_the_plan_hears_of_no_stall(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    session.reports(session.takes("a1"))
    session.stops("a1", "ended one")
    session.notice("a1")
    assert main(["plan", "q"]) == 0
    assert session.turn_ends() is None
    session.turn_ends("a2")
    session.takes("a2")
    session.notice("a2", "killed", "was stopped by Claude")
    assert "has stalled" in text_of(session.turn_ends())


def test_a_queue_that_is_opened_anew_and_is_empty_is_no_news(session: Session) -> None:
    do_all(session)
    session.turn_ends()
    open_queue(session.root, ())
    assert session.ledger.queue_row("q")["generation"] == 2
    assert session.turn_ends() is None


def test_a_session_that_only_opened_a_queue_hears_of_no_stall(session: Session) -> None:
    assert session.turn_ends() is None


def test_a_run_without_a_user_is_held_until_its_queue_is_at_rest(headless: Session) -> None:
    headless.takes("a1")
    assert "hypervisor wait q" in text_of(headless.turn_ends("a1"))


def test_a_run_without_a_user_is_held_before_its_workers_have_claimed(headless: Session) -> None:
    assert "hypervisor wait q" in text_of(headless.turn_ends("a1"))


def test_eight_wakes_at_once_tell_one_digest(session: Session) -> None:
    do_all(session)
    payload = json.dumps({"session_id": SESSION, "cwd": str(session.root), "prompt": "x"})
    command = [sys.executable, "-m", "hypervisor", "_hook", "UserPromptSubmit"]
    runs = [
        subprocess.Popen(
            command, cwd=session.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(Path(digest.__file__).parents[1])},
        )
        for _ in range(8)
    ]  # fmt: skip
    told = [run.communicate(payload)[0] for run in runs]
    assert sum("has drained" in text for text in told) == 1
    assert sum(text == "" for text in told) == 7


def test_a_notice_in_mid_turn_is_found_in_the_transcript_and_counted(session: Session) -> None:
    claim = session.takes("a1")
    prompt = notice("a1", "completed", "stopped at its 1-turn limit")
    rows: list[dict[str, Any]] = [
        {"type": "queue-operation", "operation": "enqueue", "content": prompt},
        {"type": "attachment", "attachment": {"type": "queued_command", "prompt": prompt}},
    ]
    session.transcript.write_text("torn\n" + "".join(json.dumps(row) + "\n" for row in rows[:1]))
    session.ran("", "hypervisor wait q", "")
    assert session.item(claim)["deaths"] == 1
    assert session.ledger.agent("a1")["noticed_at"] is None
    session.transcript.write_text("".join(json.dumps(row) + "\n" for row in rows))
    session.turn_ends()
    assert session.ledger.agent("a1")["noticed_by"] == "notice"
    assert session.item(claim)["deaths"] == 1


def test_the_end_of_a_session_frees_its_items_at_no_cost_and_the_next_is_told(
    session: Session,
) -> None:
    claim = session.takes("a1")
    session.event("SessionEnd", reason="prompt_input_exit")
    row = session.item(claim)
    assert (row["state"], row["attempts"], row["deaths"], row["releases"]) == ("ready", 0, 0, 0)
    heard = text_of(session.event("SessionStart", session_id="another", source="startup"))
    assert "queue q: 6 of 6 items left" in heard and "/hypervisor:resume" in heard


@pytest.mark.parametrize("reason", ["clear", "resume"])
def test_a_cleared_session_keeps_its_items(session: Session, reason: str) -> None:
    claim = session.takes("a1")
    session.event("SessionEnd", reason=reason)
    assert session.item(claim)["state"] == "claimed"


def test_what_a_killed_session_held_is_free_at_the_next_start(session: Session) -> None:
    claim = session.takes("a1")
    dead = subprocess.Popen(["true"])
    dead.wait()
    session.ledger.meet(SESSION, pid=dead.pid, pid_start="1")
    session.event("SessionStart", session_id="another", source="startup")
    assert session.item(claim)["state"] == "ready"
    assert session.ledger.followed(SESSION) == []


def test_hooks_cost_nothing_any_more_once_everything_is_told_and_the_session_is_over(
    session: Session,
) -> None:
    do_all(session)
    session.turn_ends()
    session.notice("a1")
    # The session lives: it may still ask for the summary, in any turn.
    assert os.listdir(session.root / ".hypervisor/live") == ["q"]
    session.event("SessionEnd", reason="other")
    assert os.listdir(session.root / ".hypervisor/live") == []


@pytest.mark.parametrize("payload", ["", "{", "[]", '{"session_id": 3}', '{"cwd": "/nowhere"}'])
def test_a_hook_with_a_strange_payload_says_nothing_and_ends_well(
    session: Session, payload: str
) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "hypervisor", "_hook", "Stop"], input=payload, text=True,
        cwd=session.root, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(digest.__file__).parents[1])},
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, "")


def test_a_hook_that_fails_says_nothing_and_leaves_its_error_for_people(session: Session) -> None:
    session.takes("a1")
    (session.root / ".hypervisor" / "ledger.db").write_bytes(b"not a ledger" * 1000)
    payload = json.dumps({"session_id": SESSION, "cwd": str(session.root)})
    ran = subprocess.run(
        [sys.executable, "-m", "hypervisor", "_hook", "Stop"], input=payload, text=True,
        cwd=session.root, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(digest.__file__).parents[1])},
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "Traceback" in (session.root / ".hypervisor" / "hook-error.txt").read_text()


def test_after_a_clear_the_new_session_has_the_workers_and_hears_of_them(session: Session) -> None:
    held = session.takes("a1")
    session.event("SessionEnd", reason="clear")
    session.event("SessionStart", session_id="new", source="clear")
    assert [row["token"] for row in session.ledger.held_by("new", "a1")] == [held.token]
    session.reports(held)
    # The worker's own processes still go by the old name.
    late = worker.take(session.ledger, "q", "w")[0]
    session.event(
        "PostToolUse",
        session_id="new",
        agent="a1",
        tool_name="Bash",
        tool_input={"command": "hypervisor done x --next"},
        tool_response={"stdout": f"claim {late.token}\n"},
    )
    assert [row["token"] for row in session.ledger.held_by("new", "a1")] == [late.token]
    heard = text_of(session.event("UserPromptSubmit", session_id="new", prompt="and now?"))
    assert f"done (1): {held.id}" in heard
