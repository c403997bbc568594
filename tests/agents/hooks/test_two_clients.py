"""Both clients' events reach the same handlers, and each client gets what it understands."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.hooks.conftest import Session
from hypervisor import worker
from hypervisor.agents import hooks
from hypervisor.ledger import Ledger
from worker.support import open_queue

GEMINI = "99999999-8888-7777-6666-555555555555"


def gemini(session: Session, name: str, **payload: Any) -> dict[str, Any] | None:
    """Have the hook called as Gemini CLI 0.61.0 calls it, and return its answer."""
    told = {
        "session_id": GEMINI,
        "transcript_path": str(session.root / "chats" / "session.jsonl"),
        "cwd": str(session.root),
        "hook_event_name": name,
        "timestamp": "2026-11-26T14:50:29.622Z",
        **payload,
    }
    return hooks.handle(session.ledger, hooks.Event(name, told))


def shell(session: Session, command: str, output: str, **response: Any) -> None:
    """A shell call has ended, as the client reports it."""
    wrapped = (
        f"<untrusted_context>\nOutput: {output}\nProcess Group PGID: 30319\n</untrusted_context>"
    )
    gemini(
        session,
        "AfterTool",
        tool_name="run_shell_command",
        tool_input={"command": command},
        tool_response={"llmContent": wrapped, "returnDisplay": output, **response},
    )


def claimed(session: Session) -> Any:
    """A claim by a shell that knows no session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CLAUDE_CODE_SESSION_ID")
        return worker.take(session.ledger, "q", "w")[0]


def takes(session: Session, **response: Any) -> Any:
    """The session runs `hypervisor next q` in its shell."""
    claim = claimed(session)
    shell(session, "hypervisor next q", f"claim {claim.token}\nitem: {claim.id}", **response)
    return claim


@pytest.mark.parametrize(
    "response", [{}, {"returnDisplay": {"fileDiff": ""}}, {"returnDisplay": ""}], ids=str
)
def test_a_claim_is_learned_from_either_part_of_geminis_result(
    session: Session, response: dict[str, Any]
) -> None:
    claim = takes(session, **response)
    assert [row.token for row in session.ledger.sessions.held_by(GEMINI, "")] == [claim.token]


def test_the_end_of_a_gemini_session_frees_what_it_held_at_no_cost(session: Session) -> None:
    claim = takes(session)
    assert gemini(session, "SessionEnd", reason="exit") is None
    row = session.item(claim)
    assert (row["state"], row["attempts"], row["deaths"]) == ("ready", 0, 0)


