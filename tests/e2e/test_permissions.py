"""The default permission mode, with nothing allowed but what the skill grants."""

from __future__ import annotations

import json

import pytest

from e2e.answers import Answer, bash, spawn, text, tool
from e2e.conversation import Conversation
from e2e.model import Model
from e2e.queue_scripts import REPOSITORY, by_the_book, claim_of, hypervisor, lay_out, summary
from e2e.workspace import Workspace

pytestmark = pytest.mark.e2e


def test_a_worker_edits_its_task_and_what_it_lacks_is_told_as_the_rule_to_add(
    workspace: Workspace, model: Model, home: str
) -> None:
    tasks = lay_out(workspace.project / "tasks", 2)
    (workspace.project / "Makefile").write_text("check:\n\t@touch checked\n")
    checked = workspace.project / "checked"
    steady = by_the_book("rights")
    # The model may use a skill that grants tools only where the user has said so, or says so now.
    workspace.settings({"permissions": {"allow": ["Skill(hypervisor:hypervisor)"]}})

    def main(c: Conversation) -> Answer:
        if not c.used("Skill"):
            return tool("Skill", {"skill": "hypervisor:hypervisor", "args": "tasks"})
        steps = ("hypervisor open rights tasks", "hypervisor plan rights")
        if len(c.used("Bash")) < len(steps):
            return bash(steps[len(c.used("Bash"))])
        if not c.used("Agent"):
            return spawn("hypervisor:worker", "queue rights, one item only")
        if len(c.used("Bash")) == len(steps):
            return bash("hypervisor wait rights")
        # In the turn that a notice starts, the skill's own grant is over.
        if c.notices and len(c.used("Bash")) == len(steps) + 1:
            return bash("hypervisor plan rights")
        return text("heard: " + c.last[-300:])

    def worker(c: Conversation) -> Answer:
        claim = claim_of(c)
        if claim:
            return tool("Read", {"file_path": str(tasks[0])})
        if c.used("Read") and not c.used("Edit"):
            change = {"old_string": "Rename it.", "new_string": "Renamed."}
            return tool("Edit", {"file_path": str(tasks[0]), **change})
        if c.used("Edit") and len(c.used("Bash")) == 1:
            return bash("make check")
        if len(c.used("Bash")) == 2:
            token = c.results[0].split()[1]
            return bash(f"hypervisor block {token} --reason - <<'END'\nno right to make\nEND")
        return text("blocked one") if c.used("Bash") else steady(c)

    model.main, model.worker = main, worker
    run = workspace.run(
        "please do these batch tasks",
        plugins=[REPOSITORY],
        mode="default",
        env={"HYPERVISOR_HOME": home},
    )
    assert run.rc == 0, run.stderr
    offered = model.requests[0].conversation
    assert "'batch tasks', 'parallel processing'" in offered.text + offered.system
    assert "Renamed." in tasks[0].read_text() and "no right to make" in tasks[0].read_text()
    assert not checked.exists()
    planned = model.of("")[-1].conversation.results[-1]
    assert '{"permissions": {"allow": ["Bash(make check' in planned
    rules = json.loads(planned[planned.index("{") : planned.index("}}") + 2])

    # With exactly that rule the next worker gets through.
    (workspace.project / ".claude").mkdir(exist_ok=True)
    (workspace.project / ".claude/settings.json").write_text(json.dumps(rules))

    def allowed(c: Conversation) -> Answer:
        if claim_of(c):
            return bash("make check")
        # That it ran is told by its file, not by what a client shows of its output.
        if len(c.used("Bash")) == 2 and checked.exists():
            token, item = c.results[0].split()[1], "demo-0002"
            return bash(f"hypervisor done {token} --summary - <<'END'\ndid {item}\nEND")
        return text("ended") if c.used("Bash") else steady(c)

    asked = hypervisor(workspace.project, "plan", "rights", "--go-on", home=home)
    assert "permissions" not in asked.stdout
    model.main = lambda c: (
        text("ok") if c.used("Agent") else spawn("hypervisor:worker", "queue rights")
    )
    model.worker = allowed
    run = workspace.run(
        "/hypervisor:resume rights",
        plugins=[REPOSITORY],
        mode="default",
        env={"HYPERVISOR_HOME": home},
    )
    assert run.rc == 0 and checked.exists(), run.stderr
    told = summary(workspace.project, "rights", home=home)
    heard = model.of(model.agents[-1])[-1].conversation.results
    assert told["counts"]["success"] == 1, (told, heard)


def test_workers_of_a_turn_in_which_nobody_called_the_skill_have_their_rights(
    workspace: Workspace, model: Model, home: str
) -> None:
    lay_out(workspace.project / "tasks", 2)
    # The session may open the queue, but nobody has called the skill: as in the turn of a notice.
    workspace.settings({"permissions": {"allow": ["Bash(hypervisor open:*)"]}})

    def without_skill(c: Conversation) -> Answer:
        if not c.used("Bash"):
            return bash("hypervisor open later tasks")
        return text("ok") if c.used("Agent") else spawn("hypervisor:worker", "queue later")

    model.main, model.worker = without_skill, by_the_book("later")
    ran = workspace.run(
        "start a worker for the tasks",
        plugins=[REPOSITORY],
        mode="default",
        env={"HYPERVISOR_HOME": home},
    )
    assert ran.rc == 0, ran.stderr
    assert summary(workspace.project, "later", home=home)["counts"]["success"] == 2
