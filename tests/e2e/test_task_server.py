"""The MCP server in the real client: a plugin of its own, which a session has only if asked for."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from e2e.answers import Answer, text, tool
from e2e.conversation import Conversation
from e2e.model import Model
from e2e.plugins import copy_plugin
from e2e.queue_scripts import REPOSITORY, lay_out
from e2e.workspace import Workspace

pytestmark = pytest.mark.e2e

PLUGIN = REPOSITORY / "task-manager"
NAME = "mcp__plugin_hypervisor-tasks_task_manager__"
ADDRESS = "https://example.invalid/hypervisor.git"


def from_git(workspace: Workspace) -> None:
    """Install the plugin as people do, from a git repository: its address leads to this one."""
    source = workspace.root / "published"
    copy_plugin(REPOSITORY, source)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "published"]):
        who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, "-C", str(source), *words], check=True, env=workspace.env())
    (workspace.home / ".gitconfig").write_text(
        f'[url "file://{source}"]\n\tinsteadOf = {ADDRESS}\n[safe]\n\tdirectory = *\n'
    )
    for step in (
        ["plugin", "marketplace", "add", ADDRESS],
        ["plugin", "install", "hypervisor-tasks@hypervisor"],
    ):
        done = workspace.cli(*step)
        assert done.returncode == 0, f"{step}: {done.stdout}{done.stderr}"


@pytest.mark.often
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
    from_git(workspace)
    run = workspace.run("count the tasks", env={"HYPERVISOR_HOME": served_home})
    assert run.rc == 0, run.stderr
    told = [told for told in model.of("")[-1].conversation.results if '"success"' in told]
    stats, task, done = map(json.loads, told)
    assert (stats["stats"]["total"], stats["stats"]["ready"]) == (2, 2)
    assert task["task"]["id"] == "demo-0001" and task["task"]["status"] == "active"
    assert done["success"], done
    assert "> seen to" in tasks[0].read_text()
    servers = {server["name"] for server in run.init["mcp_servers"]}
    assert servers == {"plugin:hypervisor-tasks:task_manager"}
    # Both were copied, each alone, and the plugin that it depends on came with it.
    cache = workspace.home / ".claude/plugins/cache/hypervisor"
    assert {path.name for path in cache.iterdir()} == {"hypervisor", "hypervisor-tasks"}
    assert not list(cache.glob("hypervisor-tasks/*/bin"))
    assert "hypervisor:worker" in run.init["agents"]


def test_both_plugins_are_valid_and_the_first_has_no_server(
    workspace: Workspace, model: Model, home: str
) -> None:
    for manifest in (REPOSITORY, REPOSITORY / ".claude-plugin/plugin.json", PLUGIN):
        done = workspace.cli("plugin", "validate", "--strict", manifest)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "⚠" not in done.stdout + done.stderr
    model.main = lambda c: text("hello")
    run = workspace.run("say hello", plugins=[REPOSITORY], env={"HYPERVISOR_HOME": home})
    assert run.text == "hello" and run.init["mcp_servers"] == []


def test_without_its_environment_the_server_is_connected_and_has_no_tools(
    workspace: Workspace, model: Model, tmp_path: Path
) -> None:
    nowhere = tmp_path / "no environment"
    model.main = lambda c: text("hello")
    run = workspace.run(
        "say hello", plugins=[REPOSITORY, PLUGIN], env={"HYPERVISOR_HOME": str(nowhere)}
    )
    assert run.rc == 0 and run.text == "hello", run.stderr
    (server,) = run.init["mcp_servers"]
    assert (server["name"], server["status"] in ("connected", "pending")) == (
        "plugin:hypervisor-tasks:task_manager", True,
    )  # fmt: skip
    assert not [name for name in run.init["tools"] if name.startswith("mcp__")]
    assert not nowhere.exists()
