"""Pools that are killed in the middle of their work, with the real clients."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.pool.support import eventually
from e2e.answers import Answer, slow, text
from e2e.codex_model import CodexModel
from e2e.conversation import Conversation
from e2e.gemini_model import GeminiModel
from e2e.model import Model
from e2e.pools import PoolMachine, by_the_prompt, claimed
from e2e.queue_scripts import claim_of, to_the_end
from hypervisor.ledger import Ledger
from hypervisor.system import killing

pytestmark = pytest.mark.e2e

POOL_AND_EVERYTHING = pytest.mark.parametrize("what", ["pool", "everything"])


@POOL_AND_EVERYTHING
@pytest.mark.parametrize("agent", ["gemini", "codex"])
def test_killed_in_the_middle_nothing_is_lost_and_nothing_is_done_twice(
    what: str, agent: str, request: pytest.FixtureRequest
) -> None:
    machine: PoolMachine = request.getfixturevalue({"gemini": "machine"}.get(agent, agent))
    model: GeminiModel | CodexModel = request.getfixturevalue(f"{agent}_model")
    _killed_in_the_middle(machine, model, agent, what, by_the_prompt(caller=agent), claimed)


@POOL_AND_EVERYTHING
@pytest.mark.newest_client
def test_claude_killed_in_the_middle_nothing_is_lost_and_nothing_is_done_twice(
    what: str, claude: PoolMachine, model: Model
) -> None:
    def taken(c: Conversation) -> str | None:
        claim = claim_of(c) if c.tool_uses else None
        return claim and claim[1]

    _killed_in_the_middle(claude, model, "claude", what, to_the_end, taken)


def _killed_in_the_middle(
    machine: PoolMachine,
    model: Model | GeminiModel | CodexModel,
    agent: str,
    what: str,
    steady: Callable[[Any], Answer],
    taken: Callable[[Any], str | None],
) -> None:
    """Kill the pool, and everything where `what` says so, once three of eight tasks are done."""
    tasks = machine.tasks(8)
    machine.open()
    ended: list[str] = []

    def script(c: Any) -> Answer:
        task = taken(c)
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
    ran = machine.work(agent, "--workers", "2")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = machine.summary()
    assert told["counts"]["success"] == 8
    assert sum(worker["attempts"] + worker["deaths"] for worker in told["workers"]) == 0
    for path in tasks:
        assert path.read_text().count("## Completion report") == 1
    with Ledger.open(str(machine.project)) as ledger:
        ends = "select i.id from claim c join item i on i.no = c.item where c.outcome = 'done'"
        done = [row["id"] for row in ledger.store.rows(ends).fetchall()]
    assert sorted(done) == sorted(path.stem for path in tasks)
    assert not Path(machine.tmp / f"hypervisor-{session}").exists()
