"""What hooks allow without a dialog: whose verbs, whose files, in whose session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.hooks.conftest import SESSION, Session, session
from hypervisor import worker
from hypervisor.agents import grants
from hypervisor.agents.claude import settings
from hypervisor.agents.hooks import Event, permission
from hypervisor.views.history import Log
from repository import REPO

__all__ = ["session"]


def before(
    session: Session, tool: str, agent: str = "", kind: str = "hypervisor:worker", **asked: Any
) -> str:
    """What the hook before a tool decides, "" where it leaves it to the client."""
    told = {
        "session_id": SESSION, "cwd": str(session.root), "hook_event_name": "PreToolUse",
        "permission_mode": "default", "tool_name": tool, "tool_input": asked,
        **({"agent_id": agent, "agent_type": kind} if agent else {}),
    }  # fmt: skip
    answer = permission.before_tool(Event("PreToolUse", told))
    return str(answer["hookSpecificOutput"]["permissionDecision"]) if answer else ""


def bash(session: Session, line: str, agent: str = "", **more: Any) -> str:
    return before(session, "Bash", agent, command=line, **more)


def test_a_worker_may_use_its_own_verbs_with_its_own_claims(session: Session) -> None:
    assert bash(session, "hypervisor next q", "a1") == "allow"
    mine, other = session.takes("a1"), session.takes("a2")
    end = "--next --summary - <<'END'\nwrote $(x) & \"more\" > than * that\nEND"
    for line in (
        f"hypervisor done {mine.token} {end}",
        f"hypervisor block {mine.token} --reason 'no file'",
        f"hypervisor done {mine.token} --summary ok 2>&1 | tail -20",
        f"hypervisor heartbeat {mine.token} && hypervisor status --json",
        "hypervisor next q 2>/dev/null",
        "hypervisor next --json -n 2 q",
        "hypervisor show t-1",
    ):
        assert bash(session, line, "a1") == "allow", line
    for line in (
        f"hypervisor done {other.token} --summary x",
        f"hypervisor heartbeat {mine.token} {other.token}",
        "hypervisor done --summary x",
        "hypervisor next elsewhere",
        "hypervisor next --json elsewhere --worker q",
        "hypervisor preflight /etc",
        f"hypervisor done {mine.token} --summary x; make",
        f"hypervisor done {mine.token} --summary $(make)",
        f'hypervisor done {mine.token} --summary "$HOME"',
        f"hypervisor done {mine.token} --summary x > out.txt",
        f"hypervisor done {mine.token} --summary - < /etc/passwd",
        f"hypervisor done {mine.token} --summary - <<END\n$(make)\nEND",
        "PATH=. hypervisor next q",
        "./hypervisor next q",
        "(hypervisor next q)",
        "hypervisor next q &",
        "hypervisor next q | tee out.txt",
        "hypervisor next *",
        "cd .. && hypervisor next q",
        "exec hypervisor next q",
        "make check",
    ):
        assert bash(session, line, "a1") in ("", "deny"), line
    # What it held once the program itself refuses, in one line: that is no reason for a dialog.
    session.reports(mine)
    assert bash(session, f"hypervisor done {mine.token} --summary again", "a1") == "allow"


def test_whoever_is_no_worker_of_this_plugin_in_a_session_with_a_queue_is_granted_nothing(
    session: Session,
) -> None:
    claim = session.takes("a1")
    for kind in ("general-purpose", "other:worker", "my-hypervisor:worker", ""):
        assert bash(session, "hypervisor next q", "a1", kind=kind) == "", kind
        assert before(session, "Edit", "a1", kind, file_path=str(session.root / "a")) == "", kind
    assert before(session, "Edit", file_path=str(session.root / "a")) == ""
    assert bash(session, "hypervisor next q", "a1") == "allow"
    session.ledger.followers.unfollow(SESSION)
    assert bash(session, f"hypervisor done {claim.token} --summary x", "a1") == ""


def test_a_session_goes_on_with_its_queue_in_any_turn(session: Session) -> None:
    for line in (
        "hypervisor status", "hypervisor summary q", "hypervisor wait q --timeout 60",
        "hypervisor plan q --go-on", "hypervisor integrate q", "hypervisor log q -n 5",
    ):  # fmt: skip
        assert bash(session, line) == "allow", line
    for line in ("hypervisor open q tasks", "hypervisor resume q", "hypervisor plan other", "make"):
        assert bash(session, line) == "", line
    assert bash(session, "hypervisor retry q") == "ask"
    session.ledger.followers.unfollow(SESSION)
    assert bash(session, "hypervisor status") == ""


def test_a_worker_whose_lease_ran_out_is_heard_again_and_one_that_lost_its_item_edits_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out() -> None:
        store = session.ledger.ends._store
        late = store.engine.lease_clock() + 24 * 3600 * 1_000_000
        with monkeypatch.context() as patch:
            patch.setattr(store.engine, "lease_clock", lambda: late)
            session.ledger.ends.expire()

    inside = str(session.root / "src/a.py")
    claim = session.takes("a1")
    run_out()
    assert session.ledger.ends.said(claim.token) == "expired"
    assert before(session, "Edit", "a1", file_path=inside) == "allow"
    assert session.ledger.ends.said(claim.token) is None
    run_out()
    worker.take(session.ledger, "q", "somebody", only=claim.id)
    assert before(session, "Edit", "a1", file_path=inside) == "deny"
    assert before(session, "Edit", "a2", file_path=inside) == ""


def test_a_worker_with_an_item_may_use_files_below_the_root_that_steer_nothing(
    session: Session, tmp_path: Path
) -> None:
    root = session.root
    inside = str(root / "src/a.py")
    assert before(session, "Edit", "a1", file_path=inside) == ""
    claim = session.takes("a1")
    (root / "away").symlink_to(tmp_path.parent)
    (root / "steers").symlink_to(root / ".claude")
    (root / ".claude/worktrees/other").mkdir(parents=True)
    for tool in ("Edit", "Write", "Read"):
        assert before(session, tool, "a1", file_path=inside) == "allow"
        assert before(session, tool, "a1", file_path="src/a.py") == "allow"
        for path in (
            "/etc/passwd", "../x", str(root / "../x"), "away/x", "CLAUDE.md", "src/AGENTS.md",
            ".git/hooks/pre-commit", ".hypervisor/ledger.db", ".claude/settings.json",
            "steers/settings.json", ".CLAUDE/settings.json", ".claude/worktrees/other/a.py", "",
            "src/../.envrc", "~/.ssh/id", "~", " /etc/passwd", "\t~/x", "CLAUDE.md ",
            "\ufeff/etc/x",
        ):  # fmt: skip
            assert before(session, tool, "a1", file_path=path) == "", path
    assert before(session, "Glob", "a1", pattern="**/*.md") == "allow"
    assert before(session, "Grep", "a1", pattern="/x", path=str(root)) == "allow"
    for asked in (
        {"pattern": "/etc/*"}, {"pattern": "../*"}, {"pattern": "*", "path": "/etc"},
        {"pattern": "{/etc/*,a}"}, {"pattern": "{a,~/*}"}, {"pattern": "*", "path": "~"},
    ):  # fmt: skip
        assert before(session, "Glob", "a1", **asked) == ""
    for tool in ("NotebookEdit", "WebFetch", "Agent"):
        assert before(session, tool, "a1", file_path=inside) == ""
    session.reports(claim)
    assert before(session, "Edit", "a1", file_path=inside) == ""


def test_who_has_a_tree_of_its_own_changes_nothing_beside_it(session: Session) -> None:
    claim = session.takes("a1")
    tree = session.root / ".claude/worktrees/agent-a1"
    tree.mkdir(parents=True)
    session.ledger.branches.note(claim.token, "b", ".claude/worktrees/agent-a1", "0" * 40)
    for tool, path, told in (
        ("Edit", tree / "a.py", "allow"),
        ("Edit", tree / ".claude/settings.json", ""),
        ("Edit", session.root / "a.py", ""),
        ("Read", session.root / "a.py", "allow"),
        ("Edit", session.root / ".claude/worktrees/agent-a2/a.py", ""),
        ("Read", session.root / ".claude/worktrees/agent-a2/a.py", ""),
    ):
        assert before(session, tool, "a1", file_path=str(path)) == told, path


def test_in_plan_mode_and_where_all_is_allowed_it_stays_out_of_it(session: Session) -> None:
    session.takes("a1")
    for mode in ("plan", "bypassPermissions"):
        told = {
            "session_id": SESSION, "cwd": str(session.root), "permission_mode": mode,
            "agent_id": "a1", "agent_type": "hypervisor:worker", "tool_name": "Edit",
            "tool_input": {"file_path": "a.py"},
        }  # fmt: skip
        assert permission.before_tool(Event("PreToolUse", told)) is None


def test_what_was_allowed_is_in_the_log_and_the_user_can_switch_it_off(
    session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    claim = session.takes("a1")
    assert before(session, "Edit", "a1", file_path="src/a.py") == "allow"
    assert bash(session, f"hypervisor done {claim.token} --summary x", "a1") == "allow"
    told = [one["detail"] for one in Log(session.ledger, "q").news() if one["event"] == "permitted"]
    assert told == ["Edit src/a.py", f"done {claim.token}"]
    config = tmp_path / "config/hypervisor/config.toml"
    config.parent.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    off = "permissions.by_hooks = false\n"
    (session.root / "hypervisor.toml").write_text(off)
    assert before(session, "Edit", "a1", file_path="src/a.py") == "allow"
    for text in (off, f'[project."{session.root}"]\n{off}', "by_hooks ="):
        config.write_text(text)
        assert before(session, "Edit", "a1", file_path="src/a.py") == "", text
        assert bash(session, "hypervisor next q", "a1") == ""
    config.write_text("permissions.by_hooks = true\n")
    assert before(session, "Edit", "a1", file_path="src/a.py") == "allow"


@pytest.mark.parametrize(
    ("rule", "tool", "asks"),
    [
        ("Edit", "Edit", True), ("Edit(/docs/**)", "Write", True), ("Write", "Edit", True),
        ("Read(./secrets/**)", "Grep", True), ("Read", "Edit", False), ("Bash", "Bash", True),
        ("Bash(hypervisor done:*)", "Bash", True), ("Bash(*)", "Bash", True),
        ("Bash(git push:*)", "Bash", False), ("Bash(git push *)", "Edit", False),
        ("*", "Edit", True), ("mcp__x__*", "Edit", True), ("WebFetch", "Edit", False),
        (7, "Edit", True),
    ],
)  # fmt: skip
def test_a_dialog_that_the_user_asks_for_is_not_answered(
    rule: object,
    tool: str,
    asks: bool,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "client"))
    session.takes("a1")
    asked = {"command": "hypervisor next q"} if tool == "Bash" else {"pattern": "x"}
    asked = {"file_path": "a.py"} if tool in ("Edit", "Write") else asked

    def answer() -> Any:
        return session.event("PermissionRequest", agent="a1", tool_name=tool, tool_input=asked)

    assert answer() is not None
    for path in (
        tmp_path / "client/settings.json",
        session.root / ".claude/settings.json",
        session.root / ".claude/settings.local.json",
        tmp_path / "managed/managed-settings.json",
        tmp_path / "managed/managed-settings.d/a.json",
    ):
        monkeypatch.setattr(settings, "_MANAGED", str(tmp_path / "managed"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"permissions": {"ask": [rule]}}))
        assert (answer() is None) is asks, path
        path.write_text("{")
        assert answer() is None, path
        path.unlink()


def test_only_the_names_of_this_plugins_agents_count() -> None:
    names = [path.stem for path in (REPO / "agents").glob("*.md")]
    assert names and all(f"hypervisor:{name}".startswith(grants.OURS) for name in names)
