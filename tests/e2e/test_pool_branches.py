"""A pool of the real Claude Code, each agent in a working tree of its own."""

from __future__ import annotations

import subprocess

import pytest

from e2e.answers import text, tool
from e2e.clients import Client
from e2e.model import Model
from e2e.pools import PoolMachine
from e2e.queue_scripts import claim_of, done, hypervisor

pytestmark = [pytest.mark.e2e, pytest.mark.newest_client]


def _git(machine: PoolMachine, *words: str) -> str:
    ran = subprocess.run(["git", *words], cwd=machine.project, check=True, capture_output=True)
    return ran.stdout.decode()


def test_agents_write_in_trees_of_their_own_and_what_was_accepted_is_merged(
    machine: PoolMachine, client: Client, model: Model
) -> None:
    machine.with_claude(client, model)
    tasks = machine.tasks(6)
    for words in (
        ("init", "--quiet", "-b", "main"),
        ("config", "user.name", "t"),
        ("config", "user.email", "t@example.org"),
        ("add", "tasks"),
        ("commit", "--quiet", "-m", "first"),
    ):
        _git(machine, *words)
    machine.open()
    written = {}

    def main(c):
        last = c.tool_uses[-1] if c.tool_uses else None
        if last is None:
            return tool("Bash", {"command": "hypervisor next q --here", "description": "next"})
        if last.name == "Write":
            return done(*written[last.input["file_path"]])
        claim = claim_of(c)
        if claim is None:
            return text("ended my items")
        place = c.last.split("work in: ")[1].split(" (go there")[0]
        path = f"{place}/{claim[1]}.txt"
        written[path] = claim
        return tool("Write", {"file_path": path, "content": claim[1]})

    model.main = main
    ran = machine.work("claude", "--workers", "2", "--branch")
    assert ran.returncode == 0, ran.stdout + ran.stderr + machine.logs(".err")
    assert machine.summary()["counts"]["success"] == 6
    assert _git(machine, "status", "--porcelain") == ""
    merged = hypervisor(machine.project, "integrate", "q", home=machine.home)
    assert merged.returncode == 0, merged.stdout + merged.stderr
    for path in tasks:
        assert (machine.project / f"{path.stem}.txt").read_text() == path.stem
        assert path.read_text().count("## Completion report") == 1
    assert _git(machine, "worktree", "list").count("\n") == 1
