"""Plugins without an environment, and with one that is made once for all tests here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.plugins import PYTHON, Plugin, commands, copy_plugin, real_uv


@pytest.fixture
def make_plugin(tmp_path: Path) -> Callable[..., Plugin]:
    """`make_plugin(uv=…, python3=…)`: a plugin without environment, with these commands on PATH."""

    def make(folder: str = "plugin", **targets: str) -> Plugin:
        return Plugin(
            copy_plugin(tmp_path / folder),
            tmp_path / "cache" / "hypervisor",
            commands(tmp_path / "commands", **targets),
        )

    return make


@pytest.fixture(scope="session")
def ready_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose environment already exists."""
    folder = tmp_path_factory.mktemp("ready")
    path = commands(folder / "commands", python3=PYTHON, uv=real_uv())
    plugin = Plugin(copy_plugin(folder / "plugin"), folder / "home", path)
    assert plugin.run().told
    return plugin.home


@pytest.fixture
def ready_plugin(tmp_path: Path, ready_home: Path) -> Plugin:
    """A plugin whose environment stands; PATH is an empty folder."""
    return Plugin(copy_plugin(tmp_path / "plugin"), ready_home, commands(tmp_path / "no commands"))
