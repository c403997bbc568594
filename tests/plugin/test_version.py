"""The version is one everywhere, and one command raises it."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from hypervisor import __version__
from repository import REPO


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("version", REPO / "tools/version.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_every_place_says_the_version_of_the_program(tool: ModuleType) -> None:
    assert tool.found(REPO) == {__version__}
    # No manifest of a client, and no page that is typed, is left out.
    places = {name for name, _ in tool.PLACES}
    manifests = [path for path in REPO.rglob("*.json") if "tests" not in path.parts]
    stated = [path for path in manifests if re.search(r'^  "version": "\d', path.read_text(), re.M)]
    assert {str(path.resolve().relative_to(REPO)) for path in stated} <= places
    pages = [page for page in (REPO / "docs").rglob("*.md") if page.name != "reference.md"]
    said = [
        page for page in pages if re.search(r"^hypervisor \d+\.\d+\.\d+$", page.read_text(), re.M)
    ]
    assert {str(page.relative_to(REPO)) for page in said} <= places


def test_one_command_raises_it_everywhere(tool: ModuleType, tmp_path: Path) -> None:
    for name in {*(name for name, _ in tool.PLACES), "CHANGELOG.md"}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / name, tmp_path / name)
    changes = tmp_path / "CHANGELOG.md"
    changes.write_text("# Changelog\n\n## Unreleased\n\n- new\n\n## 0.0.1\n")
    tool.raise_to(tmp_path, "7.8.9")
    assert tool.found(tmp_path) == {"7.8.9"}
    assert changes.read_text() == "# Changelog\n\n## 7.8.9\n\n- new\n\n## 0.0.1\n"
