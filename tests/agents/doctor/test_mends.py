"""Every mend that the doctor prints can be typed as it is: it works, and writes over nothing."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
from collections.abc import Callable

import pytest

from agents.doctor.conftest import Machine
from hypervisor.agents.doctor import Finding, State
from mends.typed import words_of
from repository import REPO
from worker.support import open_queue


def typed(machine: Machine, mend: str, more: str = "") -> subprocess.CompletedProcess[str]:
    """Type a mend into a shell of the user's, in the project, and then `more`."""
    return subprocess.run(
        ["sh", "-e", "-c", f"{mend}\n{more}"], cwd=machine.project, capture_output=True, text=True
    )


@pytest.mark.parametrize("is_tracked", [True, False], ids=["tracked", "a link"])
def test_another_program_on_the_path_is_left_as_it_is(machine: Machine, is_tracked: bool) -> None:
    clone = machine.home / "a clone"
    other = clone / "bin/hypervisor"
    other.parent.mkdir(parents=True)
    if is_tracked:
        other.write_text("#!/bin/sh\necho another\n")
        other.chmod(0o755)
        for words in (["init", "-q"], ["add", "-A"]):
            subprocess.run(["git", "-C", clone, *words], check=True)
    else:
        target = machine.home / "elsewhere"
        target.write_text("#!/bin/sh\necho another\n")
        target.chmod(0o755)
        other.symlink_to(target)
    os.environ["PATH"] = f"{other.parent}:{os.environ['PATH']}"
    before = hashlib.sha256(other.read_bytes()).hexdigest(), other.is_symlink()
    finding = machine.found()["hypervisor", "program"]
    assert "another one first" in finding.text
    done = typed(machine, finding.mend, "command -v hypervisor; hypervisor --version")
    assert done.stdout.startswith(f"{REPO}/bin/hypervisor\nhypervisor "), done.stderr
    assert (hashlib.sha256(other.read_bytes()).hexdigest(), other.is_symlink()) == before


def test_a_program_that_is_not_on_the_path_is_put_there(machine: Machine) -> None:
    finding = machine.found()["hypervisor", "program"]
    assert "not on the PATH" in finding.text
    done = typed(machine, finding.mend, "hypervisor --version")
    assert done.stdout.startswith("hypervisor "), done.stderr


def test_what_a_command_can_mend_is_mended_by_it(machine: Machine) -> None:
    state = machine.project / ".hypervisor"
    state.chmod(0o755)
    found = machine.found()
    for what in ("state", "git"):
        assert found["hypervisor", what].state is not State.OK
        done = typed(machine, found["hypervisor", what].mend)
        assert done.returncode == 0, done.stderr
    after = machine.found()
    assert after["hypervisor", "state"].state is after["hypervisor", "git"].state is State.OK


SITUATIONS: dict[str, Callable[[Machine], object]] = {
    "nothing installed": lambda m: None,
    "not logged in": lambda m: (m.gemini(), m.claude(**{"auth status": '{"loggedIn": false}'})),
    "no server": lambda m: (m.gemini(**{"mcp list": "nothing"}), m.claude(**{"mcp list": "no"})),
    "server off": lambda m: (
        m.gemini(**{"mcp list": "task_manager: x - Disabled"}),
        m.claude(**{"mcp list": "task_manager: x - Failed"}),
    ),
    "no sandbox": lambda m: m.codex("echo no; exit 1"),
    "old": lambda m: (m.gemini(**{"--version": "0.1.0"}), m.claude(**{"--version": "1.0.0"})),
    "broken": lambda m: (m.gemini(**{"--version": "x"}), m.claude(**{"--version": "x"})),
    "no plugin": lambda m: m.claude(**{"plugin list --json": "[]"}),
    "plugin off": lambda m: m.claude(
        **{"plugin list --json": '[{"id": "hypervisor@x; touch pwned", "enabled": false}]'}
    ),
    "odd plugins": lambda m: m.claude(**{"plugin list --json": "x"}),
    "denied": lambda m: (
        m.claude(),
        m.write(".claude/settings.json", {"permissions": {"deny": ["Bash"]}}),
    ),
    "hooks off": lambda m: (
        m.claude(),
        m.write(".claude/settings.json", {"disableAllHooks": True}),
    ),
    "odd settings": lambda m: (
        m.claude(),
        m.gemini(),
        m.write(".claude/settings.json", "{"),
        m.write(".gemini/settings.json", "{"),
    ),
    "not trusted": lambda m: (
        m.gemini(),
        m.claude(),
        m.write(".gemini/trustedFolders.json", {str(m.project): "DO_NOT_TRUST"}),
    ),
    "odd extension": lambda m: (
        m.gemini(),
        m.write(".gemini/extensions/hypervisor/.gemini-extension-install.json", "{"),
    ),
    "old extension": lambda m: (
        m.gemini(),
        m.write(".gemini/extensions/hypervisor/.gemini-extension-install.json", "{}"),
        m.write(".gemini/extensions/hypervisor/gemini-extension.json", {"version": "0.0.1"}),
    ),
    "odd project": lambda m: (
        open_queue(m.project, ()),
        (m.project / "hypervisor.toml").write_text("x ="),
        (m.project / ".hypervisor/hook-error.txt").write_text("2026-11-26 14:50:29\nTraceback\n"),
    ),
    "odd ledger": lambda m: (
        open_queue(m.project, ()),
        (m.project / ".hypervisor/ledger.db").write_bytes(b"no database" * 1000),
    ),
}


