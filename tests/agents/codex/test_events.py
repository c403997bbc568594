"""What a run of Codex CLI tells; the lines are those of the real client."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from hypervisor.agents.client import End
from hypervisor.agents.codex import events
from hypervisor.agents.codex.events import CodexStream

SESSION = "01a2264a-780e-73d0-8e29-ec69c153edd7"
STARTED = {"type": "thread.started", "thread_id": SESSION}
CLAIM = {"id": "item_1", "type": "mcp_tool_call", "server": "task_manager",
         "tool": "claim_next_task", "arguments": {}, "error": None}  # fmt: skip
ASKED = [
    STARTED,
    {"type": "turn.started"},
    {"type": "item.started", "item": {**CLAIM, "status": "in_progress"}},
    {"type": "item.completed", "item": {**CLAIM, "status": "completed"}},
]
DONE = {"type": "turn.completed", "usage": {"input_tokens": 1}}


def wrote(home: Path, *payloads: dict[str, Any], kind: str = "event_msg") -> None:
    folder = home / "sessions/2026/11/29"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [json.dumps({"type": kind, "payload": payload}) + "\n" for payload in payloads]
    with open(folder / f"rollout-2026-11-29T22-55-31-{SESSION}.jsonl", "a") as out:
        out.write("".join(rows))


def stream(home: Path, *lines: dict[str, Any], turns: int = 9) -> CodexStream:
    one = CodexStream(home, turns)
    for line in lines:
        one.feed(json.dumps(line))
    one.feed("no event at all")
    return one


def ended(home: Path, message: str, info: object) -> End:
    wrote(home, {"type": "task_complete", "error": {"codex_error_info": info}})
    failed = {"type": "turn.failed", "error": {"message": message}}
    return stream(home, *ASKED, failed).end(1)


def test_a_run_is_over_well_only_if_it_says_so_and_has_asked_for_an_item(tmp_path: Path) -> None:
    said = {"type": "item.completed", "item": {"type": "agent_message", "text": "QUEUE EMPTY"}}
    assert stream(tmp_path, *ASKED, said, DONE).end(0) == End("finished", "", "QUEUE EMPTY")
    assert stream(tmp_path, STARTED, DONE).end(0).how == "refused"
    assert stream(tmp_path, *ASKED).end(0).how == "failed"
    assert stream(tmp_path, *ASKED).end(-9) == End("failed", "ended by SIGKILL")
    warned = {"type": "item.completed", "item": {"type": "error", "message": "no metadata"}}
    assert stream(tmp_path, *ASKED, warned, DONE).end(0).how == "finished"
    mute = CodexStream(tmp_path, 9)
    mute.complain("Error: unknown field `x`")
    assert mute.end(1) == End("refused", "Error: unknown field `x`")


@pytest.mark.parametrize(
    ("message", "info", "how"),
    [
        ("unexpected status 401 Unauthorized: no", {"http_connection_failed":
            {"http_status_code": 401}}, "refused"),
        ("Missing environment variable: `CODEX_API_KEY`.", "other", "refused"),
        ("The model x does not exist", "model_not_found", "refused"),
        ("Connection failed", {"http_connection_failed": {"http_status_code": None}}, "failed"),
        ("stream disconnected before completion: x", "other", "failed"),
        ("Codex ran out of room in the model's context window", "context_window_exceeded",
            "failed"),
        ("Selected model is at capacity.", "server_overloaded", "rate_limited"),
        ("Quota exceeded. Check your plan and billing details.", "usage_limit_exceeded",
            "rate_limited"),
    ],
)  # fmt: skip
def test_a_run_is_judged_by_the_client_s_code_for_its_error(
    message: str, info: object, how: str, tmp_path: Path
) -> None:
    assert ended(tmp_path, message, info).how == how


def test_a_limit_ends_when_the_window_does_that_is_used_up(tmp_path: Path) -> None:
    ends = int(time.time()) + 5000
    wrote(tmp_path, {"type": "token_count", "rate_limits": {
        "primary": {"used_percent": 100.0, "window_minutes": 300, "resets_at": ends},
        "secondary": {"used_percent": 40.0, "window_minutes": 10080, "resets_at": ends + 9},
    }})  # fmt: skip
    end = ended(tmp_path, "You’ve hit your usage limit. Try again at 8:56 AM.",
                "usage_limit_exceeded")  # fmt: skip
    assert end.limit is not None and end.limit.resume_at == ends
    assert stream(tmp_path, STARTED).windows == {"5-hour": (1.0, ends), "weekly": (0.4, ends + 9)}


def test_a_limit_per_minute_whose_end_the_client_keeps_to_itself_is_over_in_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "exceeded retry limit, last status: 429 Too Many Requests"
    end = ended(tmp_path, told, {"response_too_many_failed_attempts": {"http_status_code": 429}})
    assert end.limit is not None and end.limit.resume_at is not None
    assert 50 < end.limit.resume_at - time.time() <= 60
    # The client waits in silence for as long as the service says.
    waits = stream(tmp_path, *ASKED, {"type": "error", "message": f"Reconnecting... 1/1 ({told})"})
    assert waits.over() is None
    monkeypatch.setattr(events, "PATIENCE", -1.0)
    over = waits.over()
    assert over is not None and (over.how, over.limit is None) == ("rate_limited", False)
    waits.feed(json.dumps(DONE))
    assert waits.over() is None


def test_a_run_is_over_after_its_turns_though_no_event_tells_of_them(tmp_path: Path) -> None:
    one = stream(tmp_path, STARTED, turns=2)
    for expected in (None, None, "limited"):
        wrote(tmp_path, {"usage": {}}, kind="token_usage_record")
        one.complain("ERROR codex_core::tools::router: error=patch rejected")
        over = one.over()
        assert (over and over.how) == expected
