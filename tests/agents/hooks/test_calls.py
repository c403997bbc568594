"""Tool calls that change nothing: the guard lets them pass, counts them, and knows when not to."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from agents.hooks.conftest import SESSION, Session
from hypervisor.agents.hooks import tool_use
from hypervisor.ledger import calls, markers
from repository import REPO


class Guard:
    """The guard of a plugin whose program only notes what it is given."""

    def __init__(self, session: Session, plugin: Path) -> None:
        self.session = session
        self.calls = session.root / ".hypervisor" / "calls"
        self._given = plugin / "given"
        self._guard = plugin / "hooks" / "guard"
        program = plugin / "bin" / "hypervisor"
        for file in (self._guard, program):
            file.parent.mkdir(parents=True)
        self._guard.write_bytes((REPO / "hooks/guard").read_bytes())
        program.write_text(
            f"#!/bin/sh\n{{ printf '%s' \"$HYPERVISOR_HEAD\"; cat; }} >'{self._given}'\n"
        )
        for file in (self._guard, program):
            file.chmod(0o755)

    def hands_on(self, words: str, payload: dict[str, Any] | str) -> str | None:
        """Have the guard called; return what it has handed to the program, None for nothing."""
        self._given.unlink(missing_ok=True)
        told = payload if isinstance(payload, str) else compact(payload)
        ran = subprocess.run(
            [self._guard, *words.split()], cwd=self.session.root, input=told.encode(),
            capture_output=True,
        )  # fmt: skip
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
        return self._given.read_text() if self._given.exists() else None

    def after(self, agent: str = "a1", tool: str = "Read", **more: Any) -> dict[str, Any]:
        """Return what the client tells of a call that has ended, in its order."""
        return {
            "session_id": SESSION,
            "transcript_path": str(self.session.transcript),
            "cwd": str(self.session.root),
            "permission_mode": "default",
            **({"agent_id": agent, "agent_type": "hypervisor:worker"} if agent else {}),
            "hook_event_name": "PostToolUse",
            "tool_name": tool,
            "tool_input": {"file_path": "x"},
            "tool_response": {"stdout": ""},
            "tool_use_id": "toolu_1",
            **more,
        }

    def lets_pass(self, **more: Any) -> bool:
        return self.hands_on("PostToolUse", self.after(**more)) is None

    def counted(self, who: str = "a1") -> int:
        return calls.taken(self.session.ledger.state, who)


def compact(payload: dict[str, Any]) -> str:
    return json.dumps(payload, separators=(",", ":")) + "\n"


@pytest.fixture
def guard(session: Session, tmp_path: Path) -> Guard:
    session.takes("a1")
    session.event("PostToolUse", tool_name="Read", tool_input={}, tool_response={})
    return Guard(session, tmp_path / "plugin")


# --- what passes, and what is handed on


def test_what_changes_nothing_passes_and_is_counted_with_its_agent(guard: Guard) -> None:
    long = {"stdout": "x" * 100_000}
    assert guard.lets_pass()
    assert guard.lets_pass(tool="mcp__x__y", tool_input={"text": "y" * 100_000})
    assert guard.lets_pass(tool="Bash", tool_input={"command": "make"}, tool_response=long)
    failed = guard.after(tool="Bash", tool_input={"command": "make"}, error="Exit code 2")
    del failed["tool_response"]
    assert guard.hands_on("PostToolUseFailure", failed) is None
    assert guard.lets_pass(agent="")
    assert (guard.counted(), guard.counted(SESSION)) == (4, 1)
    assert (guard.counted(), guard.counted(SESSION)) == (0, 0)


def test_a_call_that_is_due_is_handed_on_whole(guard: Guard) -> None:
    os.utime(guard.calls / "a1" / "due", (time.time() - 1,) * 2)
    payload = guard.after(tool_response={"stdout": "é\\\n" * 50_000})
    told = guard.hands_on("PostToolUse", payload)
    assert told is not None and json.loads(told) == payload


@pytest.mark.parametrize(
    "more",
    [
        {"tool": "Bash", "tool_input": {"command": "hypervisor next q"}},
        {"tool": "Bash", "tool_input": {"command": "make next"},
         "tool_response": {"stdout": "claim 1-abcd\nend it: hypervisor done 1-abcd"}},
        {"tool": "Bash", "tool_input": {"command": f"cat >x <<E\n{'x' * 9000}\nE\nhypervisor x"}},
        {"agent": "", "tool": "Agent", "tool_input": {"prompt": "queue q"}},
        {"agent": "", "tool": "TaskStop"},
        {"agent": "", "tool": "AskUserQuestion"},
        {"tool": "Edit", "tool_input": {"file_path": "x"}},
        {"agent": "", "tool": "Write", "tool_input": {"file_path": "x"}},
        {"agent": "../../etc"},
        {"agent": "a b"},
        {"agent": "", "session_id": ""},
        {"agent": "", "session_id": 3},
    ],
    ids=str,
)  # fmt: skip
def test_what_may_change_something_is_handed_on_at_once(guard: Guard, more: dict[str, Any]) -> None:
    assert not guard.lets_pass(**more)


def test_what_is_not_written_as_the_client_writes_it_is_handed_on(guard: Guard) -> None:
    for told in (json.dumps(guard.after()), json.dumps(guard.after(), indent=1), "", "no json"):
        assert guard.hands_on("PostToolUse", told) == told


def test_no_text_passes_for_a_key_of_the_client(guard: Guard) -> None:
    forged = '","agent_id":"a2","tool_name":"Agent","x":"'
    assert guard.lets_pass(cwd=f"/x/{forged}", tool_input={"file_path": forged})
    nested = {"agent_id": "a2", "tool_name": "Agent", "agent_type": "hypervisor:worker"}
    assert guard.lets_pass(tool="mcp__x__y", tool_input=nested)
    assert guard.lets_pass(agent="", tool="mcp__x__y", tool_input=nested)
    assert (guard.counted(), guard.counted(SESSION)) == (2, 1)


def test_before_a_tool_only_the_agents_that_it_concerns_are_handed_on(guard: Guard) -> None:
    def before(agent: str, kind: str = "hypervisor:worker", mode: str = "default") -> Any:
        told = guard.after(agent, "Edit") | {"permission_mode": mode}
        return told | ({"agent_type": kind} if agent else {})

    assert guard.hands_on("PreToolUse file", before("a1")) is not None
    assert guard.hands_on("PreToolUse file", before("")) is None
    assert guard.hands_on("PreToolUse file", before("a1", "general-purpose")) is None
    assert guard.hands_on("PreToolUse file", before("a1", mode="bypassPermissions"))
    tools = guard.session.root / ".hypervisor" / "tools"
    assert guard.hands_on("PreToolUse tools", before("a1", "hypervisor:worker-tools")) is None
    tools.mkdir()
    (tools / "q").touch()
    assert guard.hands_on("PreToolUse tools", before("a1", "hypervisor:worker-tools")) is not None
    assert guard.hands_on("PreToolUse tools", before("a1")) is None
    assert guard.hands_on("PreToolUse tools", before("")) is None


# --- when the program is called again


def test_the_call_that_is_one_too_many_is_handed_on(guard: Guard) -> None:
    session = guard.session
    session.ledger.terms.set_bounds("q", item_calls=4)
    session.ran("a1", "true", "")  # with the one that took the item, the second
    assert guard.lets_pass() and guard.lets_pass()
    assert not guard.lets_pass()
    answer = session.event("PostToolUse", agent="a1", tool_name="Read", tool_input={})
    assert "no longer own" in str(answer)


def test_calls_of_an_item_that_has_ended_are_not_those_of_the_next(guard: Guard) -> None:
    session = guard.session
    (held,) = session.ledger.sessions.held_by(SESSION, "a1")
    session.ledger.ends.end(held.token, "released", "")
    for _ in range(5):
        assert guard.lets_pass()
    session.takes("a1")
    (held,) = session.ledger.sessions.held_by(SESSION, "a1")
    assert held.calls == 1


def test_a_clock_that_was_set_back_does_not_keep_the_program_away(guard: Guard) -> None:
    os.utime(guard.calls / "a1" / "since", (time.time() + 3600,) * 2)
    os.utime(guard.calls / "a1" / "due", (time.time() + 3615,) * 2)
    assert not guard.lets_pass()


@pytest.mark.parametrize(("lease", "third"), [(600, 60), (180, 60), (90, 30), (12, 4)])
def test_a_lease_shorter_than_three_minutes_is_renewed_at_a_third_of_its_length(
    session: Session, lease: int, third: int
) -> None:
    claim = session.takes("a1")
    with session.ledger.store.write():
        session.ledger.store.change("update claim set lease_ms = ?", (lease * 1000,))
    session.ledger.claims.heartbeat([claim.token])

    def after(seconds: float) -> bool:
        """True if a call renews the lease so many seconds after it was renewed."""
        with session.ledger.store.write():
            session.ledger.store.change(
                "update item set turn = turn - ? where id = ?", (int(seconds * 1e6), claim.id)
            )
        before = session.item(claim)["turn"]
        session.ran("a1", "true", "")
        return bool(session.item(claim)["turn"] > before)

    assert not after(third - 2)
    assert after(2)
    folder = session.root / ".hypervisor" / "calls" / "a1"
    waits = (folder / "due").stat().st_mtime - (folder / "since").stat().st_mtime
    assert third - 1 < waits <= third or waits == pytest.approx(15)


def test_a_lease_that_goes_as_far_as_it_may_is_renewed_no_more(session: Session) -> None:
    session.ledger.terms.set_bounds("q", item_ms=600_000)
    session.takes("a1")
    (held,) = session.ledger.sessions.held_by(SESSION, "a1")
    with session.ledger.store.write():
        session.ledger.store.change("update claim set ends_by = ?", (held.lease_until,))
        session.ledger.store.change("update claim set lease_ms = lease_ms * 2")
    assert session.ledger.sessions.renew(SESSION, "a1") == []
    seconds, _ = session.ledger.sessions.next_look(session.ledger.sessions.held_by(SESSION, "a1"))
    assert seconds is not None and seconds > 60


def test_while_a_worker_lacks_a_permission_each_of_its_calls_is_looked_at(guard: Guard) -> None:
    call = {"tool_name": "Bash", "tool_input": {"command": "make check"}}
    guard.session.event("PermissionRequest", agent="a1", permission_suggestions=[], **call)
    assert not guard.lets_pass()
    guard.session.event("PostToolUse", agent="a1", tool_name="Read", tool_input={})
    assert not guard.lets_pass()
    guard.session.event("PostToolUse", agent="a1", tool_response={"stdout": "ok"}, **call)
    assert guard.lets_pass()


# --- whose folder it is


def test_who_holds_nothing_goes_by_its_session(guard: Guard) -> None:
    stranger = {"agent": "stranger", "agent_type": "general-purpose"}
    assert guard.lets_pass(**stranger)
    assert (guard.counted(SESSION), (guard.calls / "stranger").exists()) == (1, False)
    (guard.calls / SESSION / "due").unlink()
    assert not guard.lets_pass(**stranger)
    guard.session.event("PostToolUse", **stranger, tool_name="Read", tool_input={})
    assert guard.lets_pass(**stranger)


def test_who_holds_an_item_and_has_no_folder_yet_gets_one(guard: Guard) -> None:
    state = guard.session.ledger.state
    calls.forget(state, ["a1"])  # as with an earlier version
    assert guard.lets_pass(agent_type="general-purpose")
    guard.session.event("PostToolUse", tool_name="Read", tool_input={}, tool_response={})
    assert not guard.lets_pass(agent_type="general-purpose")


def test_nothing_is_made_or_followed_where_a_link_stands(guard: Guard, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (guard.calls / "a1").rename(elsewhere)
    (guard.calls / "a1").symlink_to(elsewhere)
    before = sorted(elsewhere.iterdir())
    assert not guard.lets_pass()
    guard.session.event("PostToolUse", agent="a1", tool_name="Read", tool_input={})
    assert sorted(elsewhere.iterdir()) == before
    guard.calls.rename(tmp_path / "calls")
    guard.calls.symlink_to(tmp_path / "calls")
    assert not guard.lets_pass(agent="")


def test_folders_go_with_their_agents_and_with_the_last_queue(guard: Guard) -> None:
    session = guard.session
    (held,) = session.ledger.sessions.held_by(SESSION, "a1")
    session.ledger.ends.end(held.token, "released", "")
    session.stops("a1")
    assert not (guard.calls / "a1").exists()
    (guard.calls / "somebody's own").mkdir()
    session.ledger.generations.cancel("q")
    session.ledger.followers.unfollow(SESSION)
    markers.clear(session.ledger)
    assert [one.name for one in guard.calls.iterdir()] == ["somebody's own"]


def test_a_worker_is_looked_at_often_enough_for_its_tokens(guard: Guard) -> None:
    folder = guard.calls / "a1"
    waits = (folder / "due").stat().st_mtime - (folder / "since").stat().st_mtime
    assert waits == pytest.approx(tool_use.WORKER_SECONDS)


# --- what a worker can put there


def test_a_long_folder_hides_neither_who_calls_nor_what(guard: Guard) -> None:
    told = guard.after("", "Agent")
    start = compact(told).index("Agent") + len("Ag")
    told["cwd"] += "/" + "x" * (4096 - start - 1)
    assert guard.hands_on("PostToolUse", told) is not None
    tools = guard.session.root / ".hypervisor" / "tools"
    tools.mkdir()
    (tools / "q").touch()
    deep = guard.after("a1", "Edit", cwd="/x" * 2030) | {"hook_event_name": "PreToolUse"}
    assert guard.hands_on("PreToolUse file", deep) is not None
    deep["agent_type"] = "hypervisor:worker-tools"
    assert guard.hands_on("PreToolUse tools", deep) is not None


def test_no_number_that_is_written_there_lets_more_calls_pass_than_the_program_would(
    guard: Guard,
) -> None:
    folder = guard.calls / "a1"
    for number in range(calls.MOST):
        (folder / str(number + 9_000_000)).touch()
    for most in ("99999999", "1e9", "-1", ""):
        (folder / "due").write_text(f"{most}\n")
        os.utime(folder / "due", (time.time() + 3600,) * 2)
        assert not guard.lets_pass()


def test_a_pipe_in_the_place_of_a_mark_is_not_waited_for(guard: Guard) -> None:
    folder = guard.calls / "a1"
    (folder / "due").unlink()
    os.mkfifo(folder / "due")
    os.utime(folder / "due", (time.time() + 3600,) * 2)
    assert not guard.lets_pass()


def test_what_is_no_folder_of_an_agent_has_its_calls_looked_at(guard: Guard) -> None:
    folder = guard.calls / "a1"
    calls.forget(guard.session.ledger.state, ["a1"])
    folder.touch()
    assert not guard.lets_pass()
    folder.unlink()
    folder.symlink_to("nowhere")
    assert not guard.lets_pass()


def test_a_worker_whose_folder_is_gone_is_looked_at_and_gets_one(guard: Guard) -> None:
    calls.forget(guard.session.ledger.state, ["a1"])
    assert not guard.lets_pass()
    told = guard.after("new")
    guard.session.event("PostToolUse", **{**told, "agent": told.pop("agent_id")})
    assert guard.lets_pass(agent="new")
    assert guard.counted("new") == 1


@pytest.mark.parametrize("name", ["1", "due", "since"])
def test_a_folder_in_the_place_of_a_mark_keeps_no_call_from_being_counted(
    guard: Guard, name: str
) -> None:
    session, place = guard.session, guard.calls / "a1" / name
    place.unlink(missing_ok=True)
    place.mkdir()
    for _ in range(3):
        session.event("PostToolUse", agent="a1", tool_name="Read", tool_input={})
    (held,) = session.ledger.sessions.held_by(SESSION, "a1")
    assert held.calls == 4
    assert guard.lets_pass() == (name == "1")
