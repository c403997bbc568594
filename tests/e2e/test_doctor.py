"""The doctor on the real clients: what it reads there is what they say."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from shlex import quote
from typing import Any

import pytest

from e2e.clients import Client
from e2e.gemini_client import GeminiMachine
from e2e.queue_scripts import REPOSITORY
from e2e.workspace import Workspace

pytestmark = [pytest.mark.e2e, pytest.mark.newest_client]


def examined(
    prefix: list[str], environment: dict[str, str], project: Path, about: str
) -> dict[str, dict[str, Any]]:
    """Run the doctor as a user on that machine would, and return what it found of one client."""
    asked = subprocess.run(
        [*prefix, str(REPOSITORY / "bin/hypervisor"), "doctor", "--json", "--timeout", "60"],
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    told = json.loads(asked.stdout)
    assert asked.returncode == (0 if told["ok"] else 1), asked.stderr
    found = {one["what"]: one for one in told["findings"] if one["about"] == about}
    wrong = [one for one in told["findings"] if one["state"] == "wrong"]
    assert all(one["mend"] for one in wrong)
    return found


def on_path(folder: Path, name: str, binary: Path) -> str:
    """A folder that holds the client under its own name."""
    folder.mkdir(exist_ok=True)
    (folder / name).symlink_to(binary)
    return str(folder)


def test_gemini_is_found_wanting_and_then_as_it_should_be(
    gemini: GeminiMachine, served_home: str, tmp_path: Path
) -> None:
    gemini.settings({"security": {}})
    programs = on_path(tmp_path / "bin", "gemini", gemini.binary)
    path = f"{programs}:{REPOSITORY}/bin:{gemini.env()['PATH']}"
    gemini.variables |= {"PATH": path, "HYPERVISOR_HOME": served_home}
    environment = gemini.env()

    found = examined(gemini.network.prefix, environment, gemini.project, "gemini")
    assert found["installed"]["state"] == "ok" and "0.61.0" in found["installed"]["text"]
    assert found["policy"]["state"] == "ok"
    assert {what for what in found if found[what]["state"] == "wrong"} == {"login", "trust", "mcp"}

    # The commands that it prints, as far as they are commands.
    register = found["mcp"]["mend"].split()
    assert register[:3] == ["gemini", "mcp", "add"]
    added = gemini.cli(*register[1:3], "-e", f"HYPERVISOR_HOME={served_home}", *register[3:])
    assert added.rc == 0, added.stderr
    gemini.settings({"security": {"auth": {"selectedType": "gemini-api-key"}}})
    gemini.trust(gemini.project)
    assert (
        found["extension"]["mend"]
        == f"gemini extensions install {quote(str(REPOSITORY / 'gemini'))}"
    )
    words = ("extensions", "install", "--consent", "--skip-settings", REPOSITORY / "gemini")
    assert gemini.cli(*words, env={"GEMINI_CLI_TRUST_WORKSPACE": "true"}).rc == 0
    found = examined(gemini.network.prefix, environment, gemini.project, "gemini")
    assert {one["state"] for one in found.values()} == {"ok"}, found
    assert gemini.model.requests == []


def test_a_policy_that_gemini_refuses_is_told(
    gemini: GeminiMachine, served_home: str, tmp_path: Path
) -> None:
    folder = gemini.home / ".gemini/policies"
    folder.mkdir()
    (folder / "mine.toml").write_text('[[rule]]\ndecision = "deny"\n')
    programs = on_path(tmp_path / "bin", "gemini", gemini.binary)
    gemini.variables |= {"PATH": f"{programs}:{gemini.env()['PATH']}"}
    environment = gemini.env({"HYPERVISOR_HOME": served_home})
    found = examined(gemini.network.prefix, environment, gemini.project, "gemini")
    assert found["policy"]["state"] == "wrong" and "mine.toml" in found["policy"]["words"]


def test_claude_is_found_as_it_is(
    workspace: Workspace, client: Client, served_home: str, tmp_path: Path
) -> None:
    programs = on_path(tmp_path / "bin", "claude", client.binary)
    path = f"{programs}:{REPOSITORY}/bin:{workspace.env()['PATH']}"
    environment = workspace.env({"PATH": path, "HYPERVISOR_HOME": served_home})
    found = examined(workspace.network.prefix, environment, workspace.project, "claude")
    assert client.version in found["installed"]["text"]
    assert {found[what]["state"] for what in ("installed", "login", "trust", "policy")} == {"ok"}
    assert found["mcp"]["state"] == "note"

    register = found["mcp"]["mend"].split()
    assert register[:3] == ["claude", "mcp", "add"]
    added = workspace.cli(*register[1:])
    assert added.returncode == 0, added.stderr
    found = examined(workspace.network.prefix, environment, workspace.project, "claude")
    assert found["mcp"]["state"] == "ok", found["mcp"]
    del environment["ANTHROPIC_API_KEY"]
    found = examined(workspace.network.prefix, environment, workspace.project, "claude")
    assert found["login"]["state"] == "wrong"
    assert workspace.model.requests == []
