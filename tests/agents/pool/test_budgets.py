"""Pools look at what their agents use as often as the client tells that it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.pool.support import items, lay_out
from hypervisor import worker
from hypervisor.agents import client
from hypervisor.agents.command.client import Command
from hypervisor.agents.pool.launch import View
from hypervisor.agents.pool.pool import Pool
from hypervisor.ledger import Claim, Ledger


class Spender(client.Headless):
    """A client that takes an item and spends a dollar on it, and then another, for ever."""

    name = "spender"
    model: str | None = "claude-haiku-4-5"

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def start(self, place: client.Place, claim: Claim | None = None) -> client.Start:
        [item] = worker.take(self._ledger, "q", place.agent.name, agent=place.agent)
        result = {"type": "tool_result", "content": f"claim {item.token}\nitem: {item.id}"}
        used = {"input_tokens": 0, "output_tokens": 200_000}
        rows: list[dict[str, Any]] = [
            {"type": "user", "message": {"role": "user", "content": [result]}},
            {"type": "assistant", "message": {"id": "m", "model": self.model, "usage": used}},
        ]
        (place.folder / "rows").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return client.Start(
            ["sh", "-c", "while sleep 0.1; do echo; done"], {"PATH": "/usr/bin:/bin"}
        )

    def stream(self, place: client.Place) -> client.Stream:
        return Counting()

    def transcript(self, place: client.Place, stream: client.Stream) -> str | None:
        return str(place.folder / "rows")


class Counting(client.Stream):
    """Takes each line for word of more use."""

    def feed(self, line: str) -> None:
        self.usages += 1

    def end(self, code: int) -> client.End:
        return client.End("finished")


def run(root: Path, **limits: Any) -> str:
    """Have two spenders work off the queue within limits; return why the pool ended."""
    lay_out(root, 2, max_attempts=1, **limits)
    with Ledger.open(str(root)) as ledger:
        spender = Spender(ledger)
        return Pool(ledger, "q", spender, workers=2, items_each=1, seconds=60).run()


def test_a_pool_ends_its_agents_once_the_budget_is_used_up_and_their_items_are_free(
    project: Path,
) -> None:
    assert run(project, budget={"usd": 1.5}) == "paused"
    with Ledger.open(str(project)) as ledger:
        assert ledger.queues.get("q").reason == "its budget of $1.50 is used up: $2.00"
    told = items(project).values()
    assert [(one.state, one.attempts, one.deaths) for one in told] == [("ready", 0, 0)] * 2


class Climber(Spender):
    """A client that reports each item as failed, but for that of the highest rung."""

    def __init__(self, ledger: Ledger, model: str) -> None:
        super().__init__(ledger)
        self.model = model

    def start(self, place: client.Place, claim: Claim | None = None) -> client.Start:
        [item] = worker.take(self._ledger, "q", place.agent.name, agent=place.agent)
        end = ("done", {"summary": "x"}) if self.model == "large" else ("failed", {"reason": "x"})
        worker.finish(self._ledger, item.token, *end, agent=place.agent)
        return client.Start(["true"], {"PATH": "/usr/bin:/bin"})

    def transcript(self, place: client.Place, stream: client.Stream) -> str | None:
        return None


def test_a_pool_starts_agents_of_the_rung_for_which_items_wait(project: Path) -> None:
    lay_out(project, 2, ladder="small,large", max_attempts=2)
    with Ledger.open(str(project)) as ledger:
        rungs = [Climber(ledger, name) for name in ("small", "large")]
        pool = Pool(
            ledger, "q", rungs[0], workers=1, items_each=1, seconds=60, rungs=rungs, branch=False
        )
        assert pool.run() == "drained"
        claims = [one for item in (1, 2) for one in ledger.queries.claims_on(item)]
    assert [(one.rung, one.outcome) for one in claims] == [(0, "failed"), (1, "done")] * 2
    # What has climbed is not left behind what has not: nobody starves.
    ids = [one.id for one in sorted(claims, key=lambda one: one.no)]
    assert ids[0] == ids[1] != ids[2] == ids[3]


def test_pools_of_two_clients_each_work_on_their_own_rung(project: Path) -> None:
    lay_out(project, 2, ladder="claude:small,codex:large", max_attempts=2)
    with Ledger.open(str(project)) as ledger:
        ends = [
            Pool(
                ledger, "q", Climber(ledger, name), workers=1, items_each=1, seconds=60, model=word
            ).run()
            for name, word in (("small", "claude:small"), ("large", "codex:large"))
        ]
        claims = [one for item in (1, 2) for one in ledger.queries.claims_on(item)]
    # The lower one stops where only the other's rung is left.
    assert ends == ["idle", "drained"]
    told = [(one.model, one.outcome) for one in sorted(claims, key=lambda one: one.no)]
    assert told == [("claude:small", "failed")] * 2 + [("codex:large", "done")] * 2


@pytest.mark.parametrize("limit", [{"item_usd": 0.5}, {"item_tokens": 200_000}])
def test_an_item_that_takes_more_than_it_may_uses_an_attempt(
    project: Path, limit: dict[str, float]
) -> None:
    assert run(project, bounds=limit) == "drained"
    told = items(project).values()
    assert [(one.state, one.attempts) for one in told] == [("failed", 1)] * 2
    assert all("than the" in (one.cause or "") for one in told)


def test_a_clock_that_is_set_on_makes_no_item_take_longer(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_TEND_SECONDS", "_SHOW_SECONDS"):
        monkeypatch.setattr(f"hypervisor.agents.pool.pool.{name}", 0)
    lay_out(project, 1, bounds={"item_ms": 60_000})
    with Ledger.open(str(project)) as ledger:

        def step(view: View) -> None:
            with ledger.store.write():
                ledger.store.change("update claim set claimed_at = claimed_at - 3600", ())

        pool = Pool(
            ledger, "q", Command(["/bin/sleep", "0.3"]), workers=1, items_each=1, seconds=60,
            show=step,
        )  # fmt: skip
        assert pool.run() == "drained"
    assert items(project)["t-001"].attempts == 0
