"""Workers with tools of an MCP server that the user has: given by one yes, and no others."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.answers import Answer, bash, spawn, text, tool
from e2e.conversation import Conversation
from e2e.model import Model
from e2e.queue_scripts import REPOSITORY, claim_of, done, hypervisor, summary
from e2e.workspace import Workspace

pytestmark = [pytest.mark.e2e, pytest.mark.modes]

_SERVER = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    method, params = asked["method"], asked.get("params", {})
    if method == "initialize":
        told = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": sys.argv[1], "version": "1"}}
    elif method == "tools/list":
        told = {"tools": [{"name": "search", "description": "finds",
                           "inputSchema": {"type": "object"}}]}
    elif method == "tools/call":
        with open(sys.argv[2], "a") as log:
            log.write(sys.argv[1] + "\\n")
        told = {"content": [{"type": "text", "text": "found in " + sys.argv[1]}]}
    else:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"],
                          "error": {"code": -32601, "message": "no"}}), flush=True)
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": told}), flush=True)
"""


def servers(workspace: Workspace, *names: str) -> Path:
    """Give the user MCP servers with a tool `search` each; return the log of its calls."""
    script, log = workspace.root / "server.py", workspace.root / "called"
    script.write_text(_SERVER)
    for name in names:
        added = workspace.cli(
            "mcp", "add", "--scope", "user", name, "--", sys.executable, script, name, log
        )
        assert added.returncode == 0, added.stderr
    return log


def lay_out(folder: Path) -> None:
    folder.mkdir()
    for number in (1, 2):
        (folder / f"lit-{number}.md").write_text(
            f"---\nid: lit-{number}\ntitle: Find paper {number}\nstatus: open\n"
            "tools: [zotero]\n---\nFind it.\n"
        )


def greedy() -> Callable[[Conversation], Answer]:
    """A worker that searches before it holds an item, and tries with it what it may not."""
    tries: list[Answer] = [
        tool("mcp__zotero__search", {}),
        bash("hypervisor next lit"),
        tool("mcp__mail__search", {}),
        bash("touch escaped"),
        tool("WebFetch", {"url": "http://127.0.0.1:9/", "prompt": "x"}),
    ]
    held: list[tuple[str, str]] = []

    def worker(conversation: Conversation) -> Answer:
        claim = claim_of(conversation)
        if claim is not None:
            held.append(claim)
        if tries:
            return tries.pop(0)
        called = conversation.tool_uses[-1].input.get("command", "")
        if called.startswith("hypervisor done") and claim is None:
            return text("ended my items")
        if "found in zotero" in conversation.last:
            return done(*held[-1])
        return tool("mcp__zotero__search", {})

    return worker


def test_one_yes_gives_workers_the_tools_of_a_server_and_no_others(
    workspace: Workspace, model: Model, home: str, mode: str
) -> None:
    log = servers(workspace, "zotero", "mail")
    lay_out(workspace.project / "tasks")
    opened = hypervisor(workspace.project, "open", "lit", "tasks", home=home)
    assert opened.returncode == 3 and "needs zotero, which workers lack" in opened.stdout
    allowed = hypervisor(workspace.project, "allow", "lit", "--tools", "zotero", home=home)
    assert allowed.returncode == 0 and "tools of: zotero" in allowed.stdout, allowed.stderr

    def main(conversation: Conversation) -> Answer:
        if not conversation.used("Bash"):
            return bash("hypervisor open lit tasks && hypervisor plan lit")
        if not conversation.used("Agent"):
            assert "hypervisor:worker-tools" in conversation.last, conversation.last
            return spawn("hypervisor:worker-tools", "queue lit", description="worker")
        if "has drained" not in conversation.last and len(conversation.used("Bash")) < 4:
            return bash("hypervisor wait lit --timeout 20")
        return text("told")

    model.main, model.worker = main, greedy()
    run = workspace.run(
        "/hypervisor tasks", mode=mode, plugins=[REPOSITORY], env={"HYPERVISOR_HOME": home}
    )
    assert run.rc == 0, run.stderr
    told = summary(workspace.project, "lit", home=home)
    assert told["counts"]["success"] == 2, json.dumps(told, indent=1)
    # Before it held an item it had no tool; then that of the one server, and no other.
    assert log.read_text().split() == ["zotero"] * 2
    assert not (workspace.project / "escaped").exists()
    (agent,) = model.agents
    words = "\n".join(model.of(agent)[-1].conversation.results)
    assert "until it holds an item" in words
    assert "for the printed hypervisor commands" in words
    assert "not one of this worker's tools: zotero" in words
    assert "for the printed hypervisor commands" in words
    assert not {"Agent", "WebFetch", "WebSearch", "Skill"} & set(
        model.of(agent)[-1].conversation.tools
    )
