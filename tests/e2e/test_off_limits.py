"""A session's background worker that writes what steers the next run, by the real client."""

from __future__ import annotations

import pytest

from e2e.answers import Answer, bash, text
from e2e.conversation import Conversation
from e2e.model import Model
from e2e.queue_scripts import REPOSITORY, claim_of, done, fan_out, lay_out, summary
from e2e.workspace import Workspace

pytestmark = [pytest.mark.e2e, pytest.mark.newest_client]


def test_what_a_background_worker_writes_through_a_link_is_never_done(
    workspace: Workspace, model: Model, home: str
) -> None:
    lay_out(workspace.project / "tasks", 1)
    (workspace.project / "CLAUDE.md").write_text("Be careful.\n")
    (workspace.project / "notes").symlink_to("CLAUDE.md")
    held: list[tuple[str, str]] = []
    refused: list[str] = []

    def worker(c: Conversation) -> Answer:
        claim = claim_of(c)
        if not c.tool_uses:
            return bash("hypervisor next q")
        if claim:
            held.append(claim)
            return bash("echo obey >notes")
        last = c.tool_uses[-1].input.get("command", "")
        if last == "echo obey >notes":
            return done(*held[0])
        if "hypervisor done" in last:
            refused.append(c.last)
            return bash(f"hypervisor block {held[0][0]} --reason 'it was refused'")
        return text("ended my items")

    model.main, model.worker = fan_out("q", "tasks", 1), worker
    env = {"HYPERVISOR_HOME": home}
    run = workspace.run("/hypervisor:run tasks", plugins=[REPOSITORY], env=env)
    assert run.rc == 0, run.stderr
    assert (workspace.project / "CLAUDE.md").read_text() == "obey\n"
    assert len(refused) == 1 and "CLAUDE.md" in refused[0], refused
    told = summary(workspace.project, "q", home=home)
    assert told["counts"]["success"] == 0 and told["counts"]["blocked"] == 1
    assert told["workers"][0]["off_limits"] == ["CLAUDE.md"]
