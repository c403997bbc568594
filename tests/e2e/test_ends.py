"""The ways in which a worker can end, in one session: nothing is lost, and nothing done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.answers import Answer, bash, error, spawn, stop_task, text, wait_command
from e2e.conversation import Conversation
from e2e.model import Model
from e2e.plugins import Recorder, copy_plugin
from e2e.queue_scripts import REPOSITORY, by_the_book, lay_out, summary
from e2e.workspace import Workspace
from hypervisor.ledger import usage

pytestmark = pytest.mark.e2e

ROLES = ("KILLED", "LIMITED", "BROKEN", "HICCUP", "SILENT")


def with_short_worker(folder: Path) -> Path:
    """Return a copy of the plugin that also has a worker with a limit of one turn."""
    plugin = copy_plugin(REPOSITORY, folder)
    body = (plugin / "agents/worker.md").read_text()
    short = body.replace("name: worker", "name: short\nmaxTurns: 1", 1)
    (plugin / "agents/short.md").write_text(short)
    return plugin


def test_every_way_to_end_is_told_honestly_and_every_item_gets_done(
    workspace: Workspace, model: Model, tmp_path: Path, home: str
) -> None:
    recorder = Recorder(tmp_path / "recorder")
    tasks = lay_out(workspace.project / "tasks", 8)
    steady = by_the_book("ends")
    refused: list[str] = []
    killed: list[str] = []

    def main(c: Conversation) -> Answer:
        if not c.used("Bash"):
            return bash("hypervisor open ends tasks")
        if not c.used("Agent"):
            kinds = {"LIMITED": "hypervisor:short"}
            return [
                spawn(kinds.get(role, "hypervisor:worker"), f"queue ends. You are {role}")
                for role in ROLES
            ]
        if not c.used("TaskStop"):
            if len(c.used("Bash")) == 1:
                return bash("until [ -e killed ]; do sleep 0.1; done")
            return stop_task(killed[0])
        # The one that was stopped leaves the queue at rest, and here the user goes on.
        if ("has stalled" in c.last or "is at rest" in c.last) and len(c.used("Agent")) < 7:
            return spawn("hypervisor:worker", "queue ends")
        if "hypervisor wait" in c.last and "has drained" not in c.last:
            return bash("hypervisor wait ends --timeout 20")
        return text("heard: " + c.last[-300:])

    def worker(c: Conversation) -> Answer:
        role = next((role for role in ROLES if role in c.first), None)
        if role is None or not c.tool_uses:
            return steady(c)
        if role == "KILLED":
            killed.append(c.agent)
            return bash("touch killed; " + wait_command(60))
        if role == "BROKEN":
            return error(400)
        if role == "SILENT":
            return text("It looks fine to me")
        if role == "HICCUP" and not refused:
            refused.append(c.agent)
            return error(429, retry_after="0")
        return steady(c)

    model.main, model.worker = main, worker
    run = workspace.run(
        "/hypervisor tasks",
        plugins=[with_short_worker(tmp_path / "plugin"), recorder.plugin],
        env={"HYPERVISOR_HOME": home, "CLAUDE_CODE_MAX_RETRIES": "3"},
    )
    assert run.rc == 0, run.stderr
    told = summary(workspace.project, "ends", home=home)
    assert told["counts"]["success"] == 8, told
    costs = sorted((w["deaths"], w["attempts"]) for w in told["workers"])
    assert costs == [(0, 0)] * 5 + [(0, 1)] + [(1, 0)] * 2
    used = sum(model.tokens(agent).total for agent in model.agents)
    # The older client now and then writes a tool's call before its answer has ended, and no more.
    if usage.PARTIAL in told["tokens_unseen"]:
        assert told["total_tokens"] < used
    else:
        assert told["total_tokens"] == used
    assert told["notices"]["arrived"] >= 4
    assert len(told["transcripts"]) == len(model.agents)
    for path in tasks:
        body = path.read_text()
        assert body.count("## Completion report") == 1
        assert f"did {path.stem}" in body
        assert "status: done" in body and "not confirmed" not in body
    # The worker that stopped twice was sent back once, and its task said so until it was redone.
    silent = next(a for a in model.agents if "SILENT" in model.of(a)[0].conversation.first)
    heard = [
        r.conversation.last for r in model.of(silent) if "You still hold" in r.conversation.last
    ]
    assert len(heard) == 1
    undone = "\n".join(
        path.read_bytes().decode("utf-8", "replace")
        for path in (workspace.project / ".hypervisor/undo/ends").rglob("*")
        if path.is_file()
    )
    assert "Result: not confirmed" in undone and "> It looks fine to me" in undone
