"""`hypervisor triage` and `hypervisor undo` as a user starts them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from hypervisor.system.errors import BrokenFile
from hypervisor.tasks.read import parse
from repository import REPO


@pytest.fixture
def backlog(backlog_md: Path, project: Path) -> Path:
    """A copy of real task files of the other family, inside a project."""
    folder = project / "data"
    shutil.copytree(backlog_md, folder, copy_function=shutil.copyfile)
    # What it was copied from may be read-only.
    for at, _, _ in os.walk(folder):
        os.chmod(at, 0o755)
    return folder


def contents(folder: Path) -> dict[Path, bytes]:
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".hypervisor" not in path.parts
    }


def broken_files(folder: Path) -> dict[Path, int]:
    """Return each Markdown file whose front matter can't be read, with the line to blame."""
    broken = {}
    for path, raw in contents(folder).items():
        try:
            parse(raw, str(path))
        except BrokenFile as error:
            broken[path] = error.line or 0
    return broken


def test_a_dry_run_names_every_broken_file_with_its_line_and_writes_nothing(
    backlog, project, run_hypervisor
):
    for path, raw in contents(backlog).items():
        path.write_bytes(re.sub(rb"(?m)^status:.*$", b"status: To Do", raw))
    before = contents(project)
    broken = broken_files(backlog)
    assert broken
    ran = run_hypervisor("triage", "--dry-run", "data", "data/backlog/archive")
    assert ran.returncode == 0, ran.stderr
    for path, line in broken.items():
        assert f"{path.relative_to(project)}:{line}: " in ran.stdout
    assert contents(project) == before
    assert not (project / ".hypervisor" / "ledger.db").exists()


def test_a_real_triage_changes_only_what_it_says_and_undo_brings_back_every_byte(
    backlog, project, run_hypervisor
):
    before = contents(project)
    ran = run_hypervisor("triage", "data", "data/backlog/archive", "--json")
    assert ran.returncode == 0, ran.stderr
    told = {
        project / worker["path"]: worker.get("changes", [])
        for worker in json.loads(ran.stdout)["workers"]
    }
    after = contents(project)
    assert after.keys() == before.keys()
    changed = {path for path in before if before[path] != after[path]}
    assert changed == {path for path, changes in told.items() if changes}
    assert changed
    for path in changed:
        check_only_the_assignee_changed(before[path], after[path], told[path])
    undone = run_hypervisor("undo", "triage")
    assert undone.returncode == 0, undone.stderr
    assert f"{len(changed)} files restored" in undone.stdout
    assert contents(project) == before


def check_only_the_assignee_changed(before: bytes, after: bytes, changes: list[str]) -> None:
    (change,) = changes
    who = re.fullmatch(r"assignee->(nic|bot)", change)
    assert who is not None
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    added = [line for line in new if line not in old]
    (line,) = added
    assert line.rstrip() == f"assignee: [{who[1]}]".encode()
    rest = [line for line in new if line not in added]
    assert rest == [line for line in old if not re.match(rb"assignee:\s*(\[\])?\s*$", line)]


def test_a_second_run_changes_no_byte(backlog, project, run_hypervisor):
    assert run_hypervisor("triage", "data").returncode == 0
    before = {path: (raw, path.stat().st_mtime_ns) for path, raw in contents(project).items()}
    assert run_hypervisor("triage", "data").returncode == 0
    after = {path: (raw, path.stat().st_mtime_ns) for path, raw in contents(project).items()}
    assert after == before
    diff = run_hypervisor("triage", "data", "--dry-run").stdout
    assert "dry run: 0 files would change" in diff


def test_a_dry_run_shows_a_diff_and_the_rule_for_each_file(write_tasks, run_hypervisor, project):
    write_tasks(1)
    (project / "tasks" / "closed.md").write_text(
        "---\nid: c\ntitle: C\nstatus: active\n---\n\n## Close Reason\n\nx\n"
    )
    out = run_hypervisor("triage", "tasks", "--dry-run").stdout
    assert "tasks/t-00000.md: assign:bot (rule: automatable words 'Fix the bug')" in out
    assert "+assignee: bot\n" in out
    assert "+Project: [[garden]]\n" in out
    assert "tasks/closed.md: close (rule: heading '## Close Reason')" in out
    assert "-status: active\n+status: done\n" in out
    assert "dry run: 2 files would change, 0 would not, 0 can't be triaged" in out


