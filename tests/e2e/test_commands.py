"""The commands of the plugin, each once, in the default permission mode."""

from __future__ import annotations

import pytest

from e2e.answers import Answer, bash, text
from e2e.conversation import Conversation
from e2e.model import Model
from e2e.queue_scripts import REPOSITORY, done, hypervisor, lay_out, summary
from e2e.ways import unended
from e2e.workspace import Workspace

pytestmark = [pytest.mark.e2e, pytest.mark.newest_client]


def test_pull_status_cancel_and_resume_do_what_they_say(
    workspace: Workspace, model: Model, home: str
) -> None:
    tasks = lay_out(workspace.project / "tasks", 3)

    def ask(prompt: str) -> Conversation:
        run = workspace.run(
            prompt, plugins=[REPOSITORY], mode="default", env={"HYPERVISOR_HOME": home}
        )
        assert run.rc == 0 and not run.denials, run.stderr
        return model.of("")[-1].conversation

    def pull(c: Conversation) -> Answer:
        if not c.used("Bash"):
            assert "Run `hypervisor pull demo-0002`" in c.text
            return bash("hypervisor pull demo-0002")
        if len(c.used("Bash")) == 1:
            token = c.last_result.split()[1]
            return done(token, "demo-0002", more=False)
        return text("pulled")

    def command(words: str) -> None:
        def main(c: Conversation) -> Answer:
            if c.used("Bash"):
                return text("told")
            assert f"hypervisor {words}" in c.text
            return bash(f"hypervisor {words}")

        model.main = main

    model.main = pull
    ask("/hypervisor:pull demo-0002")
    assert "did demo-0002" in tasks[1].read_text() and "status: done" in tasks[1].read_text()

    assert hypervisor(workspace.project, "open", "rest", "tasks", home=home).returncode == 0
    hypervisor(workspace.project, "pause", "rest", home=home)
    command("status")
    assert "rest: paused" in ask("/hypervisor:status").last_result
    model.main = lambda c: text("told") if c.used("Bash") else bash("hypervisor resume rest")
    assert "rest: open, 2 items: 2 ready" in ask("/hypervisor:resume rest").last_result
    command("cancel rest")
    assert "cancelled rest: 2 open items ended" in ask("/hypervisor:cancel rest").last_result
    assert unended(summary(workspace.project, "rest", home=home)["counts"]) == 2


def test_run_preflight_triage_and_summary_reach_the_model_and_may_run_their_verb(
    workspace: Workspace, model: Model, home: str
) -> None:
    lay_out(workspace.project / "tasks", 2)
    (workspace.project / "hypervisor.toml").write_text('triage.judgement = "ada"\n')

    def ask(prompt: str, words: str, told: str) -> str:
        def main(c: Conversation) -> Answer:
            if c.used("Bash"):
                return text("told")
            assert told in c.text, c.text[-500:]
            return bash(f"hypervisor {words}")

        model.main = main
        run = workspace.run(
            prompt, plugins=[REPOSITORY], mode="default", env={"HYPERVISOR_HOME": home}
        )
        assert run.rc == 0 and not run.denials, run.stderr
        return model.of("")[-1].conversation.last_result

    assert "2 ready" in ask(
        "/hypervisor:preflight tasks", "preflight tasks", "Run `hypervisor preflight tasks`"
    )
    assert "+assignee: " in ask(
        "/hypervisor:triage tasks", "triage --dry-run tasks", "`hypervisor triage --dry-run tasks`"
    )
    ask(
        "/hypervisor:run --children-of demo-0001",
        "open inbox tasks",
        "with these sources: --children-of demo-0001",
    )
    assert "queue inbox" in ask("/hypervisor:summary inbox", "summary inbox", "summary inbox")
