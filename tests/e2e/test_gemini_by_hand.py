"""The command lines that docs/headless.md gives for Gemini CLI without a pool."""

from __future__ import annotations

import pytest

from e2e.answers import Answer, text
from e2e.gemini_client import GeminiMachine
from e2e.gemini_model import GeminiConversation, GeminiModel
from e2e.pools import by_the_prompt, call
from e2e.queue_scripts import REPOSITORY

pytestmark = pytest.mark.e2e


def test_one_task_each_in_default_and_yolo_mode_with_the_policy_that_comes_along(
    gemini: GeminiMachine, gemini_model: GeminiModel, served_home: str
) -> None:
    tasks = gemini.project / "tasks"
    tasks.mkdir()
    for number in (1, 2, 3):
        (tasks / f"aops-{number}.md").write_text(
            f"---\nid: aops-{number}\ntitle: Rename key {number}\ntype: task\nstatus: active\n"
            f"project: aops\n---\n\nRename it.\n"
        )
    env = {"HYPERVISOR_HOME": served_home, "GEMINI_CLI_TRUST_WORKSPACE": "true"}
    added = gemini.cli(
        "mcp", "add", "--scope", "user", "-e", f"HYPERVISOR_HOME={served_home}",
        "task_manager", str(REPOSITORY / "bin/hypervisor"), "serve", env=env,
    )  # fmt: skip
    assert added.rc == 0, added.stderr
    del gemini.variables["GEMINI_CLI_NO_RELAUNCH"]  # nobody types that
    prompt = (REPOSITORY / "prompts/gemini-task-worker.md").read_text()
    prompt += "Claim and complete one mechanical task from the aops project\n"
    policy = REPOSITORY / "prompts/gemini-task-worker.toml"
    steady = by_the_prompt()

    def script(c: GeminiConversation) -> Answer:
        if not c.tool_uses:
            return call("claim_next_task", caller="gemini", project="aops")
        last = c.tool_uses[-1]
        if last.name.endswith("complete_task"):
            return text(f"COMPLETED: {last.input['id']}")
        return steady(c)

    gemini_model.main = script
    for mode in ("--approval-mode=default", "--yolo"):
        run = gemini.session(
            prompt, "--skip-trust", mode, "--policy", policy, env={"HYPERVISOR_HOME": served_home}
        )
        assert run.rc == 0 and "COMPLETED: aops-" in run.text, run.stdout + run.stderr
    bodies = [path.read_text() for path in sorted(tasks.iterdir())]
    assert sum("status: done" in body for body in bodies) == 2
    assert sum("assignee: gemini" in body for body in bodies) == 2
