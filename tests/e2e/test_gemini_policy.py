"""The policy of a Gemini worker, on the real client: what a model may not do is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.answers import ToolCall, text, tool
from e2e.gemini_client import GeminiMachine
from e2e.gemini_model import GeminiModel
from hypervisor.agents.gemini.policy import policy

pytestmark = pytest.mark.e2e

# Where the client itself would let all through.
MODES = [pytest.param("default", marks=pytest.mark.thorough), "yolo"]

STEERING = (".gemini/settings.json", ".claude/settings.json", "GEMINI.md", "sub/CLAUDE.md",
            "AGENTS.md", ".mcp.json", ".git/hooks/post-checkout", "hypervisor.toml",
            ".hypervisor/ledger.db", ".vscode/tasks.json", "sub/.vscode/settings.json",
            ".husky/pre-commit", ".envrc", ".npmrc", ".devcontainer/devcontainer.json",
            ".cursor/rules/x.mdc", ".pre-commit-config.yaml", ".gitattributes")  # fmt: skip
# Ways of writing such a path that the client takes for it.
DISGUISED = ("./.gemini/x", "a/../.gemini/x", "%2Egemini/x", ".gem\0ini/x", "@.gemini/x",
             "gemini.md", ".GEMINI/x", "{root}/.gemini/x", "file://{root}/.gemini/x",
             "settings.local.json", "e/settings.local.json")  # fmt: skip


def run_each(
    gemini: GeminiMachine, model: GeminiModel, calls: list[ToolCall], *flags: str, rules: str
) -> list[str]:
    """Have a worker make every call in one turn, and return what each was answered."""
    path = gemini.root / "policy.toml"
    path.write_text(rules)
    model.main = lambda c: text("tried all") if c.tool_uses else calls
    run = gemini.session("Try.", "--skip-trust", "--policy", path, *flags)
    answers = [f"{event['status']}: {event.get('output')}" for event in run.of("tool_result")]
    assert len(answers) == len(calls), run.stdout + run.stderr
    return answers


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def plantings(root: Path) -> list[ToolCall]:
    """Every way to plant that we know of, with a file that stands there already."""
    planted = root / ".claude/settings.local.json"
    planted.parent.mkdir()
    planted.write_text("{}")
    calls = [tool("write_file", {"file_path": path, "content": "x"}) for path in STEERING]
    change = {"instruction": "x", "old_string": "{}", "new_string": "{1}"}
    for path in DISGUISED:
        path = path.replace("{root}", str(root))
        calls.append(tool("replace", {"file_path": path, **change}))
        calls.append(tool("write_file", {"file_path": path, "content": "x"}))
    return calls


@pytest.mark.parametrize("mode", MODES)
def test_files_that_steer_the_next_run_are_refused_however_their_path_is_written(
    mode: str, gemini: GeminiMachine, gemini_model: GeminiModel
) -> None:
    calls = plantings(gemini.project)
    before = tree(gemini.project)
    calls.append(tool("write_file", {"file_path": "out/fine.txt", "content": "fine"}))
    flag = f"--approval-mode={mode}"
    answers = run_each(gemini, gemini_model, calls, flag, rules=policy())
    assert tree(gemini.project) == before | {"out/fine.txt": "fine"}
    assert [answer for answer in answers if answer.startswith("success")] == [answers[-1]]


def test_without_these_rules_the_same_calls_do_plant(
    gemini: GeminiMachine, gemini_model: GeminiModel
) -> None:
    calls = plantings(gemini.project)
    kept = policy().split("\n\n")
    rules = "\n\n".join(part for part in kept if "priority = 300" not in part)
    run_each(gemini, gemini_model, calls, rules=rules)
    found = tree(gemini.project)
    assert {".gemini/settings.json", ".gemini/x", "sub/CLAUDE.md", "hypervisor.toml"} <= set(found)
    assert found[".claude/settings.local.json"] == "{1}"


@pytest.mark.parametrize("mode", MODES)
def test_no_command_no_network_and_no_other_tool_but_what_the_queue_grants(
    mode: str, gemini: GeminiMachine, gemini_model: GeminiModel
) -> None:
    script = gemini.project / "check.sh"
    script.write_text("#!/bin/sh\necho it passes\n")
    script.chmod(0o755)
    refused = [
        "git push", "curl http://127.0.0.1/", "bash -c 'git push'", "env git push", "touch t",
        "./check.sh && touch t", "./check.sh; touch t", "./check.sh `touch t`",
        "./check.sh $(touch t)", "./check.sh | tee t", "./check.shx", "./check.sh\ntouch t",
        "./check.sh & touch t", "touch t; ./check.sh", "X=1 ./check.sh <(touch t)",
    ]  # fmt: skip
    if mode == "default":
        # With --yolo the client lets a granted command write where it likes.
        refused.append("./check.sh > t")
    calls = [tool("run_shell_command", {"command": command}) for command in refused]
    calls += [
        tool("web_fetch", {"prompt": "read http://127.0.0.1/"}),
        tool("google_web_search", {"query": "x"}),
        tool("read_file", {"file_path": "/etc/hostname"}),
        tool("run_shell_command", {"command": "./check.sh"}),
    ]
    flag = f"--approval-mode={mode}"
    answers = run_each(gemini, gemini_model, calls, flag, rules=policy(["./check.sh"]))
    assert [answer for answer in answers if answer.startswith("success")] == [answers[-1]]
    assert "it passes" in answers[-1]
    assert sorted(tree(gemini.project)) == ["check.sh"]


def test_without_a_policy_file_the_default_mode_lets_nothing_through(
    gemini: GeminiMachine, gemini_model: GeminiModel
) -> None:
    calls = [
        tool("run_shell_command", {"command": "touch t"}),
        tool("write_file", {"file_path": "t", "content": "x"}),
    ]
    answers = run_each(gemini, gemini_model, calls, rules="[[rule]\nbroken")
    assert all(answer.startswith("error") for answer in answers)
    assert tree(gemini.project) == {}
