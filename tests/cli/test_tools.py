"""Tasks that need a tool: held, given it by the user, or done here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hypervisor.ledger import Ledger

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tasks(project: Path) -> Path:
    """One task that workers can do, and one that needs Zotero."""
    folder = project / "tasks"
    folder.mkdir()
    head = "---\nid: {0}\ntitle: Find it\nstatus: open\n{1}---\nDo it.\n"
    (folder / "a.md").write_text(head.format("a-1", ""))
    (folder / "b.md").write_text(head.format("b-1", "tools: [zotero]\n"))
    return folder


def ready(run: Run) -> list[str]:
    opened = run("open", "q", "tasks", "--json")
    return [entry["id"] for entry in json.loads(opened.stdout)["preflight"]["ready"]]


def test_what_is_held_for_a_tool_is_added_once_the_user_has_given_it(
    tasks: Path, run_forked: Run
) -> None:
    assert ready(run_forked) == ["a-1"]
    allowed = run_forked("allow", "q", "--tools", "zotero")
    assert "they may call tools of: zotero" in allowed.stdout
    assert "hypervisor open q SOURCE" in allowed.stdout
    assert sorted(ready(run_forked)) == ["a-1", "b-1"]
    plan = json.loads(run_forked("plan", "q", "--json").stdout)
    assert plan["tools"] == ["zotero"]
    assert "hypervisor:worker-tools" in run_forked("plan", "q").stdout
    refused = run_forked("plan", "q", "--branch")
    assert refused.returncode == 2 and "no worktree" in refused.stderr


def test_it_may_be_given_when_the_rest_is_done_and_does_not_outlive_the_next_batch(
    tasks: Path, run_forked: Run
) -> None:
    def works_off() -> None:
        claims = json.loads(run_forked("next", "q", "--json").stdout)["claims"]
        for claim in claims:
            run_forked("done", claim["token"], "--summary", "did it")

    assert ready(run_forked) == ["a-1"]
    works_off()
    run_forked("allow", "q", "--tools", "zotero")
    assert ready(run_forked) == ["b-1"]
    works_off()
    (tasks / "c.md").write_text(
        "---\nid: c-1\ntitle: Another\nstatus: open\ntools: [zotero]\n---\nDo it.\n"
    )
    assert ready(run_forked) == []


def test_it_can_be_given_where_every_item_is_held_for_it(tasks: Path, run_forked: Run) -> None:
    (tasks / "a.md").unlink()
    opened = run_forked("open", "q", "tasks")
    assert opened.returncode == 3 and "hypervisor allow QUEUE --tools zotero" in opened.stdout
    assert run_forked("allow", "q", "--tools", "zotero").returncode == 0
    assert ready(run_forked) == ["b-1"]


def test_a_session_can_not_give_it_when_it_opens_a_queue(tasks: Path, run_forked: Run) -> None:
    session = {"CLAUDE_CODE_SESSION_ID": "s", "CLAUDECODE": "1"}
    refused = run_forked("open", "q", "tasks", "--tools", "zotero", env=session)
    assert refused.returncode == 2
    assert "hypervisor allow q --tools zotero" in refused.stderr
    opened = run_forked("open", "q", "tasks", "--tools", "zotero")
    assert "2 items added" in opened.stdout


def test_what_only_the_main_session_can_do_is_pulled(tasks: Path, run_forked: Run) -> None:
    pulled = run_forked("pull", "b-1")
    assert pulled.returncode == 0 and "item: b-1" in pulled.stdout, pulled.stderr
    other = run_forked("pull", "b-1")
    assert other.returncode == 1


def test_a_task_of_somebody_whom_no_setting_knows_is_pulled(tasks: Path, run_forked: Run) -> None:
    text = (tasks / "b.md").read_text()
    (tasks / "b.md").write_text(text.replace("status: open", "status: open\nassignee: anna"))
    pulled = run_forked("pull", "b-1")
    assert pulled.returncode == 0 and "item: b-1" in pulled.stdout, pulled.stderr


def test_what_waits_for_others_is_not_pulled(tasks: Path, run_forked: Run) -> None:
    text = (tasks / "b.md").read_text()
    (tasks / "b.md").write_text(text.replace("status: open", "status: waiting"))
    held = run_forked("pull", "b-1")
    assert held.returncode == 1 and "waiting" in held.stderr


def test_a_queue_is_opened_with_all_that_it_is_given_in_one_look_at_the_ledger(
    tasks: Path, run_forked: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen, real = tmp_path / "seen", Ledger.open

    def counted(root: str, **how: Any) -> Ledger:
        with seen.open("a") as file:
            file.write("x")
        return real(root, **how)

    assert ready(run_forked) == ["a-1"]
    monkeypatch.setattr(Ledger, "open", counted)
    told = run_forked("open", "q", "tasks", "--tools", "zotero", "--notify", "none", "--first", "1")
    assert told.returncode == 0 and seen.read_text() == "x"
    assert json.loads(run_forked("plan", "q", "--json").stdout)["tools"] == ["zotero"]
