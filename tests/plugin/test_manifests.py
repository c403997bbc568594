"""The files that the client reads: what they name exists, and what they say fits together."""

from __future__ import annotations

import json
from pathlib import Path

import frontmatter
import pytest

from hypervisor import __version__
from hypervisor.cli import VERBS

REPO = Path(__file__).resolve().parents[2]
# What the oldest supported client knows: one unknown event makes it refuse the whole file.
EVENTS = {
    "SessionStart", "SessionEnd", "UserPromptSubmit", "UserPromptExpansion", "PreToolUse",
    "PostToolUse", "PostToolUseFailure", "PostToolBatch", "PermissionRequest", "PermissionDenied",
    "SubagentStart", "SubagentStop", "Stop", "StopFailure", "Notification", "PreCompact",
}  # fmt: skip


def test_the_marketplace_names_both_plugins_and_the_top_level_manifest_is_a_link() -> None:
    market = json.loads((REPO / ".claude-plugin/marketplace.json").read_text())
    assert [plugin["name"] for plugin in market["plugins"]] == ["hypervisor", "hypervisor-tasks"]
    for plugin in market["plugins"]:
        manifest = json.loads((REPO / plugin["source"] / ".claude-plugin/plugin.json").read_text())
        assert (manifest["name"], manifest["version"]) == (plugin["name"], __version__)
    assert not (REPO / ".claude-plugin/plugin.json").is_symlink()
    assert (REPO / "plugin.json").readlink() == Path(".claude-plugin/plugin.json")


def test_no_session_pays_for_a_server_that_it_has_not_asked_for() -> None:
    manifest = json.loads((REPO / ".claude-plugin/plugin.json").read_text())
    assert "mcpServers" not in manifest and not (REPO / ".mcp.json").exists()
    tasks = json.loads((REPO / "task-manager/.claude-plugin/plugin.json").read_text())
    assert tasks["dependencies"] == ["hypervisor"]
    assert list(tasks["mcpServers"]) == ["task_manager"]
    assert tasks["mcpServers"]["task_manager"]["env"] == {"HYPERVISOR_SETUP": "never"}


def test_every_hook_goes_through_the_guard_with_the_name_of_its_event() -> None:
    hooks = json.loads((REPO / "hooks/hooks.json").read_text())["hooks"]
    assert set(hooks) <= EVENTS
    for event, groups in hooks.items():
        for hook in [hook for group in groups for hook in group["hooks"]]:
            assert hook["command"] == f'"${{CLAUDE_PLUGIN_ROOT}}/hooks/guard" {event}'
            assert hook["timeout"] <= 60


def test_the_skill_is_short_and_its_description_holds_its_triggers() -> None:
    path = REPO / "skills/hypervisor/SKILL.md"
    skill = frontmatter.load(str(path))
    assert len(path.read_text().splitlines()) < 200
    assert skill["triggers"] == ["batch tasks", "parallel processing", "process queue in parallel"]
    for trigger in skill["triggers"]:
        assert trigger in skill["description"]
    granted = set(skill["allowed-tools"].split(", "))
    worker = set(frontmatter.load(str(REPO / "agents/worker.md"))["tools"].split(", "))
    assert granted == (worker - {"Bash"}) | {"Bash(hypervisor:*)", "Agent"}
    for name in ("states", "sources", "troubles"):
        assert f"references/{name}.md" in skill.content
        assert (path.parent / f"references/{name}.md").exists()


@pytest.mark.parametrize("path", sorted((REPO / "commands").glob("*.md")), ids=lambda p: p.stem)
def test_a_command_names_only_verbs_that_exist(path: Path) -> None:
    import re

    text = frontmatter.load(str(path)).content
    assert set(re.findall(r"`hypervisor ([a-z]+)", text)) <= set(VERBS)


def test_monitors_are_armed_by_qualified_names_of_what_exists() -> None:
    for monitor in json.loads((REPO / "monitors/monitors.json").read_text()):
        kind, _, name = monitor["when"].partition(":hypervisor:")
        assert kind == "on-skill-invoke"
        assert (REPO / f"commands/{name}.md").exists() or name == "hypervisor"
        assert monitor["command"] == "hypervisor _monitor"
