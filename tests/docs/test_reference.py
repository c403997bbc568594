"""docs/reference.md is what the program says of itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from docs.typist import REPO
from hypervisor import cli
from hypervisor.config.defaults import FILE
from hypervisor.config.settings import load

PAGE = REPO / "docs" / "reference.md"


@pytest.fixture(scope="module")
def printed() -> str:
    ran = subprocess.run(
        [sys.executable, REPO / "tools" / "reference"], capture_output=True, encoding="utf-8"
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_reference_is_what_the_program_prints(
    printed: str, pytestconfig: pytest.Config
) -> None:
    if pytestconfig.getoption("--rewrite"):
        PAGE.write_text(printed, encoding="utf-8")
    kept = PAGE.read_text(encoding="utf-8")
    assert kept == printed, "docs/reference.md is old; run: tests/run tests/docs --rewrite"


def test_the_reference_names_every_command_and_says_what_everything_in_it_means(
    printed: str,
) -> None:
    for verb in cli.VERBS:
        assert (f"### `hypervisor {verb}`\n" in printed) == (not verb.startswith("_"))
    unexplained = [line for line in printed.splitlines() if line.endswith("|  |")]
    assert unexplained == []


def test_the_defaults_are_shown_as_they_are_shipped_and_may_be_copied(tmp_path: Path) -> None:
    shipped = Path(FILE).read_text(encoding="utf-8")
    assert f"```toml\n{shipped}```\n" in PAGE.read_text(encoding="utf-8")
    plain = load(str(tmp_path))
    (tmp_path / "hypervisor.toml").write_text(shipped, encoding="utf-8")
    copied = load(str(tmp_path))
    assert (copied.limits, copied.triage, copied.raised) == (plain.limits, plain.triage, ())


def test_the_example_of_the_settings_is_accepted(tmp_path) -> None:
    text = (REPO / "docs" / "settings.md").read_text(encoding="utf-8")
    example = text.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "hypervisor.toml").write_text(example, encoding="utf-8")
    assert load(str(tmp_path)).project == "notes"
    assert load(str(tmp_path)).raised == ()


def test_the_example_of_the_users_own_configuration_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (REPO / "docs" / "settings.md").read_text(encoding="utf-8")
    example = text.partition("## Your own")[2].partition("```toml\n")[2].partition("```")[0]
    own = tmp_path / "config" / "hypervisor" / "config.toml"
    own.parent.mkdir(parents=True)
    own.write_text(example, encoding="utf-8")
    notes = tmp_path.resolve() / "notes"
    notes.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(notes.parent))
    told = load(str(notes))
    assert (told.limits.workers, told.limits.max_attempts) == (12, 5)
    assert "zotero" not in told.tools
    assert load(str(tmp_path)).limits.max_attempts == 3


def test_every_environment_variable_is_explained(printed: str) -> None:
    rows = printed.partition("## Environment variables")[2].splitlines()
    names = [row.split("`")[1] for row in rows if row.startswith("| `")]
    assert len(names) > 3
    explained = (REPO / "docs" / "settings.md").read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in explained] == []
