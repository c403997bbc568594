"""A pool of commands, each item on a branch and in a working tree of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.pool.support import counts, items, script
from worker.branches import support
from worker.branches.support import WHO, git
from worker.support import reports

pytestmark = pytest.mark.usefixtures("identity")
Run = Callable[..., subprocess.CompletedProcess[str]]
WORK = ("work", "q", "--agent", "command", "--branch")


@pytest.mark.parametrize("verify", [None, 'test -s "$HYPERVISOR_ID.txt"'])
def test_commands_at_once_work_in_trees_of_their_own_and_all_accepted_work_is_merged(
    verify: str | None, project: Path, run_hypervisor: Run
) -> None:
    support.lay_out(project, 8, verify=verify)
    do = script(project, 'test -f "$1" && pwd >"$HYPERVISOR_ID.txt" && ls *.txt | wc -l >count')
    ran = run_hypervisor(*WORK, "--workers", "4", "--", do, "{path}")
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert counts(project) == {"done": 8}
    assert git(project, "status", "--porcelain") == ""
    assert all(item.report["commit"] for item in items(project).values())
    told = run_hypervisor("integrate", "q")
    assert told.returncode == 0, told.stderr
    trees = {(project / f"t{n}.txt").read_text() for n in range(8)}
    assert len(trees) == 8 and all("/.hypervisor/worktrees/" in tree for tree in trees)
    assert (project / "count").read_text().strip() == "1"
    assert [reports(project / "tasks" / f"t{n}.md") for n in range(8)] == [1] * 8
    assert support.trees(project) == [] and support.branches(project) == []


def test_what_steers_the_next_run_is_found_in_the_tree_too(
    project: Path, run_hypervisor: Run
) -> None:
    support.lay_out(project, 1)
    ran = run_hypervisor(*WORK, "--", script(project, "echo obey >CLAUDE.md"))
    assert ran.returncode == 1, ran.stderr
    assert counts(project) == {"blocked": 1}
    assert "CLAUDE.md" in items(project)["t0"].report["reason"]
    run_hypervisor("integrate", "q")
    assert not (project / "CLAUDE.md").exists()


def test_where_there_is_no_repository_the_pool_says_so_and_nothing_stays_claimed(
    project: Path, run_hypervisor: Run
) -> None:
    from agents.pool.support import lay_out

    lay_out(project, 2)
    ran = run_hypervisor(*WORK, "--", "true")
    assert ran.returncode == 1
    assert "work on branches needs a git working tree" in ran.stdout
    assert counts(project) == {"ready": 2}
    ran = run_hypervisor("work", "q", "--agent", "gemini", "--branch")
    assert ran.returncode == 2 and "--agent claude, codex, command\n" in ran.stderr


CLAUDE = """#!/bin/sh
# As the client: takes an item, ends it, says how that went.
[ "$1" = --version ] && { echo "2.1.332 (Claude Code)"; exit; }
cat >/dev/null
hypervisor next q --here >"$TMPDIR/next" 2>&1
token=$(sed -n 's/^claim //p' "$TMPDIR/next")
if [ -n "$token" ]; then echo x >"$token.txt"; hypervisor done "$token" --summary ok >/dev/null; fi
echo '{"type":"result","subtype":"success","is_error":false,"result":"end","num_turns":1}'
"""


@pytest.fixture
def claude(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project.parent / "client"
    folder.mkdir()
    (folder / "claude").write_text(CLAUDE)
    (folder / "claude").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "dummy")


@pytest.mark.parametrize("how", ["variables", "file"])
def test_an_identity_that_only_the_environment_tells_reaches_agents(
    how: str, claude: None, project: Path, run_hypervisor: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    support.lay_out(project, 2)
    git(project, "config", "user.useConfigOnly", "true")
    if how == "file":
        for name in WHO:
            monkeypatch.delenv(name)
        mine = project.parent / "mine"
        mine.write_text("[user]\nname = B\nemail = b@example.org\n")
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(mine))
    ran = run_hypervisor("work", "q", "--agent", "claude", "--branch", "--items-per-agent", "1")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert counts(project) == {"done": 2}
    authors = git(project, "log", "--all", "--format=%an", "--grep=Hypervisor-Claim").split()
    assert authors == (["A", "A"] if how == "variables" else ["B", "B"])


def test_a_pool_whose_agents_nobody_could_commit_for_stops_with_the_cause(
    claude: None, project: Path, run_hypervisor: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    support.lay_out(project, 2)
    git(project, "config", "user.useConfigOnly", "true")
    for name in WHO:
        monkeypatch.delenv(name)
    ran = run_hypervisor("work", "q", "--agent", "claude", "--branch", "--items-per-agent", "1")
    assert ran.returncode == 1 and "git config user.name" in ran.stdout
    assert counts(project) == {"ready": 2}


def test_an_agent_that_can_not_begin_an_item_stops_its_queue_and_costs_nothing(
    project: Path, run_hypervisor: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    support.lay_out(project, 2)
    git(project, "config", "user.useConfigOnly", "true")
    for name in WHO:
        monkeypatch.delenv(name)
    agent: dict[str, str | None] = {"HYPERVISOR_POOL": "pool-x", "HYPERVISOR_AGENT": "claude-x-1"}
    ran = run_hypervisor("next", "q", "--branch", env=agent)
    assert ran.returncode == 1 and "git config user.name" in ran.stderr
    again = run_hypervisor("next", "q", "--branch", env=agent)
    assert "queue paused" in again.stdout and "claim" not in again.stdout
    assert {row["deaths"] + row["attempts"] for row in support.rows(project).values()} == {0}


def test_an_agent_that_git_makes_no_tree_for_stops_its_queue_too(
    project: Path, run_hypervisor: Run
) -> None:
    support.lay_out(project, 2)
    # A name that is taken: no branch below it can be made.
    git(project, "branch", "hypervisor")
    agent: dict[str, str | None] = {"HYPERVISOR_POOL": "pool-x", "HYPERVISOR_AGENT": "claude-x-1"}
    assert run_hypervisor("next", "q", "--branch", env=agent).returncode == 1
    assert "queue paused" in run_hypervisor("next", "q", "--branch", env=agent).stdout
    assert counts(project) == {"ready": 2}
