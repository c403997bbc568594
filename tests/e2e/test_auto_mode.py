"""Ends of workers in the mode in which interactive sessions start, and a person's stop in it."""

from __future__ import annotations

import time

import pytest

from .answers import Answer, bash, slow, spawn, text, tool
from .conversation import Conversation
from .model import Model
from .queue_scripts import REPOSITORY, claim_of, done, lay_out, summary
from .workspace import Workspace

pytestmark = [pytest.mark.e2e, pytest.mark.newest_client]


def hand_back(words: str = "ended my items") -> Answer:
    return tool("SubagentHandback", {"message": words})


def steady(c: Conversation) -> Answer:
    """A worker that ends as the agent's own text says."""
    if not c.tool_uses:
        return bash("hypervisor next inbox")
    claim = claim_of(c)
    return done(*claim) if claim else hand_back()


def test_a_worker_that_hands_back_with_an_item_is_asked_for_its_report_once(
    workspace: Workspace, model: Model, home: str
) -> None:
    tasks = lay_out(workspace.project / "tasks", 4)

    def main(c: Conversation) -> Answer:
        if not c.used("Bash"):
            return bash("hypervisor open inbox tasks")
        if not c.used("Agent"):
            prompt = "queue inbox, one item only. You are "
            return [spawn("hypervisor:worker", prompt + role) for role in ("HASTY", "MUTE")]
        if "has drained" in c.text:
            return text("heard")
        if "has stalled" in c.last and len(c.used("Agent")) < 3:
            return spawn("hypervisor:worker", "queue inbox")
        return bash("hypervisor wait inbox --timeout 20")

    def worker(c: Conversation) -> Answer:
        if "one item only" not in c.first or not c.tool_uses:
            return steady(c)
        if not c.used("SubagentHandback"):
            return hand_back("all is fine")
        if "MUTE" in c.first:
            return hand_back("I give up on it")
        if len(c.used("Bash")) == 1:
            token = c.results[0].split()[1]
            return bash(f"hypervisor done {token} --summary - <<'END'\ndid it after all\nEND")
        return hand_back()

    model.main, model.worker = main, worker
    run = workspace.run(
        "/hypervisor tasks", plugins=[REPOSITORY], mode="auto", env={"HYPERVISOR_HOME": home}
    )
    assert run.rc == 0, run.stderr
    told = summary(workspace.project, "inbox", home=home)
    assert told["counts"]["success"] == 4, told
    costs = sorted((item["attempts"], item["deaths"]) for item in told["workers"])
    assert costs == [(0, 0)] * 3 + [(1, 0)]
    assert sum("did it after all" in path.read_text() for path in tasks) == 1
    undone = b"".join(
        path.read_bytes()
        for path in (workspace.project / ".hypervisor/undo/inbox").rglob("*")
        if path.is_file()
    )
    assert b"not confirmed" in undone and b"I give up on it" in undone
    heard = [request.conversation.last for request in model.requests if request.agent]
    assert sum("You still hold" in text for text in heard) == 2
    # A worker that ends by its text is asked for a hand-back, with its whole context.
    assert not any("handback-send-enforce" in text for text in heard)


def test_a_person_stops_all_agents_and_their_items_are_free_and_none_are_started(
    workspace: Workspace, model: Model, home: str
) -> None:
    lay_out(workspace.project / "tasks", 6)
    stopped: list[bool] = []

    def main(c: Conversation) -> Answer:
        steps = ("open inbox tasks", "plan inbox")
        if len(c.used("Bash")) < len(steps):
            return bash(f"hypervisor {steps[len(c.used('Bash'))]}")
        if not c.used("Agent"):
            return [spawn("hypervisor:worker", "queue inbox") for _ in range(2)]
        if stopped and len(c.used("Bash")) == len(steps):
            return bash("hypervisor plan inbox")
        return text("heard: " + c.last[-200:])

    def worker(c: Conversation) -> Answer:
        return slow(60, text("too late")) if claim_of(c) else steady(c)

    model.main, model.worker = main, worker
    session = workspace.interactive(
        mode="auto", plugins=[REPOSITORY], env={"HYPERVISOR_HOME": home}
    )
    session.submit("/hypervisor tasks")
    model.wait(lambda m: sum(bool(r.agent and claim_of(r.conversation)) for r in m.requests) == 2)
    time.sleep(1)
    stopped.append(True)
    for key in ("C-x", "C-k", "C-x", "C-k"):
        session.key(key)
        time.sleep(0.4)
    model.wait(lambda m: "Start none" in m.of("")[-1].conversation.text)
    session.exit()
    told = summary(workspace.project, "inbox", home=home)
    assert told["counts"]["not_attempted"] == 6, told
    assert {(item["attempts"], item["deaths"]) for item in told["workers"]} <= {(0, 0)}
    heard = model.of("")[-1].conversation.text
    assert "the user stopped its workers. Start no new ones" in heard
    assert len(model.agents) == 2
