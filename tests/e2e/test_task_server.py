"""The plugin's MCP server in the real client: its tools in the main session, and none by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .answers import Answer, text, tool
from .conversation import Conversation
from .model import Model
from .queue_scripts import REPOSITORY, lay_out
from .workspace import Workspace

pytestmark = [pytest.mark.e2e, pytest.mark.newest_client]

NAME = "mcp__plugin_hypervisor_task_manager__"


def test_the_main_session_calls_get_task_and_get_index_stats(
    workspace: Workspace, model: Model, served_home: str
) -> None:
    tasks = lay_out(workspace.project / "tasks", 2)

    calls = [
        tool(f"{NAME}get_index_stats", {"include_projects": True}),
        tool(f"{NAME}get_task", {"id": "demo-0001"}),
        tool(f"{NAME}complete_task", {"id": "demo-0001", "summary": "seen to"}),
    ]

    def main(c: Conversation) -> Answer:
        if c.results and "still connecting" in c.results[-1]:
            # What this client itself tells a model that is quicker than the server.
            return tool("WaitForMcpServers", {})
        answered = sum('"success"' in told for told in c.results)
        return calls[answered] if answered < len(calls) else text("told")

    model.main = main
    run = workspace.run(
        "count the tasks", plugins=[REPOSITORY], env={"HYPERVISOR_HOME": served_home}
    )
    assert run.rc == 0, run.stderr
    told = [told for told in model.of("")[-1].conversation.results if '"success"' in told]
    stats, task, done = map(json.loads, told)
    assert (stats["stats"]["total"], stats["stats"]["ready"]) == (2, 2)
    assert task["task"]["id"] == "demo-0001" and task["task"]["status"] == "active"
    assert done["success"], done
    assert "> seen to" in tasks[0].read_text()
    servers = {server["name"] for server in run.init["mcp_servers"]}
    assert servers == {"plugin:hypervisor:task_manager"}


def test_without_its_environment_the_server_is_connected_and_has_no_tools(
    workspace: Workspace, model: Model, tmp_path: Path
) -> None:
    nowhere = tmp_path / "no environment"
    model.main = lambda c: text("hello")
    run = workspace.run("say hello", plugins=[REPOSITORY], env={"HYPERVISOR_HOME": str(nowhere)})
    assert run.rc == 0 and run.text == "hello", run.stderr
    (server,) = run.init["mcp_servers"]
    assert (server["name"], server["status"] in ("connected", "pending")) == (
        "plugin:hypervisor:task_manager", True,
    )  # fmt: skip
    assert not [name for name in run.init["tools"] if name.startswith("mcp__")]
    assert not nowhere.exists()