# What is printed by our source in which of them; see tests/mends.
TYPED = {
    "nothing installed": (
        "agents/doctor/here.py: git init {}",
        "agents/claude/doctor.py: npm install -g @anthropic-ai/claude-code",
        "agents/gemini/doctor.py: npm install -g @google/gemini-cli",
    ),
    "not logged in": (
        "agents/claude/doctor.py: claude auth login",
        "agents/claude/doctor.py: cd {} && claude",
        "agents/gemini/doctor.py: cd {} && gemini",
    ),
    "no server": (
        "agents/claude/doctor.py: claude plugin install {}@{}",
        "agents/gemini/doctor.py: gemini extensions install {}",
        "agents/gemini/doctor.py: "
        "gemini mcp add --scope user --timeout 600000 task_manager hypervisor serve",
    ),
    "server off": ("agents/doctor/client.py: hypervisor serve --setup",),
    "no sandbox": (
        "agents/codex/doctor.py: codex login",
        "agents/codex/doctor.py: codex sandbox -- true",
    ),
    "no plugin": (
        "agents/claude/doctor.py: claude plugin marketplace add {} &&",
        "agents/claude/doctor.py: claude plugin install hypervisor@hypervisor",
    ),
    "plugin off": ("agents/claude/doctor.py: claude plugin enable {}",),
    "odd plugins": ("agents/claude/doctor.py: claude plugin list",),
    "not trusted": ("agents/gemini/doctor.py: cd {} && gemini",),
    "odd extension": ("agents/gemini/doctor.py: gemini extensions uninstall hypervisor && {}",),
    "old extension": ("agents/gemini/doctor.py: gemini extensions update hypervisor",),
    "odd project": ("agents/doctor/here.py: hypervisor doctor --bundle",),
    "odd ledger": ("agents/doctor/here.py: hypervisor status",),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_mend_is_a_command_of_a_program_that_takes_it(
    machine: Machine, situation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    SITUATIONS[situation](machine)
    mends = [one for one in machine.found().values() if one.mend]
    assert mends
    said = "\n".join(one.mend for one in mends)
    assert all(words_of(printed, said) for printed in TYPED.get(situation, ()))
    # Those of other vendors are not installed by a test: they note what they were called with.
    called = machine.home / "called"
    for name in ("claude", "codex", "gemini", "npm", "sudo", "an-editor"):
        program = machine.programs / name
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >>{shlex.quote(str(called))}\n')
        program.chmod(0o755)
    monkeypatch.setenv("EDITOR", "an-editor")
    (machine.programs / "hypervisor").symlink_to(REPO / "bin/hypervisor")
    for finding in mends:
        assert_typed(machine, finding)
    assert not list(machine.project.rglob("pwned"))
    if called.exists():
        for line in called.read_text().splitlines():
            assert_known(line)


def assert_typed(machine: Machine, finding: Finding) -> None:
    done = typed(machine, finding.mend)
    # A look at what is broken still says that it is.
    is_look = finding.mend in ("hypervisor status", "hypervisor doctor --bundle")
    assert done.returncode == 0 or (is_look and done.returncode == 1), (finding, done.stderr)
    assert "usage:" not in done.stderr


KNOWN = {
    "claude": ("auth login", "mcp ", "plugin ", "--version", ""),
    "codex": ("login", "sandbox -- true", "--version"),
    "gemini": ("mcp ", "extensions ", "--version", ""),
    "npm": tuple(
        f"install -g @{name}@"
        for name in (
            "anthropic-ai/claude-code",
            "google/gemini-cli",
            "openai/codex",
        )
    ),
    "an-editor": ("/",),
    "sudo": ("apt-get install -y git", "dnf install -y git"),
}


def assert_known(line: str) -> None:
    program, _, words = line.partition(" ")
    assert any(words.startswith(known) if known else not words for known in KNOWN[program]), line
