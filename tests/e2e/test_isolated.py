"""Workers in worktrees of their own, which the real client makes."""

from __future__ import annotations

import os
import subprocess

import pytest

from .answers import bash, spawn, text
from .queue_scripts import REPOSITORY, claim_of, done, hypervisor, lay_out, summary

pytestmark = [pytest.mark.e2e, pytest.mark.newest_client]


def _git(folder, *words):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode()


def test_workers_in_worktrees_of_the_client_commit_on_branches_that_are_merged(
    workspace, model, home
):
    project = workspace.project
    tasks = lay_out(project / "tasks", 9)
    _git(project, "init", "--quiet", "-b", "main")
    _git(project, "config", "user.name", "t")
    _git(project, "config", "user.email", "t@example.org")
    _git(project, "add", "tasks")
    _git(project, "commit", "--quiet", "-m", "first")

    def main(c):
        if not c.used("Bash"):
            return bash("hypervisor open inbox tasks")
        if not c.used("Agent"):
            return [spawn("hypervisor:worker-isolated", "queue inbox") for _ in range(3)]
        if "hypervisor wait" in c.last and "has drained" not in c.last:
            return bash("hypervisor wait inbox --timeout 20")
        return text("heard: " + c.last[-300:])

    def worker(c):
        if not c.tool_uses:
            return bash("hypervisor next inbox --here")
        if c.last.startswith("wrote "):
            token, item = c.last.split()[1:3]
            return done(token, item)
        claim = claim_of(c)
        if claim is None:
            return text("ended my items")
        token, item = claim
        return bash(f"pwd >{item}.txt; echo wrote {token} {item}")

    model.main, model.worker = main, worker
    run = workspace.run(
        "/hypervisor tasks",
        mode="bypassPermissions",
        plugins=[REPOSITORY],
        env={"HYPERVISOR_HOME": home},
    )
    assert run.rc == 0, run.stderr
    told = summary(project, "inbox", home=home)
    assert told["counts"]["success"] == 9, told
    assert not list(project.glob("demo-*.txt"))
    merged = hypervisor(project, "integrate", "inbox", home=home)
    assert merged.returncode == 0, merged.stderr
    places = {(project / f"{path.stem}.txt").read_text().strip() for path in tasks}
    assert all(place.startswith(f"{project}/.claude/worktrees/agent-") for place in places)
    assert len(places) >= 2
    for path in tasks:
        assert path.read_text().count("## Completion report") == 1
    assert _git(project, "for-each-ref", "refs/heads/hypervisor/") == ""
    # The client found its worktrees as it had made them, and removed them.
    left = project / ".claude" / "worktrees"
    assert not left.exists() or os.listdir(left) == []
