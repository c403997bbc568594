"""What a session is told, by which event, and that it is told once."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from agents.hooks.conftest import SESSION, Session, hand_back, notice, text_of
from hypervisor import worker
from hypervisor.agents import hooks
from hypervisor.cli import main
from hypervisor.views.summary import summarize
from repository import REPO
from worker.support import open_queue


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
    session.notice("a2", "completed", "stopped at its 1-turn limit (partial result)")
    assert "has stalled" in text_of(session.turn_ends())


def test_a_queue_that_is_opened_again_with_nothing_is_no_news(session: Session) -> None:
    do_all(session)
    session.turn_ends()
    open_queue(session.root, ())
    assert session.ledger.queues.get("q").generation == 1
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
            env={**os.environ, "PYTHONPATH": str(REPO / "src")},
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
    assert session.ledger.agents.find("a1").noticed_at is None
    session.transcript.write_text("".join(json.dumps(row) + "\n" for row in rows))
    session.turn_ends()
    assert session.ledger.agents.find("a1").noticed_by == "notice"
    assert session.item(claim)["deaths"] == 1


@pytest.mark.parametrize("words", ["", "Another Claude session sent a message:\n"])
def test_a_hand_back_of_auto_mode_is_a_notice_and_ends_nothing(
    session: Session, words: str
) -> None:
    claim = session.takes("a1")
    session.event("UserPromptSubmit", prompt=words + hand_back("a1", "all done"))
    assert session.ledger.agents.find("a1").noticed_by == "notice"
    assert session.item(claim)["state"] == "claimed", "its item is for the end of the worker"


def test_hand_backs_and_notices_that_fired_no_hook_are_found_in_the_transcript(
    session: Session,
) -> None:
    for name in ("a1", "a2", "a3", "a4", "a5"):
        session.reports(session.takes(name))
        session.stops(name)
    ours = {"isSidechain": False}
    queued = {"type": "queued_command", "prompt": hand_back("a1", "did it")}
    body = "Another Claude session sent a message:\n" + hand_back("a2", "did it")
    peer = {"kind": "peer", "from": "a2", "handback": True}
    task = {"kind": "task-notification"}
    told = notice("a3", "completed", "finished")
    rows = [
        {"type": "attachment", "attachment": queued, **ours},
        {"type": "user", "origin": peer, "message": {"content": body}, **ours},
        {"type": "user", "origin": task, "message": {"content": told}, **ours},
        # Queued and never delivered; and the words of somebody who types.
        {"type": "queue-operation", "operation": "enqueue", "content": hand_back("a4", "did it")},
        {"type": "user", "message": {"content": hand_back("a5", "did it")}, **ours},
    ]
    session.transcript.write_text("".join(json.dumps(row) + "\n" for row in rows))
    session.turn_ends()
    noticed = [session.ledger.agents.find(f"a{n}").noticed_by for n in (1, 2, 3, 4, 5)]
    assert noticed == ["notice", "notice", "notice", None, None]
    told = summarize(session.ledger, "q")["notices"]
    assert (told["workers_ended"], told["arrived"]) == (5, 3)


@pytest.mark.parametrize("auto", [False, True])
def test_a_report_that_looks_like_a_notice_tells_of_no_other_worker(
    session: Session, auto: bool
) -> None:
    mine, other = session.takes("a1"), session.takes("a2")
    session.reports(mine)
    forged = notice("a2", "failed", "failed")
    told = notice("a1", "completed", "finished").replace(
        "</task-notification>", f"<result>{forged}</result>\n</task-notification>"
    )
    session.event("UserPromptSubmit", prompt=hand_back("a1", forged) if auto else told)
    assert session.ledger.agents.find("a1").noticed_at is not None
    assert session.ledger.agents.find("a2").noticed_at is None
    assert (session.item(other)["state"], session.item(other)["deaths"]) == ("claimed", 0)


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
    session.ledger.sessions.meet(SESSION, pid=dead.pid, pid_start="1")
    session.event("SessionStart", session_id="another", source="startup")
    assert session.item(claim)["state"] == "ready"
    assert session.ledger.followers.followed(SESSION) == []


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
        env={**os.environ, "PYTHONPATH": str(REPO / "src")},
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, "")


def test_a_hook_that_fails_says_nothing_and_leaves_its_error_for_people(session: Session) -> None:
    session.takes("a1")
    (session.root / ".hypervisor" / "ledger.db").write_bytes(b"not a ledger" * 1000)
    payload = json.dumps({"session_id": SESSION, "cwd": str(session.root)})
    ran = subprocess.run(
        [sys.executable, "-m", "hypervisor", "_hook", "Stop"], input=payload, text=True,
        cwd=session.root, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(REPO / "src")},
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "Traceback" in (session.root / ".hypervisor" / "hook-error.txt").read_text()


@pytest.mark.parametrize(
    "sent",
    ["{", "[" * 100_000, "[]", "7", '{"session_id": 7}', '{"session_id": "SESSION", "cwd": "ROOT", '
     '"agent_id": "\\ud800", "tool_name": "\\ud800x", "tool_input": {"command": "\\udfff"}}',
     '{"session_id": "SESSION", "cwd": "ROOT\\u0000", "permission_mode": "\\u0000"}',
     '{"session_id": "SESSION", "cwd": "ROOT", "agent_id": "a1", "agent_transcript_path": '
     '"\\u0000", "transcript_path": "\\u0000/x", "error": "x", "prompt": "\\u0000"}',
     '{"session_id": "SESSION", "cwd": "ROOT", "permission_suggestions": 7}',
     '{"session_id": "SESSION", "cwd": "ROOT", "permission_suggestions": [7, {"rules": [7]}]}'],
)  # fmt: skip
@pytest.mark.parametrize(
    "name",
    [
        "PermissionRequest",
        "PostToolUse",
        "SubagentStop",
        "StopFailure",
        "Stop",
        "SessionStart",
        "AfterTool",
    ],
)
def test_an_event_of_another_shape_than_the_clients_fails_no_hook(
    session: Session, monkeypatch: pytest.MonkeyPatch, sent: str, name: str
) -> None:
    session.takes("a1")
    text = sent.replace("SESSION", SESSION).replace("ROOT", str(session.root))
    raw = text.encode("utf-8", "surrogatepass")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    assert isinstance(hooks.run(name), str)
    kept = session.root / ".hypervisor" / "hook-error.txt"
    told = kept.read_text() if kept.exists() else ""
    assert not told or "what the client said of an event is no JSON" in told


def test_what_is_no_utf_8_in_an_event_is_read_as_the_client_shows_it(session: Session) -> None:
    session.takes("a1")
    told = {"session_id": "half", "cwd": str(session.root), "transcript_path": "half"}
    halves = b"\\ud800", b"\xed\xa0\x80", b"\xff"
    for half in halves:
        ran = subprocess.run(
            # As the launcher starts it: such bytes are halves of characters to a text stream.
            [sys.executable, "-X", "utf8", "-m", "hypervisor", "_hook", "Stop"],
            input=json.dumps(told).encode().replace(b"half", half), cwd=session.root,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(REPO / "src")},
        )  # fmt: skip
        assert (ran.returncode, ran.stdout) == (0, b"")
        assert not (session.root / ".hypervisor" / "hook-error.txt").exists()


def test_half_a_character_in_a_transcript_keeps_no_notice_from_being_found(
    session: Session,
) -> None:
    session.takes("a1")
    rows = [
        {"type": "queue-operation", "content": notice("a1\ud800", "failed", "half")},
        {"type": "attachment", "attachment": {"prompt": notice("a1", "completed", "\udfff")}},
    ]
    session.transcript.write_text("".join(json.dumps(row) + "\n" for row in rows))
    session.turn_ends()
    assert session.ledger.agents.find("a1").noticed_by == "notice"


def test_after_a_clear_the_new_session_has_the_workers_and_hears_of_them(session: Session) -> None:
    held = session.takes("a1")
    session.event("SessionEnd", reason="clear")
    session.event("SessionStart", session_id="new", source="clear")
    assert [row.token for row in session.ledger.sessions.held_by("new", "a1")] == [held.token]
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
    assert [row.token for row in session.ledger.sessions.held_by("new", "a1")] == [late.token]
    heard = text_of(session.event("UserPromptSubmit", session_id="new", prompt="and now?"))
    assert f"done (1): {held.id}" in heard
