"""A queue over task files, and events of a session as the client reports them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisor import worker
from hypervisor.agents import hooks
from hypervisor.ledger import Claim, Ledger
from worker.support import open_queue, write_task

SESSION = "11111111-2222-3333-4444-555555555555"


class Session:
    """A session of a client that has opened the queue `q` over six tasks."""

    def __init__(self, root: Path, ledger: Ledger) -> None:
        self.root, self.ledger = root, ledger
        self.transcript = root.parent / "client" / f"{SESSION}.jsonl"
        (self.transcript.parent / SESSION / "subagents").mkdir(parents=True)
        self.transcript.write_text("")

    def event(self, name: str, *, agent: str = "", **payload: Any) -> dict[str, Any] | None:
        """Have the hook of the event `name` called, and return its answer."""
        told = {
            "session_id": SESSION,
            "transcript_path": str(self.transcript),
            "cwd": str(self.root),
            "hook_event_name": name,
            **({"agent_id": agent, "agent_type": "hypervisor:worker"} if agent else {}),
            **payload,
        }
        return hooks.handle(self.ledger, hooks.Event(name, told))

    def ran(self, agent: str, command: str, output: str) -> None:
        """A Bash call of an agent has ended."""
        self.event(
            "PostToolUse",
            agent=agent,
            tool_name="Bash",
            tool_input={"command": command},
            tool_response={"stdout": output, "stderr": "", "interrupted": False},
        )

    def takes(self, agent: str) -> Claim:
        """A worker runs `hypervisor next q` and is handed an item."""
        claim = worker.take(self.ledger, "q", "w")[0]
        self.ran(agent, "hypervisor next q", f"claim {claim.token}\nitem: {claim.id}\n")
        return claim

    def reports(self, claim: Claim) -> None:
        worker.finish(self.ledger, claim.token, "done", {"summary": "did it"})

    def stops(self, agent: str, last: str = "", again: bool = False) -> dict[str, Any] | None:
        """A worker ends its turn."""
        return self.event(
            "SubagentStop",
            agent=agent,
            stop_hook_active=again,
            last_assistant_message=last,
            agent_transcript_path=str(self.transcript_of(agent)),
        )

    def notice(self, agent: str, status: str = "completed", how: str = "finished") -> Any:
        """The client tells the session that a worker has ended."""
        return self.event("UserPromptSubmit", prompt=notice(agent, status, how))

    def turn_ends(self, *running: str, active: bool = False) -> dict[str, Any] | None:
        tasks = [{"id": name, "type": "subagent", "status": "running"} for name in running]
        return self.event("Stop", stop_hook_active=active, background_tasks=tasks)

    def transcript_of(self, agent: str) -> Path:
        return self.transcript.parent / SESSION / "subagents" / f"agent-{agent}.jsonl"

    def item(self, claim: Claim) -> Any:
        return self.ledger.store.row("select * from item where id = ?", (claim.id,))


def hand_back(agent: str, report: str) -> str:
    """Return a notice as the client words it in auto mode."""
    return (
        f'<agent-message from="{agent}">\n[Subagent hand-back] The text below is the final report '
        f"of a subagent this session delegated to.\n  {report}\n</agent-message>"
    )


def notice(agent: str, status: str, how: str) -> str:
    """Return a notice as the client words it."""
    return (
        f"<task-notification>\n<task-id>{agent}</task-id>\n<status>{status}</status>\n"
        f'<summary>Agent "a quota of 429" {how}</summary>\n</task-notification>'
    )


def text_of(answer: Any) -> str:
    """Return the context in a hook's answer, or nothing."""
    return str(answer["hookSpecificOutput"]["additionalContext"]) if answer else ""


@pytest.fixture
def session(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", SESSION)
    monkeypatch.setenv("CLAUDE_PID", str(os.getpid()))
    monkeypatch.setenv("CLAUDE_CODE_ENTRYPOINT", "cli")
    monkeypatch.chdir(project)
    for number in range(6):
        write_task(project, f"t-{number}")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        yield Session(project, ledger)


@pytest.fixture
def headless(session: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("CLAUDE_CODE_ENTRYPOINT", "sdk-cli")
    session.ledger.sessions.meet(SESSION, headless=True)
    return session
