"""What is left when a part is missing, and what is there when nobody uses the plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.answers import bash, text
from e2e.model import Model
from e2e.queue_scripts import REPOSITORY, by_the_book, fan_out, lay_out, summary
from e2e.workspace import Workspace

pytestmark = pytest.mark.e2e


def test_without_hooks_a_batch_is_still_correct_and_its_leases_are_long(
    workspace: Workspace, model: Model, home: str
) -> None:
    tasks = lay_out(workspace.project / "tasks", 6)
    workspace.settings({"disableAllHooks": True})
    model.main, model.worker = fan_out("bare", "tasks", 2), by_the_book("bare")
    run = workspace.run(
        "/hypervisor tasks", plugins=[REPOSITORY], mode="default", env={"HYPERVISOR_HOME": home}
    )
    assert run.rc == 0, run.stderr
    told = summary(workspace.project, "bare", home=home)
    assert told["counts"]["success"] == 6 and told["total_tokens"] is None
    assert all(path.read_text().count("## Completion report") == 1 for path in tasks)
    first = model.of(model.agents[0])[1].conversation.last
    assert "yours for 1 h (no hook is heard; longer: hypervisor heartbeat " in first


@pytest.mark.newest_client
def test_a_session_that_never_uses_hypervisor_sees_no_difference_and_leaves_no_files(
    workspace: Workspace, model: Model, tmp_path: Path
) -> None:
    model.main = lambda c: text("hello") if c.used("Bash") else bash("ls -A")
    nowhere = tmp_path / "no environment"
    runs = [
        workspace.run("say hello", plugins=plugins, env={"HYPERVISOR_HOME": str(nowhere)})
        for plugins in ([], [REPOSITORY])
    ]
    bare, with_plugin = ([r.conversation for r in model.requests[k : k + 2]] for k in (0, 2))
    assert [run.text for run in runs] == ["hello", "hello"] and len(model.requests) == 4
    assert bare[1].results == with_plugin[1].results
    assert set(bare[1].tools) == set(with_plugin[1].tools)
    assert "hypervisor: " not in with_plugin[1].last
    assert not nowhere.exists() and list(workspace.project.iterdir()) == []
    assert not list((workspace.home / ".claude").glob("plugins/data/*/*"))


@pytest.mark.newest_client
def test_it_installs_from_a_copy_with_spaces_in_its_path_and_runs(
    workspace: Workspace, model: Model, home: str
) -> None:
    copy = workspace.install(REPOSITORY)
    for manifest in (copy, copy / ".claude-plugin/plugin.json"):
        checked = workspace.cli("plugin", "validate", "--strict", str(manifest))
        assert checked.returncode == 0, checked.stdout + checked.stderr
    lay_out(workspace.project / "tasks", 2)
    model.main, model.worker = fan_out("inst", "tasks", 1), by_the_book("inst")
    run = workspace.run("/hypervisor tasks", mode="default", env={"HYPERVISOR_HOME": home})
    assert run.rc == 0, run.stderr
    assert {f"hypervisor:{name.stem}" for name in (copy / "commands").glob("*.md")} <= set(
        run.init["slash_commands"]
    )
    assert "plugin_errors" not in run.init or not run.init["plugin_errors"]
    assert "# A batch of items, worked off in the background" in model.requests[0].conversation.text
    assert summary(workspace.project, "inst", home=home)["counts"]["success"] == 2