def test_a_diff_can_neither_colour_nor_move_the_cursor(project, run_hypervisor):
    text = "---\nid: c\nstatus: open\n# \u202e note\n---\nFix the \u009bbug\n"
    (project / "x.md").write_text(text)
    out = run_hypervisor("triage", "x.md", "--dry-run").stdout
    assert "+assignee: " in out
    assert "\u202e" not in out
    assert "\u009b" not in out


def test_where_there_are_no_tasks_no_queue_is_opened(project, run_hypervisor):
    (project / "empty").mkdir()
    ran = run_hypervisor("triage", "empty")
    assert ran.returncode == 3
    assert "no queue was opened: there are no tasks" in ran.stderr
    assert not (project / ".hypervisor" / "ledger.db").exists()


def test_undo_of_one_item_leaves_the_others_and_edits_made_since(
    write_tasks, run_hypervisor, project
):
    paths = write_tasks(3)
    before = [path.read_bytes() for path in paths]
    assert run_hypervisor("triage", "tasks").returncode == 0
    assert run_hypervisor("undo", "triage", "t-00001").returncode == 0
    assert paths[1].read_bytes() == before[1]
    assert paths[0].read_bytes() != before[0]
    paths[2].write_text("mine now\n")
    ran = run_hypervisor("undo", "triage")
    assert ran.returncode == 1
    assert "tasks/t-00002.md: edited since" in ran.stdout
    assert paths[2].read_text() == "mine now\n"
    assert paths[0].read_bytes() == before[0]


def test_undo_of_what_never_was_says_so(write_tasks, project, run_hypervisor):
    ran = run_hypervisor("undo", "nothing")
    assert ran.returncode == 2
    assert "no queue was ever opened here" in ran.stderr
    write_tasks(1)
    assert run_hypervisor("triage", "tasks").returncode == 0
    ran = run_hypervisor("undo", "nothing")
    assert ran.returncode == 2
    assert "no queue 'nothing'" in ran.stderr
    assert "queues here: triage" in ran.stderr


@pytest.mark.parametrize("words", [("--workers", "0"), ("--batch", "0"), ("--workers", "1000")])
def test_odd_numbers_are_refused(write_tasks, run_hypervisor, words):
    write_tasks(1)
    assert run_hypervisor("triage", "tasks", *words).returncode == 2


def test_triage_exits_1_if_an_item_failed_or_a_source_cant_be_read(
    write_tasks, run_hypervisor, project
):
    paths = write_tasks(3)
    assert run_hypervisor("triage", "tasks", "no/such/folder").returncode == 1
    # Neither can be written in place: of a comment, and of what stands for it elsewhere.
    paths[0].write_text("---\nid: t-00000\nstatus: active\nassignee:  # who?\n  # ask\n---\n")
    paths[1].write_text("---\nid: t-00001\nstatus: &s a\nsame: *s\nclose_reason: x\n---\n")
    ran = run_hypervisor("triage", "tasks")
    assert ran.returncode == 1, ran.stdout
    assert "failed (1)" in ran.stdout


def test_a_second_command_goes_on_after_an_interrupt(write_tasks, project):
    paths = write_tasks(600)
    command = [REPO / "bin" / "hypervisor", "triage", "tasks", "--workers", "2", "--batch", "5"]
    running = subprocess.Popen(
        command, cwd=project, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not any("assignee" in path.read_text() for path in paths[:20] + paths[-20:]):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGINT)
    out, _ = running.communicate(timeout=120)
    assert running.returncode == 1
    assert "the same command goes on" in out
    undone = [path for path in paths if "assignee" not in path.read_text()]
    assert undone
    ran = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
    assert all("assignee: bot" in path.read_text() for path in paths)
    assert "600 items: 600 done" in ran.stdout


def test_children_are_known_to_the_complexity_rules(project, run_hypervisor):
    (project / "hypervisor.toml").write_text("[triage]\ncomplexity = true\n")
    for name, more in (("full", ""), ("empty", ""), ("child", "parent: full\n")):
        kind = "task" if name == "child" else "epic"
        text = f"---\nid: {name}\ntitle: T\ntype: {kind}\nstatus: active\n{more}---\n"
        (project / f"{name}.md").write_text(text)
    assert run_hypervisor("triage", "full.md", "empty.md").returncode == 0
    assert "complexity: multi-step" in (project / "full.md").read_text()
    assert "complexity: needs-decomposition" in (project / "empty.md").read_text()
