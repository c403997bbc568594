"""The hook before a tool: it answers without an open queue, and whatever it is given."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repository import REPO

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def before(folder: Path, payload: object) -> dict[str, Any]:
    """Have the plugin's own hook called, as the client calls it, and return its decision."""
    ran = subprocess.run(
        [REPO / "hooks/guard", "PreToolUse"],
        cwd=folder,
        input=payload if isinstance(payload, str) else json.dumps(payload),
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    told: dict[str, Any] = json.loads(ran.stdout)["hookSpecificOutput"] if ran.stdout else {}
    assert not told or told["hookEventName"] == "PreToolUse"
    return told


def bash(folder: Path, command: object, **more: Any) -> dict[str, Any]:
    return {
        "session_id": "s", "cwd": str(folder), "hook_event_name": "PreToolUse",
        "tool_name": "Bash", "tool_input": {"command": command}, **more,
    }  # fmt: skip


def test_it_asks_refuses_and_leaves_alone_where_no_queue_was_ever_opened(tmp_path: Path) -> None:
    asked = before(tmp_path, bash(tmp_path, "hypervisor check q 'make test'"))
    assert asked["permissionDecision"] == "ask"
    assert asked["permissionDecisionReason"] == "hypervisor check is for the user to decide"
    refused = before(tmp_path, bash(tmp_path, "hypervisor cancel q", agent_id="a1"))
    assert refused["permissionDecision"] == "deny"
    assert before(tmp_path, bash(tmp_path, "hypervisor cancel q")) == {}
    planned = before(tmp_path, bash(tmp_path, "hypervisor open q t", permission_mode="plan"))
    assert planned["permissionDecision"] == "deny"
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_that_is_no_ledger_has_no_part_in_it(project: Path) -> None:
    state = project / ".hypervisor"
    (state / "ledger.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    told = before(project, bash(project, "hypervisor undo q", agent_id="a1"))
    assert told["permissionDecision"] == "deny"


@pytest.mark.parametrize("payload", ["", "no json", "[]", "null", "3", '{"tool_name": "Bash"'])
def test_where_it_cant_be_told_the_user_is_asked(tmp_path: Path, payload: str) -> None:
    assert before(tmp_path, payload)["permissionDecision"] == "ask"


@pytest.mark.parametrize("command", [None, 3, ["hypervisor", "cancel"], {}, "", "x" * 200_000])
def test_a_tool_that_runs_no_command_of_ours_is_left_alone(tmp_path: Path, command: object) -> None:
    told = before(tmp_path, bash(tmp_path, command, agent_id="a1"))
    assert told == {} or isinstance(command, list)


def test_a_hook_in_a_pools_process_still_answers(project: Path, run_hypervisor: Run) -> None:
    env = {"HYPERVISOR_POOL": "p", "HYPERVISOR_AGENT": "a"}
    line = json.dumps(bash(project, "hypervisor cancel q", agent_id="x"))
    ran = run_hypervisor("_hook", "PreToolUse", input=line, env=env)
    assert ran.returncode == 0 and '"deny"' in ran.stdout
