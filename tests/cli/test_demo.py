"""The first command of a newcomer: it runs, and what it recommends works as printed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from docs.pages import agree
from hypervisor.cli.demo_files import files, lay_out
from hypervisor.config.settings import load
from hypervisor.system.errors import BrokenFile, UsageError
from hypervisor.tasks.front_matter import task_of
from hypervisor.tasks.read import parse
from repository import REPO


def test_the_example_holds_what_real_folders_hold(tmp_path):
    settings = load(str(tmp_path))
    broken, families, states, newlines, boms, notes = [], set(), set(), set(), 0, 0
    for path, raw in files():
        if not path.endswith(".md"):
            continue
        try:
            document = parse(raw, path)
        except BrokenFile as error:
            broken.append(error.what)
            continue
        task = task_of(document, settings)
        notes += task is None
        if task is not None:
            families.add(task.family.name)
            states.add(task.state)
            newlines.add(document.newline)
            boms += document.bom
    assert len(broken) == 5
    assert families == {"aops", "backlog"}
    assert {"ready", "done", "cancelled", "blocked", "waiting", "in_progress", "unknown"} <= states
    assert newlines == {"\n", "\r\n"}
    assert boms and notes
    assert 55 <= len(list(files())) <= 80


def test_the_demo_triages_with_several_processes_and_its_advice_works(run_hypervisor, tmp_path):
    folder = tmp_path / "an example"
    ran = run_hypervisor("demo", "--dir", folder)
    assert ran.returncode == 0, ran.stderr
    assert "tasks skipped (already complete)" in ran.stdout
    assert "broken (5)" in ran.stdout
    assert agree(shown_in_the_readme(), ran.stdout.splitlines()), ran.stdout
    assert "53 done" in ran.stdout
    before = {path: raw for path, raw in files() if "broken" not in path}
    assert sum((folder / path).read_bytes() != raw for path, raw in before.items()) > 40
    advice = ran.stdout.partition("what to try next:\n")[2]
    script = "set -e\n" + "\n".join(f"{line} >/dev/null" for line in advice.splitlines())
    tried = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert tried.returncode == 0, tried.stderr
    assert all((folder / path).read_bytes() == raw for path, raw in files())


def test_the_demos_settings_name_the_preset_by_which_its_tasks_are_assigned(tmp_path):
    lay_out(str(tmp_path))
    assert 'preset = "aops"' in (tmp_path / "hypervisor.toml").read_text().splitlines()
    rules = load(str(tmp_path)).triage
    assert (rules.judgement, rules.automatable) == ("nic", "bot") and rules.links["aops"]


def shown_in_the_readme() -> list[str]:
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("says what to try next:\n\n```\n")[2].partition("```")[0].splitlines()
    assert len([line for line in shown if line != "…"]) > 4
    return shown


def test_a_folder_that_holds_anything_is_refused(tmp_path, run_hypervisor):
    (tmp_path / "mine.md").touch()
    ran = run_hypervisor("demo", "--dir", tmp_path)
    assert ran.returncode == 2
    assert "isn't empty" in ran.stderr
    assert os.listdir(tmp_path / "project") == [".hypervisor"]


def test_an_empty_folder_and_a_missing_one_are_fine(tmp_path):
    (tmp_path / "empty").mkdir()
    assert lay_out(str(tmp_path / "empty")) == lay_out(str(tmp_path / "a" / "b"))
    with pytest.raises(UsageError):
        lay_out(str(Path(__file__)))


def test_without_a_folder_it_takes_a_temporary_one(run_hypervisor, tmp_path):
    ran = run_hypervisor("demo", env={"TMPDIR": str(tmp_path)})
    assert ran.returncode == 0, ran.stderr
    (made,) = tmp_path.glob("hypervisor-demo-*")
    assert str(made) in ran.stdout
