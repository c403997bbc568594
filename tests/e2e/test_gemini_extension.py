"""The extension in the real Gemini CLI: it installs, runs without a warning, and works."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from e2e.answers import Answer, text, tool
from e2e.gemini_client import Ended, GeminiMachine
from e2e.gemini_model import GeminiConversation, GeminiModel
from e2e.plugins import copy_plugin
from e2e.queue_scripts import REPOSITORY, hypervisor, lay_out
from hypervisor import __version__

pytestmark = pytest.mark.e2e

TRUSTED = {"GEMINI_CLI_TRUST_WORKSPACE": "true"}
INSTALL = ("extensions", "install", "--consent", "--skip-settings")


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A copy of the repository at a path that needs quoting, as a user might have it."""
    return copy_plugin(REPOSITORY, tmp_path / "the plugin's folder")


def installed(gemini: GeminiMachine, plugin: Path, home: str) -> Path:
    """Install the extension as a user would, and return the client's copy of it."""
    done = gemini.cli(*INSTALL, plugin / "gemini", env=TRUSTED)
    assert done.rc == 0, done.stderr
    gemini.variables["HYPERVISOR_HOME"] = home
    return gemini.home / ".gemini/extensions/hypervisor"


def complaints(run: Ended) -> list[str]:
    """What the client says on standard error, but for what this machine lacks."""
    lines = [line for line in run.stderr.splitlines() if line.strip()]
    return [line for line in lines if "Ripgrep is not available" not in line]


def test_the_client_validates_links_and_installs_the_extension(
    gemini: GeminiMachine, plugin: Path
) -> None:
    valid = gemini.cli("extensions", "validate", plugin / "gemini")
    assert valid.rc == 0 and "successfully validated" in valid.stdout + valid.stderr
    linked = gemini.cli("extensions", "link", "--consent", plugin / "gemini", env=TRUSTED)
    assert linked.rc == 0, linked.stderr
    listed = gemini.cli("extensions", "list", env=TRUSTED)
    assert f"hypervisor ({__version__})" in listed.stdout + listed.stderr
    assert gemini.cli("extensions", "uninstall", "hypervisor", env=TRUSTED).rc == 0
    again = gemini.cli(*INSTALL, plugin / "gemini", env=TRUSTED)
    assert again.rc == 0 and "installed successfully and enabled" in again.stdout + again.stderr


def test_a_session_with_the_extension_prints_no_warning_and_its_hooks_no_error(
    gemini: GeminiMachine, gemini_model: GeminiModel, plugin: Path, served_home: str
) -> None:
    copy = installed(gemini, plugin, served_home)
    del gemini.variables["GEMINI_CLI_NO_RELAUNCH"]  # as it is at a user's
    lay_out(gemini.project / "tasks", 2)
    opened = hypervisor(gemini.project, "open", "q", "tasks", home=served_home)
    assert opened.returncode == 0, opened.stderr

    def script(conversation: GeminiConversation) -> Answer:
        if not conversation.tool_uses:
            return tool("read_file", {"file_path": "tasks/demo-0001.md"})
        return text("done")

    gemini_model.main = script
    run = gemini.session("/hypervisor:status q", "--skip-trust")
    assert run.rc == 0 and complaints(run) == []
    asked = gemini_model.requests[0].conversation.prompt
    assert "Run `hypervisor status q` and show its output" in asked
    assert "hypervisor: queue q: 2 of 2 items left" in asked
    assert (copy / "HYPERVISOR.md").read_text().strip() in asked
    # The ledger has heard of the session, so the hooks have reached the program.
    assert not (gemini.project / ".hypervisor/hook-error.txt").exists()
    assert "hook" not in run.stderr.lower()


def test_commands_of_the_extension_are_expanded(
    gemini: GeminiMachine, gemini_model: GeminiModel, plugin: Path, served_home: str
) -> None:
    installed(gemini, plugin, served_home)
    for name in ("hypervisor", "hypervisor:work", "hypervisor:doctor"):
        first = len(gemini_model.requests)
        run = gemini.session(f"/{name} some words", "--skip-trust")
        assert run.rc == 0 and complaints(run) == []
        asked = gemini_model.requests[first].conversation.prompt
        path = plugin / f"gemini/commands/{name.replace(':', '/')}.toml"
        prompt = tomllib.loads(path.read_text())["prompt"].strip()
        words = "" if "{{args}}" in prompt else "/hypervisor:doctor some words"
        # Where a command has no place for them, the client puts the user's own words behind it.
        assert prompt.replace("{{args}}", "some words") in asked and words in asked


def test_a_worker_that_takes_items_in_its_shell_gives_them_back_when_its_session_ends(
    gemini: GeminiMachine, gemini_model: GeminiModel, plugin: Path, home: str
) -> None:
    installed(gemini, plugin, home)
    lay_out(gemini.project / "tasks", 2)
    program = shlex.quote(str(plugin / "bin/hypervisor"))
    steps = [
        tool("run_shell_command", {"command": f"{program} open q tasks"}),
        tool("run_shell_command", {"command": f"{program} next q"}),
        text("I leave"),
    ]
    gemini_model.main = lambda conversation: steps[min(conversation.turn, 2)]
    run = gemini.session("Work.", "--skip-trust", "--yolo")
    assert run.rc == 0, run.stderr
    results = gemini_model.requests[-1].conversation.results
    assert "2 items added" in results[0] and "claim 1-" in results[1]
    told = hypervisor(gemini.project, "status", "q", "--json", home=home)
    assert json.loads(told.stdout)["counts"]["ready"] == 2
    assert not (gemini.project / ".hypervisor/hook-error.txt").exists()


