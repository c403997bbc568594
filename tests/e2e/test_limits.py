"""Service limits and items that kill: a batch stops in time, and says why."""

from __future__ import annotations

import pytest

from .answers import Answer, bash, error, spawn, text
from .conversation import Conversation
from .model import Model
from .queue_scripts import REPOSITORY, by_the_book, fan_out, lay_out, summary
from .workspace import Workspace

pytestmark = pytest.mark.e2e


def test_a_lasting_rate_limit_pauses_the_queue_and_the_rest_is_not_attempted(
    workspace: Workspace, model: Model, home: str
) -> None:
    lay_out(workspace.project / "tasks", 6)
    steady = by_the_book("limits")
    model.main = fan_out("limits", "tasks", 2)
    model.worker = lambda c: steady(c) if not c.tool_uses else error(429)
    run = workspace.run(
        "/hypervisor tasks",
        plugins=[REPOSITORY],
        env={"HYPERVISOR_HOME": home, "CLAUDE_CODE_MAX_RETRIES": "0"},
    )
    assert run.rc == 0, run.stderr
    told = summary(workspace.project, "limits", home=home)
    assert told["state"] == "paused" and told["reason"].startswith("rate limit: ")
    assert told["counts"]["not_attempted"] == 6
    assert {(w["attempts"], w["deaths"]) for w in told["workers"]} == {(0, 0)}
    heard = model.of("")[-1].conversation.text
    assert heard.count("queue limits is paused, 6 left; go on with: hypervisor resume limits") == 1


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
