"""The hooks' shell guard with the real client: what ends there, and what it goes by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.answers import Answer, bash, text, tool
from e2e.conversation import Conversation
from e2e.model import Model
from e2e.plugins import Recorder, copy_plugin
from e2e.queue_scripts import REPOSITORY, fan_out, lay_out, summary
from e2e.workspace import Workspace

pytestmark = pytest.mark.e2e

# What the guard reads of a call has to stand before what the model has chosen for it.
BEFORE = ("session_id", "permission_mode", "agent_id", "agent_type", "tool_name")


def with_a_log(folder: Path, log: Path) -> Path:
    """Return a copy of the plugin whose guard notes what it hands to the program."""
    plugin = copy_plugin(REPOSITORY, folder)
    guard = plugin / "hooks/guard"
    begin = "program() {\n"
    told = guard.read_text()
    assert begin in told
    noted = f"{begin}    printf '%s\\n' \"$1 ${{tool:-}}\" >>'{log}'\n"
    guard.write_text(told.replace(begin, noted))
    return plugin


def reader(queue: str, path: Path) -> Callable[[Conversation], Answer]:
    """A worker that takes an item and then reads the same file again and again."""

    def worker(conversation: Conversation) -> Answer:
        if not conversation.tool_uses:
            return bash(f"hypervisor next {queue}")
        if len(conversation.tool_uses) < 9:
            return tool("Read", {"file_path": str(path)})
        return text("tired of it")

    return worker


def test_calls_that_change_nothing_end_in_the_guard_and_are_counted_all_the_same(
    workspace: Workspace, model: Model, tmp_path: Path, home: str
) -> None:
    recorder, log = Recorder(tmp_path / "recorder"), tmp_path / "started"
    (path,) = lay_out(workspace.project / "tasks", 1)
    (workspace.project / "hypervisor.toml").write_text("limits.max_attempts = 1\n")
    model.main = fan_out("q", "tasks --item-calls 5", 1)
    model.worker = reader("q", path)
    run = workspace.run(
        "/hypervisor tasks",
        plugins=[with_a_log(tmp_path / "plugin", log), recorder.plugin],
        env={"HYPERVISOR_HOME": home},
    )
    assert run.rc == 0, run.stderr
    assert summary(workspace.project, "q", home=home)["counts"]["failed"] == 1
    assert "5 tool calls that an item may take" in path.read_text()
    # Eight times it was read, and once that was one too many. A slow machine has leases renewed.
    started = log.read_text().splitlines()
    assert 1 <= started.count("PostToolUse Read") <= 3, started

    for event in ("PreToolUse", "PostToolUse"):
        calls = [call for call in recorder.of(event) if call.agent]
        assert calls
        for call in calls:
            keys = list(call.payload)
            at = keys.index("tool_input")
            assert all(keys.index(key) < at for key in BEFORE), keys
            assert keys.index("tool_use_id") > at
