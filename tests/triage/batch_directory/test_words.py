"""The words that the scripts assign by: those that people knew, unless the settings say others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from repository import REPO

SCRIPTS = REPO / "skills" / "hypervisor" / "scripts"


def ran(name: str, *words: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, SCRIPTS / name, *words], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode in (0, 3), done.stderr
    return done.stdout


def assignees(paths: list[Path]) -> set[str]:
    lines = [line for path in paths for line in path.read_text().splitlines()]
    return {line for line in lines if line.startswith("assignee:")}


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (None, {"assignee: bot", "assignee: nic"}),
        ("[limits]\nworkers = 2\n", {"assignee: bot", "assignee: nic"}),
        ('triage.judgement = "ada"\n', {"assignee: bot", "assignee: ada"}),
        ('triage = { judgement = "ada", automatable = "zed" }', {"assignee: zed", "assignee: ada"}),
        ('preset = ""\n', set()),
    ],
)
def test_a_batch_assigns_by_its_own_words_unless_the_settings_say_others(
    tasks, listed, project, settings, wanted
):
    if settings is not None:
        (project / "hypervisor.toml").write_text(settings)
    paths = tasks(1) + tasks(1, "other", "Approve it.")
    paths[1].write_text(paths[1].read_text().replace("t-000", "t-other"))
    ran("batch_worker.py", "--dir", listed(paths), cwd=project)
    assert assignees(paths) == wanted
    assert all("Project: [[academicOps]]" in path.read_text() for path in paths) == bool(wanted)


def test_a_batch_without_names_says_how_to_name_them(tasks, listed, project):
    (project / "hypervisor.toml").write_text('preset = ""\n')
    folder = listed(tasks(3))
    out = ran("batch_worker.py", "--dir", folder, "--batch", "1", cwd=project)
    assert out.count("nothing is assigned, since nobody is named for it: in hypervisor.toml") == 1
    again = ran("batch_worker.py", "--dir", folder, "--batch", "1", cwd=project)
    assert "nobody is named" not in again, "once for a list"
    told = json.loads(ran("batch_worker.py", "--dir", folder, "--json", cwd=project))
    assert told["not_assigned"]["keys"] == ["judgement", "automatable"]


def test_the_scripts_pre_flight_knows_their_words_and_the_commands_does_not(
    tasks, project, run_hypervisor
):
    (path,) = tasks(1)
    path.write_text(path.read_text().replace("project:", "assignee: nic\nproject:"))
    assert "needs a human (assignee nic)" in ran("preflight.py", "inbox", cwd=project)
    assert "held, unknown assignee (1):" in run_hypervisor("preflight", "inbox").stdout
    (project / "hypervisor.toml").write_text('preset = ""\n')
    assert "held, unknown assignee (1):" in ran("preflight.py", "inbox", cwd=project)


def test_the_command_assigns_to_nobody_where_the_scripts_would(tasks, project, run_hypervisor):
    paths = tasks(2)
    assert run_hypervisor("triage", "inbox").returncode == 0
    assert assignees(paths) == set()
    assert all("Project: [[aops]]" in path.read_text() for path in paths)
