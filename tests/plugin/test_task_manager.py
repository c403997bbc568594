"""How the plugin `hypervisor-tasks` finds the program, wherever the client has put it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from repository import REPO


def program(folder: Path, says: str) -> Path:
    path = folder / "bin/hypervisor"
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\necho "{says} $*"\n')
    path.chmod(0o755)
    return folder


def start(folder: Path, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [folder / "start", "serve"], env={"PATH": path}, cwd="/", capture_output=True, text=True
    )


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """The plugin as the client keeps it: alone, in MARKETPLACE/PLUGIN/VERSION."""
    return shutil.copytree(REPO / "task-manager", tmp_path / "a b/hypervisor-tasks/0.2.0")


def test_in_a_checkout_it_is_beside_it(tmp_path: Path) -> None:
    plugin = shutil.copytree(REPO / "task-manager", tmp_path / "task-manager")
    program(tmp_path / ".", "beside")
    assert start(plugin).stdout == "beside serve\n"


def test_in_the_clients_cache_its_own_version_comes_first_then_the_newest(cached: Path) -> None:
    versions = cached.parent.parent / "hypervisor"
    for age, version in enumerate(("0.10.0", "0.9.0", "0.8.0")):
        os.utime(program(versions / version, version), (1_700_000_000 - age,) * 2)
    assert start(cached).stdout == "0.10.0 serve\n"
    program(versions / "0.2.0", "same")
    os.utime(versions / "0.2.0", (1, 1))
    assert start(cached).stdout == "same serve\n"


def test_else_it_is_the_one_on_the_path_and_without_any_the_mend_is_told(
    cached: Path, tmp_path: Path
) -> None:
    found = program(tmp_path / "own", "on PATH")
    assert start(cached, f"{found}/bin:/usr/bin:/bin").stdout == "on PATH serve\n"
    lost = start(cached)
    assert lost.returncode == 1 and lost.stderr.count("\n") == 2
    assert lost.stderr.endswith("claude plugin install hypervisor@hypervisor\n")
