"""Where the plugin is that belongs to a program, however that was installed."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest

from hypervisor.system import libraries

REPO = Path(__file__).resolve().parents[2]


def test_the_launcher_s_folder_is_the_plugin() -> None:
    assert libraries.origin() == str(REPO)


@pytest.mark.parametrize(
    ("noted", "origin"),
    [
        ({"url": REPO.as_uri(), "dir_info": {}}, str(REPO)),
        ({"url": "file:///gone", "dir_info": {}}, ""),
        ({"url": "https://git.example.org/h.git", "vcs_info": {"vcs": "git"}},
         "https://git.example.org/h.git"),
        (None, ""),
    ],
    ids=["a folder", "a folder that is gone", "a git address", "an index"],
)  # fmt: skip
def test_an_installed_package_names_what_it_was_installed_from(
    noted: object, origin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "hypervisor-0.2.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: hypervisor\nVersion: 0.2.0\n")
    if noted is not None:
        (made / "direct_url.json").write_text(json.dumps(noted))
    found = importlib.metadata.Distribution.at(made)
    monkeypatch.setattr(libraries, "launcher", lambda: None)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: found)
    assert libraries.origin() == origin
