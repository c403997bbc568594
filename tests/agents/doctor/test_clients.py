"""What the doctor says of each client, and with which command it is mended."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from agents.doctor.conftest import PLUGINS, Machine
from hypervisor import __version__
from hypervisor.agents.doctor import State
from hypervisor.agents.finding import Finding

CLIENTS = ("claude", "gemini")


def assert_mended_by(finding: Finding, words: str) -> None:
    assert finding.state is State.WRONG, finding
    assert words in finding.mend, finding


def test_two_clients_that_are_right_have_nothing_to_mend(machine: Machine) -> None:
    machine.log_in()
    machine.claude()
    machine.gemini()
    folder = ".gemini/extensions/hypervisor"
    machine.write(f"{folder}/.gemini-extension-install.json", {"type": "local"})
    machine.write(f"{folder}/gemini-extension.json", {"version": __version__})
    found = machine.found()
    for about in CLIENTS:
        told = {what: finding for (name, what), finding in found.items() if name == about}
        assert {"installed", "login", "trust", "mcp", "policy"} <= set(told)
        assert {finding.state for finding in told.values()} == {State.OK}, told


def test_a_client_that_is_not_there_is_a_note_and_nothing_more_is_asked(machine: Machine) -> None:
    found = machine.found()
    for about, package in (("claude", "claude-code"), ("gemini", "gemini-cli")):
        assert [what for name, what in found if name == about] == ["installed"]
        assert found[about, "installed"].state is State.NOTE
        assert "npm install -g @" in found[about, "installed"].mend
        assert package in found[about, "installed"].mend


@pytest.mark.parametrize(
    ("version", "state"),
    [("2.1.100", State.WRONG), ("2.1.197", State.OK), ("2.2.0", State.NOTE), ("3.0.0", State.NOTE)],
)
def test_the_version_is_held_against_what_was_tested(
    machine: Machine, version: str, state: State
) -> None:
    machine.claude(**{"--version": f"{version} (Claude Code)"})
    finding = machine.found()["claude", "installed"]
    assert finding.state is state and version in finding.text
    assert "tested: 2.1.197 to 2.1.332" in finding.text


def test_a_client_that_does_not_start_is_told_with_its_words(machine: Machine) -> None:
    machine.client("gemini", {}, before="echo 'needs Node 20' >&2; exit 1")
    finding = machine.found()["gemini", "installed"]
    assert_mended_by(finding, "npm install")
    assert "needs Node 20" in finding.words


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_that_hangs_is_cut_off_with_all_it_has_started(
    machine: Machine, name: str
) -> None:
    mark = machine.home / "pid"
    machine.client(name, {}, before=f"sleep 60 & echo $! >'{mark}'; wait")
    start = time.monotonic()
    finding = machine.found(seconds=1)[name, "installed"]
    assert time.monotonic() - start < 20
    assert_mended_by(finding, f"{name} --version")
    assert "no answer within 1 s" in finding.text
    pid = int(mark.read_text())
    end = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}/exe").exists()


@pytest.mark.parametrize("name", CLIENTS)
def test_a_server_list_that_hangs_is_told_and_the_rest_is_still_looked_at(
    machine: Machine, name: str
) -> None:
    machine.log_in()
    machine.client(
        name,
        {"--version": "2.1.332" if name == "claude" else "0.61.0"},
        before='[ "$1" != mcp ] || sleep 60',
    )
    found = machine.found(seconds=1)
    assert_mended_by(found[name, "mcp"], f"{name} mcp list")
    assert found[name, "installed"].state is State.OK
    assert found[name, "trust"].state is State.OK


@pytest.mark.parametrize(
    ("name", "said", "mend"),
    [
        ("gemini", "✗ task_manager: x (stdio) - Disconnected", "hypervisor serve --setup"),
        ("gemini", "○ task_manager: x (stdio) - Disabled", "gemini mcp enable task_manager"),
        (
            "gemini",
            "✓ other: x (stdio) - Connected",
            "gemini mcp add --scope user --timeout 600000 task_manager",
        ),
        (
            "gemini",
            "No MCP servers configured.",
            "gemini mcp add --scope user --timeout 600000 task_manager",
        ),
        ("claude", "task_manager: x - ✘ Failed to connect", "hypervisor serve --setup"),
    ],
)
def test_a_server_that_is_not_connected_is_mended(
    machine: Machine, name: str, said: str, mend: str
) -> None:
    machine.log_in()
    (machine.gemini if name == "gemini" else machine.claude)(**{"mcp list": said})
    assert_mended_by(machine.found()[name, "mcp"], mend)


@pytest.mark.parametrize(
    ("plugins", "mend"),
    [
        (PLUGINS, "claude plugin install hypervisor-tasks@hypervisor"),
        ("[]", "claude mcp add --scope user task_manager -- hypervisor serve"),
    ],
)
def test_claude_without_the_server_is_no_fault_and_how_to_have_it_is_told(
    machine: Machine, plugins: str, mend: str
) -> None:
    machine.log_in()
    machine.claude(**{"mcp list": "No MCP servers configured.", "plugin list --json": plugins})
    finding = machine.found()["claude", "mcp"]
    assert (finding.state, finding.mend) == (State.NOTE, mend)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("claude", "plugin:hypervisor-tasks:task_manager: hypervisor serve - ✔ Connected"),
        ("claude", "task_manager: hypervisor serve - ✓ Connected"),
        ("gemini", "✓ task_manager (from hypervisor): sh x serve (stdio) - Connected"),
    ],
)
def test_the_server_of_a_plugin_or_an_extension_is_known(
    machine: Machine, name: str, said: str
) -> None:
    machine.log_in()
    (machine.gemini if name == "gemini" else machine.claude)(**{"mcp list": said})
    assert machine.found()[name, "mcp"].state is State.OK


@pytest.mark.parametrize("name", CLIENTS)
def test_a_folder_that_is_not_trusted_is_told_and_its_own_servers_are_not_started(
    machine: Machine, name: str
) -> None:
    machine.log_in()
    machine.write(".gemini/trustedFolders.json", {})
    machine.write(".claude.json", {})
    where = machine.home / "where"
    (machine.gemini if name == "gemini" else machine.claude)()
    path = machine.programs / name
    path.write_text(path.read_text().replace("\ncase", f"\npwd >>'{where}'\ncase", 1))
    found = machine.found()
    assert_mended_by(found[name, "trust"], f"&& {name}")
    assert found[name, "mcp"].state is State.OK
    assert str(machine.project) not in where.read_text().splitlines()


@pytest.mark.parametrize(
    ("rules", "state"),
    [
        ({"{parent}": "TRUST_FOLDER"}, State.OK),
        ({"{project}/tasks": "TRUST_PARENT"}, State.OK),
        ({"{parent}": "TRUST_FOLDER", "{project}": "DO_NOT_TRUST"}, State.WRONG),
        ({"{project}x": "TRUST_FOLDER"}, State.WRONG),
    ],
)
def test_the_nearest_rule_on_trust_decides(
    machine: Machine, rules: dict[str, str], state: State
) -> None:
    machine.log_in()
    machine.gemini()
    places = {"{parent}": str(machine.project.parent), "{project}": str(machine.project)}
    named = {
        next(key.replace(mark, place) for mark, place in places.items() if mark in key): value
        for key, value in rules.items()
    }
    machine.write(".gemini/trustedFolders.json", named)
    assert machine.found()["gemini", "trust"].state is state


def test_gemini_without_a_login_is_told_which_is_missing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.gemini()
    assert "/auth" in machine.found()["gemini", "login"].text
    monkeypatch.setenv("GEMINI_API_KEY", "AIza-not-a-key")
    finding = machine.found()["gemini", "login"]
    assert_mended_by(finding, "gemini")
    assert "not chosen" in finding.text and "AIza" not in finding.text
    chosen = {"security": {"auth": {"selectedType": "gemini-api-key"}}}
    machine.write(".gemini/settings.json", "// mine\n" + json.dumps(chosen))
    assert machine.found()["gemini", "login"].state is State.OK
    monkeypatch.delenv("GEMINI_API_KEY")
    assert "GEMINI_API_KEY is missing" in machine.found()["gemini", "login"].text
    machine.write(".gemini/.env", "GEMINI_API_KEY=AIza-not-a-key\n")
    assert machine.found()["gemini", "login"].state is State.OK


def test_claude_without_a_login_is_told(machine: Machine) -> None:
    machine.claude(**{"auth status": '{"loggedIn": false, "authMethod": "none"}'})
    assert_mended_by(machine.found()["claude", "login"], "claude auth login")
    # A client that has no such command.
    machine.claude(**{"auth status": "unknown command"})
    assert_mended_by(machine.found()["claude", "login"], "claude auth login")
    machine.write(".claude/.credentials.json", {"claudeAiOauth": {"accessToken": "secret"}})
    assert machine.found()["claude", "login"].state is State.OK


def test_a_policy_that_the_client_refuses_is_told(machine: Machine) -> None:
    machine.log_in()
    refused = "[USER] Policy file error in x.toml:\n✓ task_manager: x (stdio) - Connected"
    machine.gemini(**{"mcp list": refused})
    finding = machine.found()["gemini", "policy"]
    assert finding.state is State.WRONG and "x.toml" in finding.words


def test_a_rule_that_denies_what_a_batch_needs_is_told_with_its_file(machine: Machine) -> None:
    machine.log_in()
    machine.claude()
    path = machine.write(".claude/settings.json", {"permissions": {"deny": ["Bash"]}})
    finding = machine.found()["claude", "policy"]
    assert_mended_by(finding, str(path))
    assert "denies Bash" in finding.text
    machine.write(".claude/settings.json", {"permissions": {"deny": ["WebFetch"]}})
    assert machine.found()["claude", "policy"].state is State.OK
    machine.write(".claude/settings.json", {"disableAllHooks": True})
    assert machine.found()["claude", "policy"].state is State.NOTE
    machine.write(".claude/settings.json", "{ broken")
    assert_mended_by(machine.found()["claude", "policy"], "EDITOR")


def test_a_plugin_that_is_disabled_is_told(machine: Machine) -> None:
    listed = [{"id": "hypervisor@market", "version": "0.1.0", "enabled": False}]
    machine.claude(**{"plugin list --json": json.dumps(listed)})
    assert_mended_by(machine.found()["claude", "plugin"], "claude plugin enable hypervisor@market")


def test_what_a_client_says_can_not_start_a_line_of_its_own(machine: Machine) -> None:
    machine.client("gemini", {}, before="printf 'a\\033[2Kb\\rc' >&2; exit 1")
    assert "\033" not in machine.found()["gemini", "installed"].words


@pytest.mark.parametrize("linked", [False, True], ids=["installed", "linked"])
def test_the_extension_has_the_version_of_the_program(machine: Machine, linked: bool) -> None:
    machine.log_in()
    machine.gemini()
    missing = machine.found()["gemini", "extension"]
    assert missing.state is State.NOTE and "gemini extensions install" in missing.mend
    folder = ".gemini/extensions/hypervisor"
    source = "checkout" if linked else folder
    note = {"type": "link" if linked else "local", "source": str(machine.home / "checkout")}
    machine.write(f"{folder}/.gemini-extension-install.json", note)
    machine.write(f"{source}/gemini-extension.json", {"version": "0.0.9"})
    old = machine.found()["gemini", "extension"]
    assert_mended_by(old, "gemini extensions update hypervisor")
    machine.write(f"{source}/gemini-extension.json", {"version": __version__})
    assert machine.found()["gemini", "extension"].state is State.OK


def test_codex_is_right_with_a_login_and_a_sandbox_that_takes_the_profile_of_its_workers(
    machine: Machine,
) -> None:
    machine.codex('cat "$CODEX_HOME/config.toml" >"$HOME/profile"; exit 0')
    assert_mended_by(machine.found()["codex", "login"], "codex login")
    machine.write(".codex/auth.json", {"OPENAI_API_KEY": "secret-of-codex"})
    found = {what: one for (about, what), one in machine.found().items() if about == "codex"}
    assert found.keys() == {"installed", "login", "sandbox"}
    assert {one.state for one in found.values()} == {State.OK}, found
    assert "secret-of-codex" not in str(found)
    assert 'approval_policy = "never"' in (machine.home / "profile").read_text()
    machine.codex("echo 'bwrap: No permissions to create a new namespace' >&2; exit 1")
    finding = machine.found()["codex", "sandbox"]
    assert_mended_by(finding, "codex sandbox -- true")
    assert "bwrap: No permissions" in finding.words
