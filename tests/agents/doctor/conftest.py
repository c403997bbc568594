"""A machine with clients that say what a test has them say."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from hypervisor.agents.doctor import Finding, examine

CLAUDE_LOGIN = json.dumps({"loggedIn": True, "authMethod": "api_key"})
PLUGINS = json.dumps([{"id": "hypervisor@hypervisor", "version": "0.1.0", "enabled": True}])


class Machine:
    """HOME, PATH and a project. The clients are shell scripts that answer as told."""

    def __init__(self, project: Path, home: Path, programs: Path) -> None:
        self.project, self.home, self.programs = project, home, programs

    def client(self, name: str, answers: dict[str, str], *, before: str = "") -> Path:
        """Install a client that answers each command line as given; `before` runs first."""
        cases = "\n".join(
            f"{shlex.quote(words)}) printf '%s\\n' {shlex.quote(said)} ;;"
            for words, said in answers.items()
        )
        path = self.programs / name
        path.write_text(f'#!/bin/sh\n{before}\ncase "$*" in\n{cases}\n*) exit 3 ;;\nesac\n')
        path.chmod(0o755)
        return path

    def gemini(self, **changed: str) -> Path:
        answers = {
            "--version": "0.61.0",
            "mcp list": "✓ task_manager: hypervisor serve (stdio) - Connected",
        }
        return self.client("gemini", answers | changed)

    def claude(self, **changed: str) -> Path:
        answers = {
            "--version": "2.1.332 (Claude Code)",
            "auth status": CLAUDE_LOGIN,
            "mcp list": "task_manager: hypervisor serve - ✔ Connected",
            "plugin list --json": PLUGINS,
        }
        return self.client("claude", answers | changed)

    def codex(self, sandbox: str = "exit 0", **changed: str) -> Path:
        """`sandbox` is the script that is run for a try of a profile."""
        before = f'[ "$1" != sandbox ] || {{ {sandbox}; }}'
        return self.client("codex", {"--version": "codex-cli 0.171.0"} | changed, before=before)

    def write(self, path: str, value: Any) -> Path:
        """Write a file below HOME, as JSON unless it is text."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value if isinstance(value, str) else json.dumps(value))
        return file

    def log_in(self) -> None:
        """Have both clients logged in, and this project trusted by both."""
        chosen = {"security": {"auth": {"selectedType": "oauth-personal"}}}
        self.write(".gemini/settings.json", chosen)
        self.write(".gemini/oauth_creds.json", {"refresh_token": "1//secret-of-gemini"})
        self.write(".gemini/trustedFolders.json", {str(self.project): "TRUST_FOLDER"})
        trusted = {str(self.project): {"hasTrustDialogAccepted": True}}
        self.write(".claude.json", {"projects": trusted})

    def found(self, seconds: float = 20) -> dict[tuple[str, str], Finding]:
        """Examine the project, and return the findings by what they are about."""
        findings = examine(str(self.project), seconds)
        return {(finding.about, finding.what): finding for finding in findings}


@pytest.fixture
def machine(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    home, programs = tmp_path / "home of alice", tmp_path / "programs"
    home.mkdir()
    programs.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.chdir(project)
    for name in (
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "CODEX_API_KEY",
        "OPENAI_API_KEY",
        "CODEX_HOME",
    ):
        monkeypatch.delenv(name, raising=False)
    return Machine(project, home, programs)
