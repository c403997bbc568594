"""What a session's workers are said to have used, against what the service has counted."""

from __future__ import annotations

import json
import re

import pytest

from e2e.answers import Answer, bash, slow, text, tool
from e2e.conversation import Conversation
from e2e.model import Model
from e2e.queue_scripts import REPOSITORY, by_the_book, done, fan_out, hypervisor, lay_out, summary
from e2e.workspace import Workspace

pytestmark = pytest.mark.e2e
_NO_SUMMARIES = {"CLAUDE_CODE_DISABLE_AGENT_PROGRESS_SUMMARIES": "1"}


def counted(model: Model) -> int:
    return sum(model.tokens(agent).total for agent in model.agents)


@pytest.mark.newest_client
def test_a_clear_in_mid_batch_loses_no_token(workspace: Workspace, model: Model, home: str) -> None:
    tasks = lay_out(workspace.project / "tasks", 9)
    worker = by_the_book("inbox")
    model.main, model.worker = fan_out("inbox", "tasks", 2), lambda c: slow(0.7, worker(c))
    env = {"HYPERVISOR_HOME": home, **_NO_SUMMARIES}
    session = workspace.interactive(plugins=[REPOSITORY], env=env)
    session.submit("/hypervisor tasks")
    model.wait(lambda m: sum("status: done" in path.read_text() for path in tasks) >= 2)
    # The new conversation knows nothing of the queue: it only listens.
    model.main = lambda _: text("heard")
    session.submit("/clear")
    model.wait(lambda m: all("status: done" in path.read_text() for path in tasks))
    model.wait(lambda m: set(m.agents) <= set(m.of("")[-1].conversation.notices))
    session.wait_for("❯")
    session.exit()
    # The scenario is the one that is meant: a worker has written two transcripts.
    written = [transcript.agent for transcript in workspace.transcripts() if transcript.agent]
    assert len(model.agents) == 2 and len(written) > 2
    told = summary(workspace.project, "inbox", home=home)
    assert told["counts"]["success"] == 9
    assert (told["total_tokens"], told["tokens_exact"]) == (counted(model), True), told
    assert all(sum(item["tokens"].values()) for item in told["workers"])
    assert (told["notices"]["workers_ended"], told["notices"]["arrived"]) == (2, 2)


@pytest.mark.newest_client
def test_in_auto_mode_every_notice_counts_and_tokens_are_a_lower_bound(
    workspace: Workspace, model: Model, home: str
) -> None:
    lay_out(workspace.project / "tasks", 9)
    book = by_the_book("inbox")

    def worker(conversation: Conversation) -> Answer:
        answer = book(conversation)
        if conversation.tool_uses and "claim " not in conversation.last:
            # One after another: each finds the session at rest, and fires its own event.
            answer = tool("SubagentHandback", {"message": "ended my items"})
            return slow(2 * model.agents.index(conversation.agent), answer)
        return answer

    def heard(m: Model) -> int:
        told = m.of("")[-1].conversation.text
        return sum(f'<agent-message from="{agent}">' in told for agent in m.agents)

    model.main, model.worker = fan_out("inbox", "tasks", 3), worker
    env = {"HYPERVISOR_HOME": home}
    session = workspace.interactive(plugins=[REPOSITORY], mode="auto", env=env)
    session.submit("/hypervisor tasks")
    model.wait(lambda m: len(m.agents) == 3 and heard(m) == 3)
    session.wait_for("❯")
    session.exit()
    told = summary(workspace.project, "inbox", home=home)
    assert (told["notices"]["workers_ended"], told["notices"]["arrived"]) == (3, 3)
    assert told["total_tokens"] == counted(model), "what stands in transcripts is all there"
    assert told["tokens_exact"] is False
    assert told["tokens_unseen"] == ["auto mode's reviews", "progress summaries"]
    said = hypervisor(workspace.project, "summary", "inbox", home=home).stdout
    assert f"tokens: at least {told['total_tokens']:,} (" in said
    page = hypervisor(workspace.project, "report", "inbox", home=home).stdout.strip()
    assert f"at least {told['total_tokens']:,} tokens" in (workspace.project / page).read_text()
    status = json.loads(hypervisor(workspace.project, "status", "--json", home=home).stdout)
    assert status["queues"][0]["tokens_exact"] is False


@pytest.mark.newest_client
def test_summaries_of_progress_stand_in_no_transcript_and_make_a_lower_bound(
    workspace: Workspace, model: Model, home: str
) -> None:
    [task] = lay_out(workspace.project / "tasks", 1)

    def worker(conversation: Conversation) -> Answer:
        if "Describe your most recent action" in conversation.last:
            return text("Reading the task")
        if not conversation.tool_uses:
            return bash("hypervisor next inbox")
        if len(conversation.used("Read")) < 4:
            # The client asks some 30 seconds after the start, between two calls.
            return slow(9, tool("Read", {"file_path": str(task)}))
        if "hypervisor done" not in str(conversation.tool_uses):
            token = re.search(r"^claim (\S+)$", conversation.text, re.M)
            assert token
            return done(token[1], task.stem, more=False)
        return text("ended my items")

    model.main, model.worker = fan_out("inbox", "tasks", 1), worker
    session = workspace.interactive(plugins=[REPOSITORY], env={"HYPERVISOR_HOME": home})
    session.submit("/hypervisor tasks")
    model.wait(lambda m: m.agents and {*m.agents} <= {*m.of("")[-1].conversation.notices})
    session.wait_for("❯")
    session.exit()
    told = summary(workspace.project, "inbox", home=home)
    assert (told["notices"]["workers_ended"], told["notices"]["arrived"]) == (1, 1)
    assert told["total_tokens"] < counted(model)
    assert (told["tokens_exact"], told["tokens_unseen"]) == (False, ["progress summaries"])
