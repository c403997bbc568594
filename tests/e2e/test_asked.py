"""What people ask of a batch, in a session: each question by the command that the skill names."""

from __future__ import annotations

import pytest

from e2e.answers import Answer, bash, text
from e2e.conversation import Conversation
from e2e.model import Model
from e2e.queue_scripts import REPOSITORY, hypervisor, lay_out
from e2e.workspace import Workspace

pytestmark = [pytest.mark.e2e, pytest.mark.newest_client]

# Looking and choosing needs no word of the user's.
GRANTED = {
    "hypervisor status ask": "ready: demo-0001 “Rename key 1”",
    "hypervisor summary ask": "demo-0003 “Rename key 3”: which port?",
    "hypervisor show demo-0003": "why not done: blocked: “which port?”",
    "hypervisor open ask --where 'priority<=1'": "1 item of ask is left to work on: demo-0001",
}
# What takes back, tries again, stops or makes a file is the user's to say, with it in sight.
ASKED = (
    "hypervisor retry ask --blocked",
    "hypervisor undo ask",
    "hypervisor report ask --plain",
    "hypervisor cancel --all",
)


def test_a_session_answers_what_people_ask_with_the_commands_of_the_skill(
    workspace: Workspace, model: Model, home: str
) -> None:
    first, *_, third = lay_out(workspace.project / "tasks", 3)
    first.write_text(first.read_text().replace("status:", "priority: 1\nstatus:"))

    def here(*words: str) -> str:
        ran = hypervisor(workspace.project, *words, home=home)
        assert ran.returncode == 0, ran.stderr
        return str(ran.stdout)

    here("open", "ask", "tasks")
    token = here("next", "ask", "--id", "demo-0003").split()[1]
    here("block", token, "--reason", "which port?")
    assert "which port?" in third.read_text()
    commands = [*GRANTED, *ASKED]

    def main(c: Conversation) -> Answer:
        told = len(c.used("Bash"))
        if not told:
            for line in ("hypervisor cancel --all", "hypervisor report QUEUE --plain"):
                assert line in c.text, "the skill names it"
        return bash(commands[told]) if told < len(commands) else text("told")

    model.main = main
    run = workspace.run(
        "/hypervisor tasks", plugins=[REPOSITORY], mode="default", env={"HYPERVISOR_HOME": home}
    )
    assert run.rc == 0, run.stderr
    results = model.of("")[-1].conversation.results
    for result, expected in zip(results, GRANTED.values(), strict=False):
        assert expected in result
    assert [denied["tool_input"]["command"] for denied in run.denials] == list(ASKED)
    assert "which port?" in third.read_text()
    assert "1 ready, 1 blocked, 1 set aside" in here("status", "ask")
