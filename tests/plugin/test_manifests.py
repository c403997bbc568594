"""The files that the client reads: what they name exists, and what they say fits together."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import frontmatter
import pytest

from hypervisor import __version__
from hypervisor.agents import rights, verbs
from hypervisor.agents import tools as agent_tools
from hypervisor.cli import VERBS
from repository import REPO

# What the oldest supported client knows: one unknown event makes it refuse the whole file.
EVENTS = {
    "SessionStart", "SessionEnd", "UserPromptSubmit", "UserPromptExpansion", "PreToolUse",
    "PostToolUse", "PostToolUseFailure", "PostToolBatch", "PermissionRequest", "PermissionDenied",
    "SubagentStart", "SubagentStop", "Stop", "StopFailure", "Notification", "PreCompact",
}  # fmt: skip
# The client's own tools for files, in those of the project.
FILE_TOOLS = {f"{tool}(./**)" for tool in rights.CHANGING_TOOLS | rights.READING_TOOLS}


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
        for group in groups:
            # A hand-back is an event of its own: only where a queue is open does it mean anything.
            name = "SubagentHandback" if group.get("matcher") == "SubagentHandback" else event
            called = f'"${{CLAUDE_PLUGIN_ROOT}}/hooks/guard" {name}'
            for hook in group["hooks"]:
                assert hook["command"] in (called, f"{called} tools", f"{called} file")
                assert hook["timeout"] <= 60


def test_the_hook_before_a_tool_is_called_for_our_commands_files_and_workers_with_tools() -> None:
    groups = json.loads((REPO / "hooks/hooks.json").read_text())["hooks"]["PreToolUse"]
    ours, files, given = (group for group in groups if group.get("matcher") != "SubagentHandback")
    [hook] = ours["hooks"]
    assert (ours["matcher"], hook["if"]) == ("Bash", "Bash(*hypervisor*)")
    assert set(files["matcher"].split("|")) == rights.CHANGING_TOOLS
    [hook] = files["hooks"]
    # It ends in the guard for whoever is no worker of ours.
    assert hook["command"].endswith('hooks/guard" PreToolUse file')
    [hook] = given["hooks"]
    assert hook["command"].endswith(" PreToolUse tools")
    # What is left to the client whoever calls it costs no shell.
    called = ("Bash", "WebFetch", "Agent", "Skill", "mcp__zotero__search", "Reader", "MultiEdit")
    assert all(re.search(given["matcher"], name) for name in called)
    assert not any(re.search(given["matcher"], name) for name in agent_tools.COMMON)


def test_no_rule_prints_the_end_of_a_text_that_the_hand_out_names_otherwise() -> None:
    assert [path.name for path in REPO.glob("agents/*.md") if "<<" in path.read_text()] == []


def test_the_skill_is_short_and_its_description_holds_its_triggers() -> None:
    path = REPO / "skills/hypervisor/SKILL.md"
    skill = frontmatter.load(str(path))
    assert len(path.read_text().splitlines()) < 200
    assert skill["triggers"] == ["batch tasks", "parallel processing", "process queue in parallel"]
    for trigger in skill["triggers"]:
        assert trigger in skill["description"]
    for name in ("states", "sources", "troubles"):
        assert f"references/{name}.md" in skill.content
        assert (path.parent / f"references/{name}.md").exists()


def test_each_question_that_people_ask_has_one_command_in_the_skill() -> None:
    import argparse

    from hypervisor.cli import load

    text = frontmatter.load(str(REPO / "skills/hypervisor/SKILL.md")).content
    asked = text.partition("## When the user asks")[2].splitlines()
    told = dict(line[2:].split(": `hypervisor ") for line in asked if line.startswith("- "))
    assert {question: command.strip("`").split()[0] for question, command in told.items()} == {
        "What is left": "status",
        "What it cost": "summary",
        "As a table": "results",
        "Why not ID": "show",
        "Only the high-priority ones": "open",
        "The blocked ones again": "retry",
        "Stop everything": "cancel",
        "Files back (our edits)": "undo",
        "A page for a colleague": "report",
        "Close, assign, link tasks by rules": "triage",
    }
    for command in told.values():
        verb, *words = shlex.split(command.strip("`"))
        parser = argparse.ArgumentParser(exit_on_error=False)
        load(verb).add_arguments(parser)
        parser.parse_args([word.strip("[]…") for word in words])


def test_the_skill_and_its_commands_grant_the_verbs_of_the_table_and_files_of_the_project() -> None:
    everything = {*rights.rules(verbs.SESSION_VERBS + verbs.WORKER_VERBS), *FILE_TOOLS}
    for name in ("skills/hypervisor/SKILL.md", "commands/run.md", "commands/resume.md"):
        assert granted(name) == everything | {"Agent", "AskUserQuestion"}
    worker = {*rights.rules(verbs.WORKER_VERBS), *FILE_TOOLS}
    assert granted("commands/pull.md") == worker | {rights.rule("pull")}
    assert granted("commands/triage.md") == {rights.rule("triage")}
    assert granted("commands/cancel.md") == {*rights.rules(("cancel", "summary")), "TaskStop"}
    for name in ("preflight", "status", "summary"):
        assert granted(f"commands/{name}.md") == {rights.rule(name)}
    assert granted("commands/results.md") == {rights.rule("results"), "Read(./**)"}
    review = {rights.rule("review"), "Read(./**)", "AskUserQuestion"}
    assert granted("commands/review.md") == review
    told = {path.stem for path in (REPO / "commands").glob("*.md")}
    looks = {"preflight", "status", "summary", "results"}
    assert told == {"run", "resume", "pull", "triage", "cancel", "review"} | looks


def test_workers_have_the_tools_that_are_granted_and_no_other() -> None:
    tools = rights.CHANGING_TOOLS | rights.READING_TOOLS | {"Bash"}
    agents = {path.stem: frontmatter.load(str(path)) for path in (REPO / "agents").glob("*.md")}
    given = agents.pop("worker-tools")
    assert set(agents) == {"worker", "worker-isolated"}
    for agent in agents.values():
        assert set(agent["tools"].split(", ")) == tools
    # Nobody knows what the servers of a user are called: what it calls is judged call by call.
    assert "tools" not in given.metadata
    refused = set(given["disallowedTools"].split(", "))
    assert {"Agent", "WebFetch", "WebSearch", "Skill"} <= refused and not refused & tools
    assert agent_tools.AGENT == "hypervisor:worker-tools"


def test_every_verb_is_in_the_table_of_rights() -> None:
    assert set(verbs.VERBS) == {*VERBS, *verbs.ALIASES}
    asked = {"work", "run", "start", "judge", "check", "allow", "demo", "move", "unlock", "prune"}
    asked |= {"serve"}
    asked |= {"pause", "retry", "undo"}
    assert {verb for verb, kind in verbs.VERBS.items() if kind == verbs.ASK} == asked
    assert verbs.VERBS["adopt"] == verbs.PERSON


def granted(name: str) -> set[str]:
    """What a file's front matter allows."""
    return set(frontmatter.load(str(REPO / name))["allowed-tools"].split(", "))


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
