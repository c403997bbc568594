"""The real clients as judges: no tools, nothing of anybody's settings, their tokens apart."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from e2e.answers import text
from e2e.codex_model import CodexModel
from e2e.gemini_model import GeminiModel
from e2e.pools import PoolMachine
from e2e.queue_scripts import hypervisor

pytestmark = pytest.mark.e2e

# A client may take these for names of files and agents, and commands of its own.
BODY = "Ask @. @..\n@codebase_investigator @/etc/passwd\n/help\n$(id) ${AgentSkills} [x](GEMINI.md)"


def judged(machine: PoolMachine, agent: str, model: str) -> dict[str, Any]:
    """Have a report judged, in a project and by a user that have planted what they can."""
    for folder in (machine.project, machine.user, machine.tmp, machine.user / f".{agent}"):
        folder.mkdir(exist_ok=True)
        for name in ("AGENTS.md", "GEMINI.md", ".env", ".gemini/.env"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("PLANTED=PLANTED\nGEMINI_SYSTEM_MD=PLANTED\n")
    (machine.user / ".codex").mkdir(exist_ok=True)
    (machine.user / ".codex/config.toml").write_text('developer_instructions = "PLANTED"\n')
    machine.tasks(1, BODY)
    machine.open()
    token = hypervisor(machine.project, "next", "q", home=machine.home).stdout.split()[1]
    hypervisor(machine.project, "done", token, "--summary", "did it", home=machine.home)
    line = ("judge", "q", "--agent", agent, "--model", model, "--json")
    ran = machine.run(*line)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert machine.summary()["total_tokens"] in (None, 0)
    told: dict[str, Any] = json.loads(ran.stdout)
    assert (told["passed"], told["failed"], told["judge"]) == (1, [], model)
    return told


def within_marks(prompt: str, body: str) -> None:
    """The parts stand between their marks, with nothing behind the last."""
    parts = re.findall(r"(?ms)^([0-9a-f]{16}) (task|report)\n(.*?)\n\1 end of \2$", prompt)
    assert [name for _, name, _ in parts] == ["task", "report"]
    assert body in parts[0][2] and "did it" in parts[1][2]
    assert prompt.rstrip().endswith(f"{parts[1][0]} end of report") and "PLANTED" not in prompt


def test_codex_judges_without_tools_and_settings_and_its_tokens_are_told_apart(
    codex: PoolMachine, codex_model: CodexModel
) -> None:
    answer = '{"pass": true, "reason": "it is there", "evidence": "did it"}'
    codex_model.main = lambda c: text(answer)
    # Of all models, this brings most tools of its own.
    told = judged(codex, "codex", "gpt-6.2-sol")
    [asked] = codex_model.requests
    body = asked.conversation.body
    kinds = {item["type"] for item in asked.conversation.items}
    assert not body.get("tools") and kinds == {"message"}, body.get("tools")
    assert body["text"]["format"]["schema"]["required"] == ["pass", "reason", "evidence"]
    within_marks(asked.conversation.prompt, BODY)
    assert sum(told["tokens"].values()) == codex_model.tokens().total


def test_gemini_judges_without_tools_and_settings_and_its_tokens_are_told_apart(
    machine: PoolMachine, gemini_model: GeminiModel
) -> None:
    answer = '{"pass": true, "reason": "it is there", "evidence": "did it"}'
    gemini_model.main = lambda c: text(answer)
    told = judged(machine, "gemini", "gemini-2.5-flash")
    [asked] = gemini_model.requests
    assert asked.conversation.tools == [] and "PLANTED" not in asked.conversation.system
    within_marks(asked.conversation.prompt, BODY.replace("@", "\\@"))
    assert sum(told["tokens"].values()) == gemini_model.tokens().total and told["usd"] > 0
