"""Whoever had the MCP server in the plugin is told once that it has moved; nobody else is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.agents.claude import upgrade

Run = Callable[..., "object"]


@pytest.fixture
def environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the program's environments; the one that runs is in it."""
    folder = tmp_path / "environments"
    monkeypatch.setattr(sys, "executable", str(folder / "0.1.0-abc/bin/python"))
    monkeypatch.setenv("HYPERVISOR_STATE", str(tmp_path / "state of alice"))
    (folder / "0.1.0-abc").mkdir(parents=True)
    return folder


def test_it_is_told_once_to_those_who_had_its_libraries(environments: Path) -> None:
    assert upgrade.moved() is None
    (environments / "0.1.0+mcp-abc").mkdir()
    told = upgrade.moved()
    assert told is not None and "claude plugin install hypervisor-tasks@hypervisor" in told
    assert "\n" not in told
    assert upgrade.moved() is None


@pytest.mark.parametrize("variable", ["CLAUDE_CODE_SESSION_ID", "CLAUDE_PLUGIN_ROOT"])
def test_whoevers_client_starts_the_server_knows(
    environments: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    (environments / "0.1.0+mcp-abc").mkdir()
    monkeypatch.setenv(variable, "x")
    upgrade.known()
    assert upgrade.moved() is None


def test_a_server_that_another_client_starts_tells_nothing_of_this_one(environments: Path) -> None:
    (environments / "0.1.0+mcp-abc").mkdir()
    upgrade.known()
    assert upgrade.moved()


def test_where_it_can_not_be_noted_nothing_is_told_again_and_again(
    environments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (environments / "0.1.0+mcp-abc").mkdir()
    monkeypatch.setenv("HYPERVISOR_STATE", "/proc/nothing")
    assert upgrade.moved() is None
