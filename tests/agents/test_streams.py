"""What the clients' event streams tell; the lines are those of the real clients."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from hypervisor.agents.claude.client import ClaudeStream
from hypervisor.agents.client import End, LastLines, Stream, brief
from hypervisor.agents.gemini.client import GeminiStream

CLAIM = "mcp_task_manager_claim_next_task"
ASKED = [
    {"type": "init", "session_id": "s1", "model": "gemini-2.5-flash"},
    {"type": "tool_use", "tool_name": CLAIM, "tool_id": "1", "parameters": {}},
    {"type": "tool_result", "tool_id": "1", "status": "success", "output": "{}"},
]


def fed(stream: Stream, events: list[dict[str, Any]]) -> Stream:
    for event in events:
        stream.feed(json.dumps(event))
    stream.feed("no event at all")
    return stream


def gemini(*events: dict[str, Any], code: int = 0) -> End:
    return fed(GeminiStream(), [*ASKED, *events]).end(code)


def failed(message: str, kind: str = "unknown") -> dict[str, Any]:
    return {"type": "result", "status": "error", "error": {"type": kind, "message": message}}


@pytest.mark.parametrize(
    ("event", "code", "how", "cause"),
    [
        ({"type": "result", "status": "success", "stats": {}}, 0, "finished", ""),
        (failed("Reached max session turns", "FatalTurnLimitedError"), 53, "limited", "turn limit"),
        (
            failed('[API Error: {"error":{"code":400,"message":"bad request","details":[]}}]'),
            144, "failed", "400 bad request",
        ),
        (
            failed('[API Error: {"error":{"code":500,"message":"oops","status":"INTERNAL"}}]'),
            244, "failed", "500 oops",
        ),
        (
            failed('[API Error: {"error":{"code":403,"message":"no"}}]'), 147, "refused", "403 no",
        ),
        (failed("[API Error: models/nope is not found]"), 1, "refused", "is not found"),
        (
            failed("[API Error: You have exhausted your daily quota on this model.]\nPlease wait"),
            173, "rate_limited", "daily quota",
        ),
    ],
)  # fmt: skip
def test_a_gemini_run_is_judged_by_its_result_event(
    event: dict[str, Any], code: int, how: str, cause: str
) -> None:
    end = gemini(event, code=code)
    assert end.how == how and cause in end.cause
    # An exit code of 0 changes nothing about what the event says.
    assert gemini(event).how == how


def test_a_gemini_run_without_a_result_did_not_succeed_whatever_its_exit_code() -> None:
    assert gemini(code=0).how == "failed"
    assert gemini(code=-9) == End("failed", "ended by SIGKILL")
    silent = GeminiStream()
    silent.complain("Invalid auth method selected.")
    assert silent.end(41) == End("refused", "not logged in: Invalid auth method selected.")
    assert GeminiStream().end(55).how == "refused"


def test_a_gemini_that_never_reached_the_queue_did_not_succeed() -> None:
    done = {"type": "result", "status": "success", "stats": {}}
    assert fed(GeminiStream(), [done]).end(0).how == "refused"
    wrong = [ASKED[1], {**ASKED[2], "status": "error"}, done]
    assert fed(GeminiStream(), wrong).end(0).how == "refused"


def test_the_last_words_and_the_last_tool_of_a_gemini_are_known() -> None:
    said = [{"type": "message", "role": "assistant", "content": text, "delta": True}
            for text in ("QUEUE ", "EMPTY")]  # fmt: skip
    stream = fed(GeminiStream(), [*ASKED, *said])
    assert (stream.last, stream.tool, stream.session) == ("QUEUE EMPTY", "claim_next_task", "s1")


@pytest.mark.parametrize(
    ("event", "how", "cause"),
    [
        ({"subtype": "success", "is_error": False, "result": "done"}, "finished", ""),
        ({"subtype": "error_max_turns", "is_error": True}, "limited", "turn limit"),
        (
            {"subtype": "success", "is_error": True, "api_error_status": 400, "result": "API "
             'Error: 400 {"type":"error","error":{"message":"bad"}}'}, "failed", "bad",
        ),
        (
            {"subtype": "success", "is_error": True, "api_error_status": 429, "result": "x"},
            "rate_limited", "x",
        ),
        (
            {"subtype": "success", "is_error": True, "result": "Not logged in · Please run /login"},
            "refused", "Not logged in",
        ),
    ],
)  # fmt: skip
def test_a_claude_run_is_judged_by_its_result_event(
    event: dict[str, Any], how: str, cause: str
) -> None:
    end = fed(ClaudeStream(), [{"type": "result", **event}]).end(0)
    assert end.how == how and cause in end.cause


def test_a_claude_run_tells_when_its_limit_ends() -> None:
    ends = time.time() + 3600
    limit = {"type": "rate_limit_event",
             "rate_limit_info": {"status": "rejected", "resetsAt": ends}}  # fmt: skip
    result = {"type": "result", "subtype": "success", "is_error": True, "result": "limit reached",
              "api_error_status": 429}  # fmt: skip
    told = fed(ClaudeStream(), [limit, result]).end(1).limit
    assert told is not None and told.resume_at == ends


def test_a_claude_run_tells_how_much_of_each_window_is_used() -> None:
    ends = time.time() + 3600
    windows = {
        "five_hour": {"utilization": 0.93, "resetsAt": ends, "status": "allowed_warning"},
        "seven_day": {"utilization": 0.4, "resetsAt": ends + 9},
        "new_one": {"utilization": 0.99, "resetsAt": ends},
    }
    stream = fed(
        ClaudeStream(),
        [
            {
                "type": "rate_limit_event",
                "rate_limit_info": {
                    "status": "allowed",
                    "resetsAt": ends,
                    "rateLimitType": "five_hour",
                    "unifiedWindows": windows,
                },
            },
        ],
    )
    assert stream.windows == {"5-hour": (0.93, ends), "weekly": (0.4, ends + 9)}
    # An older client tells of one window, and only when it is nearly used up.
    old = {"status": "allowed_warning", "rateLimitType": "seven_day", "resetsAt": ends}
    for more in ({}, {"utilization": "much"}, {"utilization": True}, {"utilization": -1}):
        event = {"type": "rate_limit_event", "rate_limit_info": {**old, **more}}
        assert fed(ClaudeStream(), [event]).windows == {}
    event = {"type": "rate_limit_event", "rate_limit_info": {**old, "utilization": 0.91}}
    assert fed(ClaudeStream(), [event]).windows == {"weekly": (0.91, ends)}
    fed(ClaudeStream(), [{"type": "rate_limit_event", "rate_limit_info": odd} for odd in ("x", 3)])


def test_a_command_is_judged_by_its_exit_code_and_keeps_its_last_lines() -> None:
    stream = LastLines()
    for number in range(20):
        stream.feed(f"line {number}\x1b[31m")
    end = stream.end(0)
    assert end.how == "finished" and end.last.splitlines()[-1] == "line 19\x1b[31m"
    assert len(end.last.splitlines()) == 8
    assert stream.end(3).cause == "exit code 3: line 19\x1b[31m"
    assert stream.end(127).how == "refused"


def test_a_service_s_error_is_told_in_a_line() -> None:
    assert brief('API Error: 529 {"error": {"message": "Over\\"loaded"}}') == 'Over\\"loaded'
    assert brief("plain\nwords") == "plain\\u000awords"


@pytest.mark.parametrize("stream", [ClaudeStream, GeminiStream])
def test_a_line_that_no_client_writes_ends_no_pool(stream: type[Stream]) -> None:
    reader = stream()
    for line in (
        "[" * 100_000, "{" , '{"type": "assistant", "message": {"content": [7, null, {}]}}',
        '{"type": "system", "subtype": "init", "session_id": "\\ud800"}',
        '{"type": "init", "session_id": "\\ud800"}',
        '{"type": "tool_use", "tool_name": "\\udfff", "tool_id": {}}',
    ):  # fmt: skip
        reader.feed(line)
    assert reader.session == "�" and reader.end(1).how == "failed"
