"""Clients as judges, without them: what their users may add, what is read of what they print."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hypervisor.agents.client import Answer, Place
from hypervisor.agents.clients import CLIENTS, client
from hypervisor.agents.judge.verdict import verdict
from hypervisor.config.caller import PoolAgent
from hypervisor.system.errors import HypervisorError
from hypervisor.system.processes import Said

VERDICT = '{"pass": false, "reason": "it is not there", "evidence": "b"}'
OTHERS = {
    "claude": ["--tools Bash", "--settings=x.json", "--mcp-config x", "--max-turns 9", "x"],
    "gemini": ["--yolo", "--policy x", "-e all", "--include-directories /", "-m x"],
    "codex": [
        "-s danger-full-access",
        "--profile x",
        "-c features.shell_tool=true",
        "-c model_catalog_json=x",
        "x",
    ],
}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(str(tmp_path), "q", PoolAgent("judge", "judge", 0, "q"), tmp_path)


def lines(*events: dict[str, Any]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


def read(agent: str, place: Place, out: str, code: int = 0, err: str = "") -> Answer:
    return client(agent).judge(model=None, words=[]).read(place, Said(code, out, err))


@pytest.mark.parametrize(("agent", "line"), [(a, line) for a in OTHERS for line in OTHERS[a]])
def test_a_judge_is_given_no_option_that_might_bring_tools_or_settings(
    agent: str, line: str
) -> None:
    asked = client(agent).judge(model=None, words=line.split())
    with pytest.raises(HypervisorError, match=line.split()[0].partition("=")[0]):
        asked.check()


def test_every_client_can_be_asked_for_a_verdict() -> None:
    assert all(client(name).judge(model=None, words=["true"]) for name in CLIENTS)


def test_the_figures_of_a_judge_are_its_client_s_own_else_list_prices(place: Place) -> None:
    usage = {"input_tokens": 5, "output_tokens": 3, "cache_read_input_tokens": 2,
             "cache_creation_input_tokens": 0}  # fmt: skip
    result = {"type": "result", "subtype": "success", "is_error": False, "result": VERDICT}
    told = read("claude", place, lines({**result, "usage": usage, "total_cost_usd": 0.25}))
    assert told.tokens == {"input": 5, "output": 3, "cache_read": 2, "cache_write": 0}
    assert told.usd == 0.25 and verdict(told).passes is False

    stats = {"total_tokens": 1000, "input_tokens": 900, "cached": 100}
    said = [{"type": "message", "role": "user", "content": '{"pass": true, "reason": "no"}'}]
    said += [{"type": "message", "role": "assistant", "content": one, "delta": True}
             for one in (VERDICT[:20], VERDICT[20:])]  # fmt: skip
    end = {"type": "result", "status": "success"}
    models = {"stats": {"models": {"gemini-2.5-flash": stats, "gemini-none": stats}}}
    told = read("gemini", place, lines(*said, {**end, **models}))
    assert told.tokens == {"input": 1600, "output": 200, "cache_read": 200, "cache_write": 0}
    # One of the two has no price.
    assert told.text == VERDICT and told.usd is None


def codex_run(place: Place, requests: int) -> str:
    """Lay out the file of a run of so many requests, and return what the client prints."""
    folder = place.folder / "home/sessions/2026/11/30"
    folder.mkdir(parents=True)
    used = {"input_tokens": 100, "cached_input_tokens": 40, "output_tokens": 10}
    rows = [{"type": "turn_context", "payload": {"model": "gpt-6-luna"}}]
    rows += [{"type": "token_usage_record", "payload": {"usage": used}}] * requests
    (folder / "rollout-1-t1.jsonl").write_text(lines(*rows))
    message = {"type": "agent_message", "text": VERDICT}
    return lines(
        {"type": "thread.started", "thread_id": "t1"},
        {"type": "item.completed", "item": message},
        {"type": "turn.completed", "usage": {}},
    )


def test_codex_is_read_by_the_file_of_its_run(place: Place) -> None:
    told = read("codex", place, codex_run(place, 1))
    assert told.tokens == {"input": 60, "output": 10, "cache_read": 40, "cache_write": 0}
    assert told.text == VERDICT and told.usd is not None and told.usd > 0


def test_codex_that_went_on_after_its_answer_had_tools_and_is_not_believed(place: Place) -> None:
    with pytest.raises(HypervisorError, match="it took 2 requests"):
        read("codex", place, codex_run(place, 2))


@pytest.mark.parametrize(
    ("agent", "out", "err", "why"),
    [
        ("claude", lines({"type": "result", "subtype": "success", "is_error": True,
                          "result": "Not logged in"}), "", "Not logged in"),
        ("claude", "", "no such model", "no such model"),
        ("gemini", lines({"type": "result", "status": "error",
                          "error": {"type": "FatalTurnLimitedError", "message": "x"}}), "",
         "turn limit"),
        ("gemini", "", "Please set an Auth method", "ended by"),
        ("codex", lines({"type": "turn.failed", "error": {"message": "401 Unauthorized"}}),
         "Reading prompt from stdin...", "401 Unauthorized"),
        ("codex", "", "Error loading config.toml", "Error loading config.toml"),
        ("command", "no\n", "it broke\n", "it broke"),
    ],
)  # fmt: skip
def test_a_judge_that_failed_is_told_with_its_cause_whatever_it_printed(
    place: Place, agent: str, out: str, err: str, why: str
) -> None:
    with pytest.raises(HypervisorError, match=why):
        read(agent, place, out + VERDICT, 1, err)


def test_a_home_of_its_own_has_the_login_of_the_user_and_no_more(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = tmp_path / "user"
    for name in (".gemini/settings.json", ".gemini/.env", ".gemini/GEMINI.md", ".gemini/hooks"):
        (users / name).parent.mkdir(parents=True, exist_ok=True)
        (users / name).write_text('{"mcpServers": {"theirs": {}}}')
    monkeypatch.setenv("GEMINI_CLI_HOME", str(users))
    monkeypatch.setenv("GEMINI_SYSTEM_MD", "theirs")
    place.tmp.mkdir()
    start = client("gemini").judge(model="m", words=[]).start(place, "ask @.")
    home = Path(start.environment["GEMINI_CLI_HOME"], ".gemini")
    assert sorted(os.listdir(home)) == [".env", "settings.json"]
    assert "theirs" not in (home / "settings.json").read_text()
    assert start.environment["GEMINI_SYSTEM_MD"] != "theirs" and start.stdin == "ask \\@."
    assert os.path.samefile(place.tmp / ".env", users / ".gemini/.env")
