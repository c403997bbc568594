"""The user judges reports in the client's own screen, question by question."""

from __future__ import annotations

import json
import re

import pytest

from e2e.answers import Answer, bash, text, tool
from e2e.clients import Client
from e2e.conversation import Conversation
from e2e.model import Model
from e2e.pools import PoolMachine
from e2e.queue_scripts import REPOSITORY, hypervisor, lay_out
from e2e.workspace import Workspace

pytestmark = [pytest.mark.e2e, pytest.mark.newest_client]


def test_a_click_in_the_clients_question_is_the_verdict_and_without_one_there_is_none(
    workspace: Workspace, model: Model, home: str
) -> None:
    lay_out(workspace.project / "tasks", 1)

    def here(*words: str) -> str:
        ran = hypervisor(workspace.project, *words, home=home)
        assert ran.returncode == 0, ran.stderr
        return str(ran.stdout)

    here("open", "ask", "tasks")
    here("done", here("next", "ask").split()[1], "--summary", "did it")

    def main(c: Conversation) -> Answer:
        told = len(c.used("Bash"))
        if not told:
            return bash("hypervisor review ask --sample 100%")
        if told == 1:
            return bash("hypervisor review ask demo-0001 --accept")
        if told == 2 and not c.used("AskUserQuestion"):
            asked = re.search("“(hypervisor review .*?)”", c.results[0])
            assert asked is not None, c.results[0]
            options = [{"label": word, "description": word} for word in ("Accept", "Reject")]
            words = {"question": asked[1], "header": "Review", "options": options}
            return tool("AskUserQuestion", {"questions": [{**words, "multiSelect": False}]})
        if told == 2:
            return bash("hypervisor review ask demo-0001 --accept")
        return text("JUDGED")

    model.main = main
    session = workspace.interactive(plugins=[REPOSITORY], env={"HYPERVISOR_HOME": home})
    session.submit("/hypervisor:review ask")
    session.wait_for("is this right")
    session.enter()
    model.wait(lambda m: len(m.of("")[-1].conversation.results) == 4)
    session.exit()
    results = model.of("")[-1].conversation.results
    assert "a person's" in results[1] and "accepted demo-0001" in results[3]


def test_a_judge_of_the_client_has_no_tools_reads_no_file_and_its_tokens_are_told_apart(
    machine: PoolMachine, client: Client, model: Model
) -> None:
    machine.with_claude(client, model)
    named = machine.project / "named.md"
    named.write_text("SESAME")
    machine.tasks(2, f"Rename it.\n@{named} and @../named.md")
    machine.open()
    for _ in range(2):
        handed = hypervisor(machine.project, "next", "q", home=machine.home).stdout
        words = ("done", handed.split()[1], "--summary", "did it")
        assert hypervisor(machine.project, *words, home=machine.home).returncode == 0

    def main(c: Conversation) -> Answer:
        assert not c.tools, c.tools
        assert "did it" in c.text and "Rename it." in c.text
        # The client would add what stands in a file that a work names.
        assert "SESAME" not in c.text + c.system
        return text('{"pass": true, "reason": "it is there", "evidence": "did it"}')

    model.main = main
    line = ("judge", "q", "--agent", "claude", "--workers", "2", "--json")
    ran = machine.run(*line)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = json.loads(ran.stdout)
    assert (told["passed"], told["failed"]) == (2, [])
    assert sum(told["tokens"].values()) == model.tokens().total
    assert machine.summary()["total_tokens"] in (None, 0)
