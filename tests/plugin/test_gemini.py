"""The files of the Gemini CLI extension: what they name exists, and what they say fits together."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from hypervisor import __version__
from hypervisor.cli import VERBS
from repository import REPO

EXTENSION = REPO / "gemini"
EVENTS = {"SessionStart", "BeforeAgent", "AfterTool", "AfterAgent", "SessionEnd"}


def test_the_extension_has_the_name_and_the_version_of_the_plugin() -> None:
    manifest = json.loads((EXTENSION / "gemini-extension.json").read_text())
    plugin = json.loads((REPO / ".claude-plugin/plugin.json").read_text())
    assert manifest["name"] == plugin["name"]
    assert manifest["version"] == plugin["version"] == __version__
    assert (EXTENSION / manifest["contextFileName"]).stat().st_size < 600
    # What the program reads of its environment, and the client hides unless it is named here.
    server = manifest["mcpServers"]["task_manager"]
    assert server["args"] == ["${extensionPath}/start", "serve"]
    assert {"HYPERVISOR_HOME", "HYPERVISOR_STORE", "XDG_CACHE_HOME"} <= set(server["env"])


def test_its_hooks_are_events_of_its_client_and_their_times_are_milliseconds() -> None:
    hooks = json.loads((EXTENSION / "hooks/hooks.json").read_text())["hooks"]
    assert set(hooks) == EVENTS
    for event, groups in hooks.items():
        for hook in [hook for group in groups for hook in group["hooks"]]:
            assert hook["command"] == f'sh "${{extensionPath}}/start" hook {event}'
            assert 1000 <= hook["timeout"] <= 60_000


@pytest.mark.parametrize(
    "path", sorted((EXTENSION / "commands").rglob("*.toml")), ids=lambda path: path.stem
)
def test_its_commands_name_only_verbs_that_exist(path: Path) -> None:
    command = tomllib.loads(path.read_text())
    assert set(command) == {"description", "prompt"}
    named = set(re.findall(r"`hypervisor ([a-z]+)", command["prompt"]))
    assert named <= set(VERBS)


def test_both_clients_have_the_same_commands() -> None:
    ours = {path.stem for path in (EXTENSION / "commands/hypervisor").glob("*.toml")}
    theirs = {path.stem for path in (REPO / "commands").glob("*.md")}
    # A batch is run by the command of the plugin's own name in both.
    assert theirs - {"run"} <= ours and (EXTENSION / "commands/hypervisor.toml").exists()


def start(folder: Path, *words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", folder / "start", *words],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def program(folder: Path) -> Path:
    """A program that says where it is and what it was asked for."""
    path = folder / "hypervisor"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/bin/sh\nprintf "%s: %s\\n" "$0" "$*"\n')
    path.chmod(0o755)
    return path


def copied(tmp_path: Path, source: Path | None) -> Path:
    """The extension as the client installs it: its folder alone, and a note of where it was."""
    folder = tmp_path / "home/.gemini/extensions/hypervisor"
    folder.mkdir(parents=True)
    (folder / "start").write_bytes((EXTENSION / "start").read_bytes())
    if source is not None:
        note = json.dumps({"source": str(source), "type": "local"}, indent=2)
        (folder / ".gemini-extension-install.json").write_text(note)
    return folder


def plugin(tmp_path: Path) -> Path:
    """A plugin's folder with the extension and a program in it."""
    root = tmp_path / "my plugin's $HOME"
    program(root / "bin")
    (root / "gemini").mkdir()
    (root / "gemini/start").write_bytes((EXTENSION / "start").read_bytes())
    return root


def test_a_linked_extension_finds_the_program_beside_itself(tmp_path: Path) -> None:
    root = plugin(tmp_path)
    told = start(root / "gemini", "serve", "--queue", "a b", cwd=tmp_path)
    assert told.stdout == f"{root}/gemini/../bin/hypervisor: serve --queue a b\n"


def test_an_installed_one_finds_it_where_it_was_installed_from(tmp_path: Path) -> None:
    root = plugin(tmp_path)
    folder = copied(tmp_path, root / "gemini")
    told = start(folder, "serve", cwd=tmp_path)
    assert told.stdout == f"{root}/gemini/../bin/hypervisor: serve\n"


@pytest.mark.parametrize("source", [None, Path("/nowhere/gemini"), Path('/a "quoted" folder')])
def test_otherwise_the_one_on_path_is_taken(tmp_path: Path, source: Path | None) -> None:
    folder = copied(tmp_path, source)
    path = program(tmp_path / "bin")
    told = start(folder, "serve", cwd=tmp_path, PATH=f"{path.parent}:/usr/bin:/bin")
    assert told.stdout == f"{path}: serve\n"
    hook = start(folder, "hook", "AfterTool", cwd=tmp_path, PATH=f"{path.parent}:/usr/bin:/bin")
    assert hook.stdout == f"{path}: _hook AfterTool\n"


def test_without_a_program_a_hook_is_silent_and_the_server_names_the_mend(tmp_path: Path) -> None:
    folder = copied(tmp_path, tmp_path / "gone/gemini")
    hook = start(folder, "hook", "AfterTool", cwd=tmp_path)
    assert (hook.returncode, hook.stdout, hook.stderr) == (0, "", "")
    server = start(folder, "serve", cwd=tmp_path)
    assert server.returncode == 1 and server.stdout == ""
    assert f"{tmp_path}/gone/gemini" in server.stderr
    assert "gemini extensions install" in server.stderr


def test_where_no_queue_is_open_a_hook_ends_in_the_shell(tmp_path: Path) -> None:
    told = start(EXTENSION, "hook", "AfterTool", cwd=tmp_path, HYPERVISOR_HOME="/nonexistent")
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
