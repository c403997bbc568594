"""Pools of the real Codex CLI on a queue."""

from __future__ import annotations

import pytest

from e2e.codex_model import CodexModel
from e2e.pools import PoolMachine, by_the_prompt

pytestmark = pytest.mark.e2e

KEY = "dummy-key-of-a-test"


def test_codex_processes_drain_24_tasks_each_once_and_tokens_are_exact(
    codex: PoolMachine, codex_model: CodexModel
) -> None:
    tasks = codex.tasks(24)
    codex.open()
    codex_model.main = by_the_prompt(caller="codex")
    ran = codex.work("codex", "--workers", "3", "--items-per-agent", "8")
    assert ran.returncode == 0, ran.stdout + ran.stderr + codex.logs() + codex.logs(".err")
    told = codex.summary()
    assert told["counts"]["success"] == 24, told
    for path in tasks:
        body = path.read_text()
        assert body.count("## Completion report") == 1 and f"did {path.stem}" in body
    completed = [use for r in codex_model.requests for use in r.conversation.tool_uses[-1:]
                 if use.name.endswith("complete_task")]  # fmt: skip
    assert sorted(use.input["id"] for use in completed) == [path.stem for path in tasks]
    assert (told["total_tokens"], told["tokens_exact"]) == (codex_model.tokens().total, True)
    per_item = [sum(worker["tokens"].values()) for worker in told["workers"]]
    assert all(per_item) and sum(per_item) + told["overhead_tokens"] == told["total_tokens"]
    # Nobody's key is kept anywhere, and nothing of the agents is left.
    kept = [path for path in codex.project.rglob("*") if path.is_file()]
    assert not [path for path in kept if KEY.encode() in path.read_bytes()]
    assert list(codex.tmp.glob("hypervisor-pool-*")) == []
