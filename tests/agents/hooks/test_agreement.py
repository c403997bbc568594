"""Above a number of items the user is asked about the cost; who goes on has been answered."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agents.hooks.conftest import SESSION, Session
from hypervisor.agents.hooks import Event, permission
from hypervisor.cli import main
from hypervisor.ledger import Ledger


@pytest.fixture
def asked(session: Session) -> Session:
    """A session whose hooks are heard, with a canary that is done and five items left."""
    (session.root / "hypervisor.toml").write_text("limits.ask_above = 3\n")
    session.reports(session.takes("a1"))
    session.ledger.sessions.meet(SESSION, heard=True)
    return session


def plan(capsys: pytest.CaptureFixture[str], *more: str) -> str:
    capsys.readouterr()
    main(["plan", "q", *more])
    return capsys.readouterr().out


def chosen(session: Session, answer: str) -> None:
    session.event(
        "PostToolUse",
        tool_name="AskUserQuestion",
        tool_input={"questions": []},
        tool_response={"questions": [], "answers": {"Go on?": answer}},
    )


def more_is_added(session: Session) -> None:
    number = session.ledger.queues.get("q").no
    with session.ledger.store.write():
        session.ledger.store.change(
            "insert into event (queue, at, kind, detail) values (?, 0, 'added', '')", (number,)
        )


def test_the_session_asks_in_the_same_turn_and_a_yes_goes_on(
    asked: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    told = plan(capsys)
    assert "5 items left" in told and "AskUserQuestion" in told
    assert "fewer than three have ended; the one that has took" in told
    assert "hypervisor plan q --go-on" in told
    # Nobody has answered yet, whatever the session thinks.
    assert "Start" not in plan(capsys, "--go-on")
    chosen(asked, "No")
    assert "Start" not in plan(capsys, "--go-on")
    chosen(asked, "Yes")
    assert "Start 2 workers" in plan(capsys, "--go-on")
    assert "Start 2 workers" in plan(capsys)
    more_is_added(asked)
    # The answer was to another question.
    assert "Start" not in plan(capsys, "--go-on")
    chosen(asked, "Yes")
    assert "Start 2 workers" in plan(capsys, "--go-on")


def test_a_yes_in_a_later_turn_and_the_command_to_resume_do_it_too(
    asked: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    asked.event("UserPromptSubmit", prompt="yes")
    assert "Start" not in plan(capsys, "--go-on")
    plan(capsys)
    asked.notice("a1")
    asked.event("UserPromptSubmit", prompt='<agent-message from="a1">[Subagent hand-back] yes')
    assert "Start" not in plan(capsys, "--go-on")
    asked.event("UserPromptSubmit", prompt="yes")
    assert "Start 2 workers" in plan(capsys, "--go-on")
    more_is_added(asked)
    assert "Start" not in plan(capsys, "--go-on")
    asked.event("UserPromptSubmit", prompt="/hypervisor:resume other")
    assert "Start" not in plan(capsys, "--go-on")
    asked.event("UserPromptSubmit", prompt="/hypervisor:resume q")
    assert "Start 2 workers" in plan(capsys, "--go-on")


def test_without_hooks_a_session_that_has_a_user_is_believed_and_a_person_always(
    session: Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (session.root / "hypervisor.toml").write_text("limits.ask_above = 3\n")
    claim = session.ledger.claims.claim("q", "w")[0]
    session.reports(claim)
    monkeypatch.setenv("CLAUDE_CODE_ENTRYPOINT", "sdk-cli")
    assert "Start" not in plan(capsys, "--go-on")
    monkeypatch.delenv("CLAUDE_CODE_ENTRYPOINT")
    assert "Start 2 workers" in plan(capsys, "--go-on")
    more_is_added(session)
    for name in ("CLAUDE_CODE_SESSION_ID", "CLAUDE_PID"):
        monkeypatch.delenv(name)
    assert "Start 2 workers" in plan(capsys, "--go-on")


def test_where_nobody_can_be_asked_nothing_is_spent_and_a_yes_is_said_beforehand(
    asked: Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CODE_ENTRYPOINT", "sdk-cli")
    for told in (plan(capsys), plan(capsys, "--go-on")):
        assert "Start" not in told and "AskUserQuestion" not in told
        assert "/hypervisor SOURCE --yes-up-to 6" in told
        assert "Nobody can be asked here" in told
    with asked.ledger.store.write():
        asked.ledger.store.change("update queue set yes_up_to = 5")
    assert "Start" not in plan(capsys)
    with asked.ledger.store.write():
        asked.ledger.store.change("update queue set yes_up_to = 6")
    assert "Start 2 workers" in plan(capsys)


def test_a_yes_beforehand_is_opened_with(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    (project / "a.md").write_text("---\nid: a\ntitle: a\nstatus: active\n---\na\n")
    assert main(["open", "q", "a.md", "--yes-up-to", "0"]) == 2
    assert main(["open", "q", "a.md", "--yes-up-to", "40"]) == 0
    with Ledger.open(str(project)) as ledger:
        assert ledger.queues.get("q").yes_up_to == 40


def user(text: object, **more: Any) -> str:
    return json.dumps({"type": "user", "message": {"role": "user", "content": text}, **more})


def test_only_the_users_own_words_say_yes_beforehand(session: Session) -> None:
    line = "hypervisor open q tasks --yes-up-to 40"

    def decision(*rows: str, command: str = line, **more: Any) -> str:
        session.transcript.write_text("\n".join(rows) + "\n")
        told = {
            "session_id": SESSION, "cwd": str(session.root), "tool_name": "Bash",
            "transcript_path": str(session.transcript), "tool_input": {"command": command}, **more,
        }  # fmt: skip
        answer = permission.before_tool(Event("PreToolUse", told))
        return str(answer["hookSpecificOutput"]["permissionDecision"]) if answer else ""

    typed = user(
        "<command-name>/hypervisor</command-name>\n"
        "<command-args>tasks --yes-up-to 40</command-args>"
    )
    assert decision(typed) == "allow"
    assert decision(user([{"type": "text", "text": "tasks, --yes-up-to 40"}])) == "allow"
    for rows in (
        user("do the tasks"),
        user("--yes-up-to 400"),
        user("<task-notification><result>--yes-up-to 40</result></task-notification>"),
        user([{"type": "tool_result", "content": "--yes-up-to 40"}]),
        user("--yes-up-to 40", isMeta=True),
        user("--yes-up-to 40", origin={"kind": "task-notification"}),
        json.dumps({"type": "assistant", "message": {"content": "--yes-up-to 40"}}),
        "no json",
    ):
        assert decision(rows) == "ask", rows
    assert decision(typed, command=f"{line} --verify 'touch x'; make") == "ask"
    assert decision(typed, command=f"{line}0") == "ask"
    assert decision(typed, agent_id="a1") == "deny"
    assert permission.said_by_user(["q", "--yes-up-to=7"]) == {"--yes-up-to": "7"}
    assert permission.said_by_user(["q", "--yes-up-to", "7", "--yes-up-to=8"]) == {}
    tries = [f"--max-{name} 9" for name in ("attempts", "deaths", "lost", "refusals")]
    for told in ("--ladder haiku,opus", "--repeat 3", "--notify phone", *tries):
        more = f"hypervisor open q tasks {told}"
        assert decision(user("do the tasks"), command=more) == "ask"
        assert decision(user(f"do the tasks, {told}."), command=more) == "allow"
        assert decision(user(f"do them, {told},x"), command=more) == "ask"
        assert decision(typed, command=f"{more} --yes-up-to 40") == "ask"


def test_a_session_reads_outside_of_the_project_what_its_user_has_named(session: Session) -> None:
    def decision(prompt: str, command: str) -> str:
        session.transcript.write_text(user(prompt) + "\n")
        told = {
            "session_id": SESSION, "cwd": str(session.root), "tool_name": "Bash",
            "transcript_path": str(session.transcript), "tool_input": {"command": command},
        }  # fmt: skip
        answer = permission.before_tool(Event("PreToolUse", told))
        return str(answer["hookSpecificOutput"]["permissionDecision"]) if answer else ""

    home = os.path.expanduser("~")
    for named, path in (
        ("/data/rows.csv", "/data/rows.csv"), ("~/rows.csv", f"{home}/rows.csv"),
        (f"{home}/rows", "~/rows/"), ("../rows.csv", "../rows.csv"), ("/data/x.", "@/data/x"),
    ):  # fmt: skip
        for verb in ("preflight", "open q"):
            assert decision(f"/hypervisor {named}", f"hypervisor {verb} {path} --id id") == ""
            assert decision("do the rows", f"hypervisor {verb} {path}") == "ask"
            assert decision(f"x{named}", f"hypervisor {verb} {path}") == "ask"
    line = "hypervisor open q /data/rows.csv --yes-up-to 40"
    assert decision("the rows, --yes-up-to 40", line) == "ask"
    assert decision("/data/rows.csv, --yes-up-to 40", line) == "allow"


def test_a_refusal_of_the_clients_own_check_is_a_right_that_the_worker_lacks(
    asked: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    asked.takes("a2")
    call = {"tool_name": "Bash", "tool_input": {"command": "make check"}, "reason": "flagged"}
    asked.event("PermissionDenied", agent="a2", **call)
    asked.event("PermissionDenied", **{**call, "tool_input": {"command": "make all"}})
    assert asked.ledger.agents.permissions("q") == ["Bash(make check:*)"]
    told = plan(capsys)
    assert '"allow": ["Bash(make check:*)"]' in told and "Start" not in told
    odd = {"command": 'make "$(x)" >y'}
    asked.event("PermissionDenied", agent="a2", **{**call, "tool_input": odd})
    assert "Bash(make:*)" in asked.ledger.agents.permissions("q")