def test_a_gemini_session_hears_of_the_queue_that_it_opened_once_by_a_reason_at_the_top(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    shell(session, "hypervisor open q tasks", "queue q: 6 items added\na worker's first command: …")
    assert gemini(session, "AfterAgent", prompt_response="", stop_hook_active=False) is None
    for _ in range(6):
        worker.finish(session.ledger, takes(session).token, "done", {"summary": "did it"})
    told = gemini(session, "AfterAgent", prompt_response="", stop_hook_active=False)
    assert told is not None and set(told) == {"decision", "reason"}
    assert told["decision"] == "block" and "queue q has drained; 6 of 6" in told["reason"]
    assert gemini(session, "AfterAgent", prompt_response="", stop_hook_active=False) is None


def test_a_session_follows_the_queue_to_which_it_has_added_a_single_item(session: Session) -> None:
    shell(session, "hypervisor open q tasks", "queue q: 1 item added, 5 already in it\n")
    assert [row.name for row in session.ledger.followers.followed(GEMINI)] == ["q"]


def test_a_turn_that_was_already_prolonged_is_not_prolonged_again(session: Session) -> None:
    shell(session, "hypervisor open q tasks --json", '{"queue": "q", "generation": 1, "added": 6}')
    for _ in range(6):
        worker.finish(session.ledger, takes(session).token, "done", {"summary": "did it"})
    assert gemini(session, "AfterAgent", prompt_response="", stop_hook_active=True) is None
    heard = gemini(session, "BeforeAgent", prompt="what now?")
    assert heard is not None
    assert heard["hookSpecificOutput"]["hookEventName"] == "BeforeAgent"
    assert "has drained" in heard["hookSpecificOutput"]["additionalContext"]


def test_the_start_of_a_gemini_session_puts_nothing_before_its_first_prompt_which_tells_it(
    session: Session,
) -> None:
    assert gemini(session, "SessionStart", source="startup") is None
    first = gemini(session, "BeforeAgent", prompt="/hypervisor:status")
    assert first is not None
    assert "queue q: 6 of 6 items left" in first["hookSpecificOutput"]["additionalContext"]
    assert gemini(session, "BeforeAgent", prompt="and now?") is None
    # The other client has room for it.
    started = session.event("SessionStart", source="startup")
    assert started is not None and "6 items left" in json.dumps(started)


def test_the_claim_of_another_shell_is_not_taken_by_reading_of_it(session: Session) -> None:
    claim = claimed(session)
    shell(session, "cat notes", f"claim {claim.token}\n")
    assert session.ledger.sessions.held_by(GEMINI) == []
    gemini(session, "SessionEnd", reason="exit")
    assert session.item(claim)["state"] == "claimed"


def test_a_queue_that_somebody_only_talks_about_is_not_followed(session: Session) -> None:
    shell(session, "cat notes", "queue other: 3 items added\nqueue q was opened")
    assert session.ledger.followers.followed(GEMINI) == []


def test_a_gemini_session_inside_of_claude_code_does_not_die_with_it(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    monkeypatch.setenv("CLAUDE_PID", str(gone.pid))
    claim = takes(session)
    session.event("SessionStart", source="startup")
    assert session.item(claim)["state"] == "claimed"


# The shapes of a tool's result in both clients' documentation and in what they were seen to send.
RESULTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["stdout", "llmContent", "returnDisplay", "text", "error", "agentId"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    event=st.sampled_from(["PostToolUse", "AfterTool", "BeforeTool", "PostToolUseFailure"]),
    tool=st.sampled_from(["Bash", "Agent", "TaskStop", "run_shell_command", "write_file", 7, None]),
    response=RESULTS,
    tool_input=RESULTS,
    agent=st.sampled_from(["", "a1"]),
)
def test_no_shape_of_a_tool_result_makes_a_hook_fail(
    session: Session, event: str, tool: Any, response: Any, tool_input: Any, agent: str
) -> None:
    payload = {
        "session_id": GEMINI,
        "cwd": str(session.root),
        "tool_name": tool,
        "tool_input": tool_input,
        "tool_response": response,
        "agent_id": agent,
    }
    assert hooks.handle(session.ledger, hooks.Event(event, payload)) is None


@pytest.mark.parametrize("payload", ["", "[]", "null", "7", '{"session_id": 3}', "{"], ids=str)
def test_a_payload_that_is_none_changes_nothing_and_fails_nothing(
    project: Path, run_hypervisor: Callable[..., Any], payload: str
) -> None:
    open_queue(project, ())
    run_hypervisor("status")
    for event in ("AfterTool", "AfterAgent", "SessionEnd", "PostToolUse"):
        done = run_hypervisor("_hook", event, input=payload)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_hook_command_answers_each_client_in_one_process(
    session: Session, run_hypervisor: Callable[..., Any]
) -> None:
    common = {"session_id": GEMINI, "cwd": str(session.root), "timestamp": "2026-11-26T14:50:29Z"}
    done = run_hypervisor("_hook", "BeforeAgent", input=json.dumps({**common, "prompt": "hello"}))
    assert done.returncode == 0
    assert json.loads(done.stdout)["hookSpecificOutput"]["hookEventName"] == "BeforeAgent"
    assert not (Path(session.root) / ".hypervisor" / "hook-error.txt").exists()
    with Ledger.open(os.fspath(session.root)) as ledger:
        assert ledger.sessions.find(GEMINI) is not None