def test_the_policy_of_the_extension_keeps_tools_out_of_the_ledger(
    gemini: GeminiMachine, gemini_model: GeminiModel, plugin: Path, home: str
) -> None:
    installed(gemini, plugin, home)
    paths = [".hypervisor/ledger.db", "./.hypervisor/x", f"{gemini.project}/.hypervisor/y", "z.txt"]
    calls = [tool("write_file", {"file_path": path, "content": "x"}) for path in paths]
    gemini_model.main = lambda conversation: text("end") if conversation.turn else calls
    run = gemini.session("Write.", "--skip-trust", "--yolo")
    told = [event["status"] for event in run.of("tool_result")]
    assert told == ["error", "error", "error", "success"]
    assert "SCOPE: what is in .hypervisor/" in run.of("tool_result")[0]["output"]
    assert not (gemini.project / ".hypervisor").exists()


def test_without_its_program_the_extension_breaks_no_tool_and_the_server_says_what_to_do(
    gemini: GeminiMachine, gemini_model: GeminiModel, plugin: Path, home: str
) -> None:
    copy = installed(gemini, plugin, home)
    lay_out(gemini.project / "tasks", 1)
    assert hypervisor(gemini.project, "open", "q", "tasks", home=home).returncode == 0
    shutil.rmtree(plugin)
    (gemini.project / "note.txt").write_text("forty-two\n")

    def script(conversation: GeminiConversation) -> Answer:
        if not conversation.tool_uses:
            return tool("read_file", {"file_path": "note.txt"})
        return text(conversation.last_result)

    gemini_model.main = script
    run = gemini.session("Read the note.", "--skip-trust")
    assert run.rc == 0 and "forty-two" in run.text
    assert [event["status"] for event in run.of("tool_result")] == ["success"]
    served = subprocess.run(
        ["sh", copy / "start", "serve"],
        env=gemini.env(),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert served.returncode == 1
    assert "is not found" in served.stderr and "gemini extensions install" in served.stderr


def work(conversation: GeminiConversation) -> Answer:
    """A worker by the book of the extension's command: claim, do, complete, say so."""
    if not conversation.tool_uses:
        return tool("mcp_task_manager_claim_next_task", {"caller": "gemini"})
    task = re.search(r'"id": ?"(demo-[0-9]+)"', conversation.results[0])
    if task is None:
        return text("QUEUE EMPTY: " + conversation.last_result)
    if not conversation.used("write_file"):
        return tool("write_file", {"file_path": f"out/{task[1]}.txt", "content": "done\n"})
    if not conversation.used("mcp_task_manager_complete_task"):
        return tool("mcp_task_manager_complete_task", {"id": task[1]})
    return text(f"COMPLETED: {task[1]} wrote its file")


@pytest.mark.often
def test_the_server_of_the_extension_is_connected_and_its_command_works_off_the_tasks(
    gemini: GeminiMachine, gemini_model: GeminiModel, plugin: Path, served_home: str
) -> None:
    installed(gemini, plugin, served_home)
    lay_out(gemini.project / "tasks", 1)
    assert "✓ task_manager (from hypervisor)" in listed(gemini)
    policy = plugin / "prompts/gemini-task-worker.toml"
    gemini_model.main = work
    flags = ("--skip-trust", "--approval-mode=default", "--policy", policy)
    first = gemini.session("/hypervisor:work one task", *flags)
    second = gemini.session("/hypervisor:work one task", *flags)
    assert [first.rc, second.rc] == [0, 0]
    assert complaints(first) == complaints(second) == []
    assert "COMPLETED: demo-0001" in first.text
    assert "QUEUE EMPTY:" in second.text
    assert first.tokens.plus(second.tokens) == gemini_model.tokens()
    task = (gemini.project / "tasks/demo-0001.md").read_text()
    assert "status: done" in task and "assignee: gemini" in task
    assert task.count("## Completion report") == 1
    assert (gemini.project / "out/demo-0001.txt").exists()
    assert gemini.processes() == []


def test_one_documented_command_registers_the_server_without_the_extension(
    gemini: GeminiMachine, plugin: Path, served_home: str
) -> None:
    gemini.variables["HYPERVISOR_HOME"] = served_home
    gemini.variables["PATH"] = f"{plugin}/bin:{gemini.env()['PATH']}"
    command = "gemini mcp add --scope user --timeout 600000 task_manager hypervisor serve"
    assert command in (REPOSITORY / "docs/gemini.md").read_text()
    words = command.split()[1:]
    # The client hides from servers what their entries do not name.
    added = gemini.cli(*words[:2], "-e", f"HYPERVISOR_HOME={served_home}", *words[2:], env=TRUSTED)
    assert added.rc == 0, added.stderr
    assert "✓ task_manager: hypervisor serve (stdio) - Connected" in listed(gemini)


def listed(gemini: GeminiMachine) -> str:
    """What `gemini mcp list` says of the servers."""
    told = gemini.cli("mcp", "list", env=TRUSTED)
    return told.stdout + told.stderr
