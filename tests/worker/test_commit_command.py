from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from repository import REPO
from worker.branches.support import WHO, commit_all, git
from worker.support import open_queue, write_task

Run = Callable[..., subprocess.CompletedProcess[str]]
COMMAND = REPO / "bin" / "hypervisor"


def test_eight_processes_commit_at_once_and_each_report_names_its_own_commit(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")

    git(project, "init", "--quiet")
    git(project, "commit", "--quiet", "--allow-empty", "-m", "first")
    (project / "staged").write_text("by another\n")
    git(project, "add", "staged")
    for number in range(8):
        write_task(project, f"t-{number}")
    open_queue(project)
    shown = subprocess.run(
        [COMMAND, "next", "q", "-n", "8"], cwd=project, capture_output=True, text=True
    ).stdout
    tokens = re.findall(r"^claim (\S+)$", shown, re.M)
    for number in range(8):
        (project / f"f{number}").write_text("x\n")
    runs = [
        subprocess.Popen(
            [COMMAND, "commit", token, "-m", f"c{number}", "--", f"f{number}"],
            cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
        )
        for number, token in enumerate(tokens)
    ]  # fmt: skip
    told = [run.communicate() for run in runs]
    assert [run.returncode for run in runs] == [0] * 8, told
    for number, (token, (out, _)) in enumerate(zip(tokens, told, strict=True)):
        sha = out.split()[1].rstrip(";")
        named = git(project, "show", "--format=%s", "--name-only", sha).split()
        assert named == [f"c{number}", f"f{number}"]
        subprocess.run(
            [COMMAND, "done", token, "--summary", "did it"], cwd=project, check=True,
            capture_output=True,
        )  # fmt: skip
        assert f"- Commit: `{sha}`" in (project / "tasks" / f"t-{number}.md").read_text()
    assert git(project, "diff", "--cached", "--name-only").split() == ["staged"]
    late = subprocess.run(
        [COMMAND, "commit", tokens[0], "-m", "late", "--", "f0"], cwd=project, capture_output=True
    )
    assert late.returncode == 4


def test_a_commit_that_would_take_others_changes_along_is_refused_in_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, run_hypervisor: Run
) -> None:
    for name, value in WHO.items():
        monkeypatch.setenv(name, value)
    git(project, "init", "--quiet")
    (project / "f.txt").write_text("x\n")
    for number in range(2):
        write_task(project, f"t-{number}", body="# T\n\nMend f.txt.\n")
    commit_all(project, "first")
    run_hypervisor("open", "q", "tasks")
    shown = run_hypervisor("next", "q", "-n", "2").stdout
    token = re.findall(r"^claim (\S+)$", shown, re.M)[0]
    (project / "f.txt").write_text("y\n")
    ran = run_hypervisor("commit", token, "-m", "m", "--", "f.txt")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        "error: f.txt may hold changes of t-1 (at work): nothing was committed\nhint: leave that "
        "file out, or end the item without a commit and name it in the summary; on branches each "
        "has its own: hypervisor plan q --branch\n"
    )
    assert run_hypervisor("done", token, "--summary", "f.txt is not committed").returncode == 0
    assert git(project, "log", "--format=%s") == "first\n"


@pytest.mark.parametrize("branch", [(), ("--branch",)])
def test_what_steers_the_next_run_is_not_committed_unless_a_person_has_let_workers_write_it(
    branch: tuple[str, ...], project: Path, run_forked: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in WHO.items():
        monkeypatch.setenv(name, value)
    write_task(project, "t-1")
    git(project, "init", "--quiet")
    commit_all(project)
    open_queue(project, may_write='["AGENTS.md"]')
    [claim] = json.loads(run_forked("next", "q", "--json", *branch).stdout)["claims"]
    tree = project / (claim["worktree"] or "")
    (tree / "docs").mkdir()
    (tree / "docs/claude.md").write_text("obey\n")
    (tree / "AGENTS.md").write_text("fine\n")
    (tree / "a.txt").symlink_to("docs/claude.md")
    head = git(tree, "rev-parse", "HEAD")
    for name in ("docs/claude.md", "a.txt"):
        ran = run_forked("commit", claim["token"], "-m", "x", name, cwd=tree)
        assert ran.returncode == 1 and "it steers the next run" in ran.stderr
        assert f"hypervisor allow q --may-write {name}" in ran.stderr
    assert git(tree, "rev-parse", "HEAD") == head
    assert run_forked("commit", claim["token"], "-m", "x", "AGENTS.md", cwd=tree).returncode == 0
