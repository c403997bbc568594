"""Service limits and items that kill: a batch stops in time, and says why."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from e2e.answers import Answer, bash, error, slow, spawn, text
from e2e.clients import Client
from e2e.conversation import Conversation
from e2e.model import Model
from e2e.plugins import copy_plugin
from e2e.pools import PoolMachine
from e2e.queue_scripts import REPOSITORY, by_the_book, claim_of, done, lay_out, summary
from e2e.ways import unended
from e2e.workspace import Workspace
from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError

pytestmark = pytest.mark.e2e
# Usage windows are those of a subscription's login.
SUBSCRIBER = {"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-dummy"}


def window(used: float, resets_at: float, status: str = "allowed") -> dict[str, str]:
    """The headers in which the service tells how much of the 5-hour window is used."""
    at, name = str(int(resets_at)), "anthropic-ratelimit-unified"
    return {
        f"{name}-status": status,
        f"{name}-reset": at,
        f"{name}-representative-claim": "five_hour",
        f"{name}-5h-utilization": str(used),
        f"{name}-5h-reset": at,
        f"{name}-5h-status": status,
    }


def test_an_item_that_kills_every_worker_ends_as_failed_and_the_others_get_done(
    workspace: Workspace, model: Model, home: str
) -> None:
    tasks = lay_out(workspace.project / "tasks", 3)
    steady = by_the_book("poison")

    def main(c: Conversation) -> Answer:
        if not c.used("Bash"):
            return bash("hypervisor open poison tasks")
        ended = len(c.notices)
        if len(c.used("Agent")) == ended < 6 and "has drained" not in c.text:
            return spawn("hypervisor:worker", "queue poison")
        return text("heard: " + c.last[-300:])

    def worker(c: Conversation) -> Answer:
        return error(400) if "item: demo-0001" in c.last else steady(c)

    model.main, model.worker = main, worker
    run = workspace.run(
        "/hypervisor tasks",
        plugins=[REPOSITORY],
        env={"HYPERVISOR_HOME": home, "CLAUDE_CODE_MAX_RETRIES": "0"},
    )
    assert run.rc == 0, run.stderr
    told = summary(workspace.project, "poison", home=home)
    assert [w["state"] for w in told["workers"]] == ["failed", "done", "done"], told
    assert told["workers"][0]["deaths"] == 3
    assert "3 workers died while they held it" in told["workers"][0]["reason"]
    body = tasks[0].read_text()
    assert body.count("## Completion report") == 1 and "- Result: failed" in body
    assert "3 workers died while they held it" in body
    assert "“3 workers died while they held it" in model.of("")[-1].conversation.text


@pytest.mark.newest_client
def test_a_session_goes_on_at_the_reset_with_no_key_typed_and_the_hook_missing(
    workspace: Workspace, model: Model, home: str, tmp_path: Path
) -> None:
    tasks = lay_out(workspace.project / "tasks", 6)
    plugin = copy_plugin(REPOSITORY, tmp_path / "plugin")
    hooks = json.loads((plugin / "hooks/hooks.json").read_text())
    del hooks["hooks"]["StopFailure"]
    (plugin / "hooks/hooks.json").write_text(json.dumps(hooks))
    steady, limited = by_the_book("reset"), {"until": 0.0}

    def worker(c: Conversation) -> Answer:
        if len(c.tool_uses) < 2:
            return steady(c)
        limited["until"] = limited["until"] or time.time() + 25
        if time.time() < limited["until"]:
            model.headers = window(1.0, limited["until"], "rejected")
            return error(429, "This request would exceed your account's rate limit.")
        model.headers = {}
        return steady(c)

    def main(c: Conversation) -> Answer:
        model.headers = {}
        started = re.search(r"Start (\d+) workers?", c.last)
        if not c.used("Bash"):
            return bash("hypervisor open reset tasks")
        if not c.used("Agent") or started:
            count = int(started[1]) if started else 2
            return [spawn("hypervisor:worker", "queue reset", description=f"worker {number}")
                    for number in range(count)]  # fmt: skip
        if "run now: hypervisor plan reset" in c.last:
            return bash("hypervisor plan reset")
        return text("heard: " + c.last[-300:])

    model.main, model.worker = main, worker
    session = workspace.interactive(
        plugins=[plugin],
        env={"HYPERVISOR_HOME": home, "CLAUDE_CODE_MAX_RETRIES": "0", **SUBSCRIBER},
    )
    session.submit("/hypervisor tasks")
    paused = model.wait(lambda _: looked_at(workspace.project, "reset", "paused"), 60)
    at = limited["until"]
    # The older client tells the minute alone: it is asked again in a minute at the latest.
    newest = workspace.client.arms_monitors
    assert paused["reason"].startswith("rate limit: You've hit your ")
    assert int(at) == paused["resume_at"] if newest else at - 60 < paused["resume_at"] < at + 61
    if newest:
        model.wait(lambda _: looked_at(workspace.project, "reset", "open", done=6))
    # The client may ask what to do about its limit: there is no way out by typing then.
    session.kill()
    told = summary(workspace.project, "reset", home=home)
    assert {(one["attempts"], one["deaths"]) for one in told["workers"]} == {(0, 0)}
    if newest:
        with Ledger.open(str(workspace.project)) as ledger:
            begun = [row.claimed_at for row in ledger.queries.results("reset")]
        assert at - 1 < min(b for b in begun if b > paused["at"]) < at + 60
        assert all(path.read_text().count("## Completion report") == 1 for path in tasks)
    else:
        assert unended(told["counts"]) == 4


def looked_at(project: Path, queue: str, state: str, **counts: int) -> dict[str, Any] | None:
    """Return where a queue stands, once it is in `state` and has so many items of each kind."""
    with suppress(HypervisorError), Ledger.open(str(project)) as ledger:
        row, found = ledger.queues.get(queue), ledger.queues.stats(queue)
        if row.state == state and counts.items() <= found.items():
            return {"at": time.time(), "reason": row.reason, "resume_at": row.resume_at}
    return None


@pytest.mark.newest_client
def test_a_pool_hands_out_nothing_at_nine_tenths_of_a_window_and_goes_on_after_it(
    machine: PoolMachine, client: Client, model: Model
) -> None:
    machine.with_claude(client, model)
    machine.tasks(6)
    machine.open()
    ends = time.time() + 30
    model.main = near_the_end_of_a_window(model, ends)
    ran = machine.work("claude", "--workers", "2", env=SUBSCRIBER)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = machine.summary()
    assert told["counts"]["success"] == 6
    assert {(one["attempts"], one["deaths"]) for one in told["workers"]} == {(0, 0)}
    with Ledger.open(str(machine.project)) as ledger:
        number = ledger.queues.get("q").no
        events = [(row.kind, row.detail) for row in ledger.queries.events_after([number], 0)]
        begun = sorted(row.claimed_at for row in ledger.queries.results("q"))
    [paused] = [detail for kind, detail in events if kind == "paused"]
    assert paused.startswith("rate limit: 90% of the 5-hour window is used, which ends ")
    assert ("open", "the limit has reset") in events
    # What was held ended; each worker had one item before it was too late.
    assert len([at for at in begun if at < int(ends)]) in (2, 3)
    assert all(at < ends + 60 for at in begun)


def near_the_end_of_a_window(model: Model, ends: float) -> Callable[[Conversation], Answer]:
    """Workers in a window that is used up to nine tenths while they hold their first item."""

    def script(c: Conversation) -> Answer:
        after = time.time() > ends
        used = 0.1 if after else 0.92 if c.tool_uses else 0.5
        model.headers = window(used, ends + 18000 if after else ends)
        if not c.tool_uses:
            return bash("hypervisor next q")
        claim = claim_of(c)
        if claim is None:
            return text("ended my items")
        return done(*claim) if after or len(c.tool_uses) > 1 else slow_work(c, claim)

    def slow_work(c: Conversation, claim: tuple[str, str]) -> Answer:
        return slow(0 if time.time() > ends else 1.5, done(*claim))

    return script
