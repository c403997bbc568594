"""Every tool, with the parameters and the answers that its callers know."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.mcp.client import Connection, Plain
from agents.mcp.conftest import Serve, Write

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_the_tools_have_the_names_and_the_flat_parameters_that_their_callers_know(
    serve_to_sdk: Callable[[], Connection],
) -> None:
    tools = serve_to_sdk().tools()
    parameters = {name: set(tool.input_schema["properties"]) for name, tool in tools.items()}
    assert set(parameters) == {
        "claim_next_task", "get_task", "complete_task", "block_task", "release_task",
        "suggest_task", "update_task", "create_task", "list_tasks", "get_ready_tasks",
        "get_blocked_tasks", "get_children", "get_index_stats",
    }  # fmt: skip
    assert parameters["claim_next_task"] == {"caller", "project"}
    assert {"id", "force"} <= parameters["complete_task"]
    assert parameters["get_index_stats"] == {"include_projects"}
    assert parameters["get_ready_tasks"] == {"project", "caller", "limit"}
    assert {"project", "status", "type", "limit"} <= parameters["list_tasks"]
    assert {
        "task_title", "type", "project", "parent", "depends_on", "order", "priority", "due",
        "tags", "body", "assignee", "complexity",
    } <= parameters["create_task"]  # fmt: skip
    assert all(tool.description for tool in tools.values())


def test_a_worker_claims_completes_blocks_and_releases(
    root: Path, write: Write, serve: Serve, run: Run
) -> None:
    first = write("t-1", "priority: 0", "project: aops")
    second = write("t-2", "priority: 1")
    write("t-3", "priority: 2", "assignee: sara")
    server = serve()
    before = first.read_bytes()
    claimed = server.ok("claim_next_task", caller="gemini", wait_for_previous=True)
    assert claimed["task"]["id"] == "t-1"
    assert claimed["task"]["body"] == "Do it."
    assert claimed["task"]["children"] == claimed["task"]["blocks"] == []
    assert first.read_bytes() == before

    done = server.ok("complete_task", id="t-1", summary="renamed the key")
    assert (done["task"]["status"], done["task"]["assignee"]) == ("done", "gemini")
    text = first.read_text()
    assert "\nassignee: gemini\n" in text and "> renamed the key" in text
    assert server.ok("complete_task", id="t-1")["task"]["status"] == "done"
    assert first.read_text() == text

    assert server.claim() == "t-2"
    assert "needs a reason" in server.refused("block_task", id="t-2")
    assert server.claim() is None  # t-3 is somebody else's
    empty = server.ok("claim_next_task", caller="gemini")
    assert empty["task"] is None and empty["message"].startswith("QUEUE EMPTY: ")
    assert "t-2 is with gemini" in empty["message"]
    assert "it is ready" in server.ok("release_task", id="t-2", reason="too hard")["message"]
    assert "not" in server.refused("release_task", id="t-1")
    assert server.claim() == "t-2"
    blocked = server.ok("block_task", id="t-2", reason="no such file", next_step="make it")
    assert blocked["task"]["status"] == "blocked"
    text = second.read_text()
    assert "**Reason**\n\n> no such file\n\n**Next step**\n\n> make it" in text
    assert "assignee" not in text
    assert server.claim() is None

    status = run("status").stdout
    assert status == "task_manager: drained, 2 items: 1 blocked; 1 done: 1 only claimed\n"
    assert run("undo", "task_manager", "t-1").returncode == 0
    assert first.read_bytes() == before


def test_boxes_that_are_open_keep_a_task_from_being_completed_unless_forced(
    write: Write, serve: Serve, run: Run
) -> None:
    path = write("t-1", body="- [x] one\n- [ ] two\n")
    server = serve()
    assert "not ticked in tasks/t-1.md: two" in server.refused("complete_task", id="t-1")
    assert run("status").stdout == "no queues here; hypervisor open QUEUE SOURCE\n"
    assert server.claim() == "t-1"
    assert "not ticked" in server.refused("complete_task", id="t-1")
    server.ok("complete_task", id="t-1", force=True)
    assert "Open boxes, forced: 1" in path.read_text()


def test_what_nobody_holds_is_claimed_and_finished_at_once(
    write: Write, serve: Serve, run: Run
) -> None:
    path = write("t-1", "assignee: nic")
    write("epic", "type: epic")
    write("t-2", "parent: epic")
    server = serve()
    assert server.claim() == "t-2"
    assert "has open children: t-2" in server.refused("complete_task", id="epic")
    done = server.ok("complete_task", id="t-1", caller="me")
    assert (done["task"]["status"], done["task"]["assignee"]) == ("done", "nic")
    assert "Result: done" in path.read_text()
    server.ok("block_task", id="epic", reason="later")
    assert "1 at work, 1 done, 1 blocked" in run("status").stdout


def test_lists_children_and_statistics(write: Write, serve: Serve) -> None:
    write("epic", "type: epic", "project: aops")
    write("t-1", "parent: epic", "project: aops", "priority: 3", "tags: [a, b]")
    write("t-2", "parent: epic", "depends_on: [t-1]", "complexity: mechanical")
    write("t-3", "status: done", "priority: 1", "depends_on: [gone]")
    write("t-4", "status: blocked", "project: aops")
    server = serve()
    stats = server.ok("get_index_stats", include_projects=True)["stats"]
    assert {name: stats[name] for name in ("total", "ready", "blocked", "roots")} == {
        "total": 5, "ready": 1, "blocked": 2, "roots": 3,
    }  # fmt: skip
    assert stats["by_status"] == {"active": 3, "done": 1, "blocked": 1}
    assert stats["by_type"] == {"task": 4, "epic": 1}
    assert stats["projects"] == {"aops": 3, "none": 2}
    assert "version" in stats and "generated" in stats
    assert "projects" not in server.ok("get_index_stats")["stats"]

    ready = server.ok("get_ready_tasks")
    assert [task["id"] for task in ready["tasks"]] == ["t-1"]
    assert (ready["count"], ready["total"]) == (1, 1)
    blocked = server.ok("get_blocked_tasks")
    assert {task["id"]: task["reason"] for task in blocked["tasks"]} == {
        "t-2": "waiting on t-1, which is in this batch",
        "t-4": "blocked",
    }
    assert server.ok("get_blocked_tasks", project="aops")["count"] == 1
    children = server.ok("get_children", id="epic")
    assert [task["id"] for task in children["tasks"]] == ["t-1", "t-2"]
    (only,) = server.ok("list_tasks", complexity="mechanical")["tasks"]
    assert (only["id"], only["depends_on"]) == ("t-2", ["t-1"])
    assert server.ok("list_tasks", project="AOPS", status="active")["count"] == 2
    assert server.ok("list_tasks", priority_max=1)["count"] == 1
    listed = server.ok("list_tasks", limit=2)
    assert (listed["count"], listed["total"]) == (2, 5)
    assert server.ok("list_tasks", limit=0)["count"] == 5
    one = server.ok("get_task", id="t-1")["task"]
    assert (one["blocks"], one["tags"], one["priority"]) == (["t-2"], ["a", "b"], 3)
    assert server.ok("get_task", id="epic")["task"]["children"] == ["t-1", "t-2"]

    assert server.claim() == "t-1"
    assert server.ok("get_ready_tasks")["total"] == 0
    server.ok("complete_task", id="t-1")
    assert server.claim() == "t-2"


def test_failures_are_answers(write: Write, serve: Serve) -> None:
    write("task-1")
    server = serve()
    missing = server.ask("get_task", id="task-2")
    assert (missing["success"], missing["task"]) == (False, None)
    assert "the closest id is task-1" in missing["message"]
    assert "Field required" in server.refused("get_task")
    assert "caller" in server.refused("claim_next_task", caller="\n")
    assert server.ok("get_task", id="TASK-1")["task"]["id"] == "task-1"
    for name in ("complete_task", "release_task", "get_children", "update_task"):
        assert "no task 'x'" in server.refused(name, id="x")


def test_a_home_folder_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.md").write_text("---\nid: x\nstatus: active\n---\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with Plain(tmp_path) as server:
        assert "would claim every folder below it" in server.refused("get_index_stats")
        assert "would claim every folder below it" in server.refused("claim_next_task", caller="g")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.md"]
