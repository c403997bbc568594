"""A whole batch in a session of the real client."""

from __future__ import annotations

import re

import pytest

from .answers import bash, spawn, text
from .plugins import lost_notices
from .queue_scripts import REPOSITORY, by_the_book, fan_out, lay_out, summary

pytestmark = pytest.mark.e2e


def test_three_workers_do_thirty_items_once_each_with_exact_tokens(workspace, model, home):
    tasks = lay_out(workspace.project / "tasks", 30)
    model.main = fan_out("inbox", "tasks", 3)
    model.worker = by_the_book("inbox")
    run = workspace.run(
        "/hypervisor tasks", mode="default", plugins=[REPOSITORY], env={"HYPERVISOR_HOME": home}
    )
    assert run.rc == 0, run.stderr
    told = summary(workspace.project, "inbox", home=home)
    assert told["counts"]["success"] == 30, told
    used = sum((model.tokens(agent).total for agent in model.agents if agent), 0)
    assert (told["total_tokens"], told["tokens_exact"]) == (used, True)
    shares = sum(sum(worker["tokens"].values()) for worker in told["workers"])
    assert told["overhead_tokens"] == used - shares
    for path in tasks:
        body = path.read_text()
        assert body.count("## Completion report") == 1
        assert f"did {path.stem}" in body
        assert "status: done" in body


def test_the_model_is_told_of_all_thirty_though_every_notice_is_lost(
    workspace, model, tmp_path, home
):
    lay_out(workspace.project / "tasks", 30)
    model.main = fan_out("inbox", "tasks", 3)
    model.worker = by_the_book("inbox")
    run = workspace.run(
        "/hypervisor tasks",
        mode="default",
        plugins=lost_notices(model, [REPOSITORY], tmp_path),
        env={"HYPERVISOR_HOME": home},
    )
    assert run.rc == 0, run.stderr
    heard = model.of("")[-1].conversation.text
    assert "queue inbox has drained" in heard
    for number in range(1, 31):
        assert f"demo-{number:04d}" in heard


def test_the_plan_leads_from_one_worker_to_many_within_the_turn_that_grants_them_rights(
    workspace, model, home
):
    lay_out(workspace.project / "tasks", 12)

    def main(c):
        asked = re.search(r"Start (one worker|\d+ workers)", c.last)
        prompt = re.search(r"prompt: (queue flow.*)", c.last)
        if not c.used("Bash"):
            return bash("hypervisor preflight tasks")
        if len(c.used("Bash")) == 1:
            return bash("hypervisor open flow tasks")
        if len(c.used("Bash")) == 2:
            return bash("hypervisor plan flow")
        if asked and prompt:
            count = 1 if asked[1] == "one worker" else int(asked[1].split()[0])
            return [spawn("hypervisor:worker", prompt[1]) for _ in range(count)]
        if c.last.count("Async agent launched"):
            return bash("hypervisor wait flow --timeout 60")
        if "what to do: hypervisor plan" in c.last:
            return bash("hypervisor plan flow")
        return text("heard: " + c.last[-300:])

    model.main, model.worker = main, by_the_book("flow")
    run = workspace.run(
        "/hypervisor tasks", mode="default", plugins=[REPOSITORY], env={"HYPERVISOR_HOME": home}
    )
    assert run.rc == 0, run.stderr
    results = "\n".join(model.of("")[-1].conversation.results)
    assert re.search(r"11 items left: about [\d,]+ tokens, about 1 min with 4 workers", results)
    assert len(model.agents) == 5
    told = summary(workspace.project, "flow", home=home)
    assert told["counts"]["success"] == 12
    assert told["total_tokens"] == sum(model.tokens(agent).total for agent in model.agents)
    assert told["notices"]["arrived"] == 5
