"""Pools that are killed in the middle of their work, with the real clients."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from agents.pool.support import eventually
from e2e.answers import Answer, slow, text
from e2e.codex_model import CodexModel
from e2e.gemini_model import GeminiConversation, GeminiModel
from e2e.pools import PoolMachine, by_the_prompt, claimed
from hypervisor.system import killing

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("what", ["pool", "everything"])
@pytest.mark.parametrize("agent", ["gemini", "codex"])
def test_killed_in_the_middle_nothing_is_lost_and_nothing_is_done_twice(
    what: str, agent: str, request: pytest.FixtureRequest
) -> None:
    machine: PoolMachine = request.getfixturevalue({"gemini": "machine"}.get(agent, agent))
    model: GeminiModel | CodexModel = request.getfixturevalue(f"{agent}_model")
    tasks = machine.tasks(8)
    machine.open()
    ended: list[str] = []
    steady = by_the_prompt(caller=agent)

    def script(c: GeminiConversation) -> Answer:
        task = claimed(c)
        if task and len(ended) < 3:
            ended.append(task)
            return slow(0.2, steady(c))
        return slow(60, text("never")) if task else steady(c)

    model.main = script
    started = machine.start(agent, "--workers", "2")
    eventually(lambda: len(ended) == 3, "three have been in work", 150)
    time.sleep(1)
    started.send_signal(signal.SIGKILL)
    started.wait()
    if what == "everything":
        killing.kill_marked("HOME", str(machine.user))
    [session] = machine.pools()
    eventually(lambda: not killing.marked("HYPERVISOR_POOL", session), "its agents are gone", 60)
    model.main = steady
    before = len(model.requests)
    ran = machine.work(agent, "--workers", "2")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = machine.summary()
    assert told["counts"]["success"] == 8
    assert sum(worker["attempts"] + worker["deaths"] for worker in told["workers"]) == 0
    for path in tasks:
        assert path.read_text().count("## Completion report") == 1
    last = [use for r in model.requests[before:] for use in r.conversation.tool_uses[-1:]]
    redone = [use.input["id"] for use in last if use.name.endswith("complete_task")]
    assert len(redone) == len(set(redone)) >= 5
    assert not Path(machine.tmp / f"hypervisor-{session}").exists()
