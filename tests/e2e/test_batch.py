"""A whole batch in a session of the real client."""

from __future__ import annotations

import pytest

from e2e.plugins import lost_notices
from e2e.queue_scripts import REPOSITORY, by_the_book, fan_out, lay_out, summary

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


@pytest.mark.newest_client
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
