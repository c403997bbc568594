"""Whom tasks are assigned to: nobody but whom the settings name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NEITHER = (
    "nothing is assigned, since nobody is named for it: in hypervisor.toml: [triage] "
    'judgement = "NAME" for what needs a person, automatable = "NAME" for what a worker can do'
)


@pytest.fixture
def named(project: Path):
    """`named(text)`: the settings of the project; none to begin with."""
    (project / "hypervisor.toml").unlink()
    return lambda text: (project / "hypervisor.toml").write_text(text)


def test_without_names_nothing_is_assigned_and_once_it_is_said_how_to_name_them(
    write_tasks, run_forked, named
):
    paths = write_tasks(3)
    out = run_forked("triage", "tasks").stdout
    assert out.count("nobody is named") == 1
    assert NEITHER in out.splitlines()
    assert "changes: 3 added_wikilink, 0 files unchanged" in out
    for path in paths:
        assert "assignee" not in path.read_text() and "Project: [[garden]]" in path.read_text()


def test_a_dry_run_says_it_too_and_scripts_are_told_by_key(write_tasks, run_forked, named):
    write_tasks(1)
    assert NEITHER in run_forked("triage", "tasks", "--dry-run").stdout.splitlines()
    told = json.loads(run_forked("triage", "tasks", "--json").stdout)["not_assigned"]
    assert told["keys"] == ["judgement", "automatable"]
    assert f"{told['what']}, since nobody is named for it: {told['mend']}" == NEITHER


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('triage.judgement = "ada"\n', "what a worker can do is not assigned, since"),
        ('triage.automatable = "zed"\n', "what needs a person is not assigned, since"),
        ('triage = { judgement = "ada", automatable = "zed" }\n', ""),
        ('preset = "aops"\n', ""),
    ],
)
def test_it_is_told_which_name_is_missing(write_tasks, run_forked, named, settings, said):
    named(settings)
    write_tasks(1)
    out = run_forked("triage", "tasks", "--dry-run").stdout
    assert [line[: len(said)] for line in out.splitlines() if "nobody is named" in line] == (
        [said] if said else []
    )


@pytest.mark.parametrize("assignee", ["nic", "'@bot'"])
def test_where_a_name_of_the_preset_is_met_the_preset_is_the_mend(
    write_tasks, run_forked, named, assignee
):
    path = write_tasks(2)[0]
    path.write_text(path.read_text().replace("project:", f"assignee: {assignee}\nproject:"))
    out = run_forked("triage", "tasks").stdout
    assert 'in hypervisor.toml: preset = "aops", whose names some tasks have, or [triage]' in out
    named('preset = "aops"\n')
    assert "nobody is named" not in run_forked("triage", "tasks").stdout


def test_where_nothing_can_be_triaged_nobody_is_asked_for(write_tasks, run_forked, named):
    (path,) = write_tasks(1)
    path.write_text(path.read_text().replace("active", "done"))
    assert "nobody is named" not in run_forked("triage", "tasks").stdout


def test_whom_triage_assigns_judgement_to_is_held_and_the_rest_is_for_workers(
    write_tasks, run_forked, named, project
):
    named('[triage]\njudgement = "ada"\nautomatable = "zed"\n')
    fixed, asked = write_tasks(2)
    asked.write_text(asked.read_text().replace("Fix the bug.", "Approve the plan."))
    assert run_forked("triage", "tasks").returncode == 0
    told = json.loads(run_forked("preflight", "tasks", "--json").stdout)
    assert [entry["id"] for entry in told["ready"]] == [fixed.stem]
    assert [(entry["id"], entry["kind"]) for entry in told["held"]] == [(asked.stem, "needs_human")]
