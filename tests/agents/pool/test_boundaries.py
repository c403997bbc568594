"""What workers may change: the files that their task names, and never what steers the next run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.pool.support import items, lay_out, script
from hypervisor.worker.scope import names
from worker.support import open_queue, write_task

Run = Callable[..., subprocess.CompletedProcess[str]]
WORK = ("work", "q", "--agent", "command")


@pytest.mark.parametrize(
    "planted",
    ["CLAUDE.md", ".claude/settings.json", ".gemini/settings.json", ".mcp.json", "hypervisor.toml",
     ".git/hooks/post-checkout", ".git/config", "tasks/AGENTS.md"],
)  # fmt: skip
def test_a_command_that_plants_what_runs_next_is_found_out(
    planted: str, project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 2)
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    plant = script(
        project, f'[ "$1" = t-001 ] || exit 0\nmkdir -p "$(dirname {planted})"; echo x >>{planted}'
    )
    run_hypervisor(*WORK, "--", plant, "{id}")
    found = items(project)
    assert found["t-002"].state == "done"
    assert found["t-001"].state == "blocked"
    assert planted in found["t-001"].report["reason"]


def test_where_two_commands_ran_when_one_was_planted_nobody_is_charged_and_the_queue_is_paused(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 3)
    both = script(project, """touch "../$1"
until [ -e ../t-001 ] && [ -e ../t-002 ]; do sleep 0.02; done
[ $1 = t-001 ] || until [ -e .envrc ]; do sleep 0.02; done
[ $1 = t-002 ] || echo 'curl x' >.envrc""")  # fmt: skip
    ran = run_hypervisor(*WORK, "--workers", "2", "--", both, "{id}")
    found = items(project)
    assert {item.state for item in found.values()} == {"ready"}, ran.stdout + ran.stderr
    assert not any(item.attempts or item.deaths for item in found.values())
    told = run_hypervisor("status", "q").stdout
    assert "paused" in told and ".envrc" in told


def test_a_check_that_is_set_never_runs_behind_what_was_planted(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 1, verify="touch ran")
    run_hypervisor(*WORK, "--", script(project, "echo 'script-shell=./x' >.npmrc"))
    assert items(project)["t-001"].state == "blocked" and not (project / "ran").exists()


@pytest.mark.parametrize("with_git", [True, False])
def test_done_is_refused_for_files_that_the_task_does_not_name(
    with_git: bool, project: Path, run_hypervisor: Run
) -> None:
    (project / "src").mkdir()
    for name in ("a.py", "b.py", "dirty.py"):
        (project / "src" / name).write_text("old\n")
    write_task(project, "t-1", body="# {title}\n\nMend `src/a.py`.\n")
    if with_git:
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
            git = ["git", "-c", "user.name=x", "-c", "user.email=x@x", *words]
            subprocess.run(git, cwd=project, check=True)
    (project / "src/dirty.py").write_text("edited by somebody before\n")
    open_queue(project, scope="named")
    token = run_hypervisor("next", "q").stdout.split()[1]
    (project / "src/a.py").write_text("mended\n")
    (project / "src/b.py").write_text("changed too\n")
    (project / "notes.txt").write_text("new\n")
    ended = ("done", token, "--summary", "mended it")
    ran = run_hypervisor(*ended)
    assert ran.returncode == 1
    assert "not named by the task: notes.txt, src/b.py\nhint: restore them" in ran.stderr
    if with_git:
        git = ["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]
        subprocess.run([*git, "src/b.py"], cwd=project, check=True)
        assert "src/b.py" in run_hypervisor(*ended).stderr
        subprocess.run(["git", "checkout", "-q", "HEAD~1", "src/b.py"], cwd=project, check=True)
        subprocess.run([*git, "src/b.py"], cwd=project, check=True)
        (project / "notes.txt").unlink()
        assert run_hypervisor(*ended).returncode == 0
        assert list((project / ".hypervisor/scope").iterdir()) == []


def test_workers_beside_each_other_are_not_charged_with_each_other_s_files(
    project: Path, run_hypervisor: Run
) -> None:
    for number in range(1, 5):
        write_task(project, f"t-{number}", body=f"# {{title}}\n\nWrite out/{number}.txt.\n")
    (project / "out").mkdir()
    open_queue(project, scope="named")
    write = script(project, """n=${1#t-}; echo $n >out/$n.txt; [ $n != 4 ] || exit 0
until [ -e out/1.txt ] && [ -e out/2.txt ] && [ -e out/3.txt ]; do sleep 0.02; done
[ $n != 3 ] || : >out/stray.txt
until [ -e out/stray.txt ]; do sleep 0.02; done""")  # fmt: skip
    # The stray file is born whole: what was written to it later would be t-4's, too.
    run_hypervisor(*WORK, "--workers", "3", "--", write, "{id}")
    found = items(project)
    stray = [name for name, item in found.items() if item.state == "blocked"]
    # Who of those that were at work then has done it can't be told; t-4 came later.
    assert stray == ["t-1", "t-2", "t-3"]
    for name in stray:
        reason = found[name].report["reason"]
        assert reason == "changed, but not named by the task: out/stray.txt"


def test_without_git_a_file_that_the_task_does_not_name_is_found_though_its_time_is_kept(
    project: Path, run_hypervisor: Run
) -> None:
    import os

    (project / "b.txt").write_text("old1\n")
    write_task(project, "t-1", body="# {title}\n\nMend a.txt.\n")
    open_queue(project, scope="named")
    token = run_hypervisor("next", "q").stdout.split()[1]
    before = (project / "b.txt").stat()
    (project / "b.txt").write_text("new2\n")
    os.utime(project / "b.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    ran = run_hypervisor("done", token, "--summary", "x")
    assert ran.returncode == 1 and "not named by the task: b.txt" in ran.stderr


@pytest.mark.parametrize("with_git", [True, False])
def test_a_file_that_we_are_just_writing_is_charged_to_nobody(
    project: Path, run_hypervisor: Run, with_git: bool
) -> None:
    if with_git:
        subprocess.run(["git", "init", "--quiet", project], check=True)
    write_task(project, "t-1", body="# {title}\n\nMend a.txt.\n")
    open_queue(project, scope="named")
    token = run_hypervisor("next", "q").stdout.split()[1]
    (project / "tasks/.hypervisor-0123456789abcdef.tmp").touch()
    ran = run_hypervisor("done", token, "--summary", "x")
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("text", "path", "named"),
    [
        ("see `src/a.py`.", "src/a.py", True),
        ("see ./src/a.py, then stop", "src/a.py", True),
        ("all of src/ is meant", "src/deep/a.py", True),
        ("all of src/*.py", "src/a.py", True),
        ("see lib/src/a.py", "src/a.py", False),
        ("see src/a.pyc", "src/a.py", False),
        ("see src/a.py/x", "src/a.py", False),
        ("see src/other.py", "src/a.py", False),
        ("a.py", "src/a.py", False),
    ],
)
def test_what_a_task_names(text: str, path: str, named: bool) -> None:
    assert names(text, path) is named
