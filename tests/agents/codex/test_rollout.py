"""Tokens out of a run's file of Codex CLI; the rows are those of the real client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypervisor.agents.transcripts import read
from hypervisor.agents.usage import Usage

HEAD = {"type": "session_meta", "payload": {"id": "s", "cli_version": "0.171.0"}}
OVER = {"type": "event_msg", "payload": {"type": "task_complete", "error": None}}


def request(given: int, cached: int = 0, out: int = 0) -> dict[str, Any]:
    usage = {"input_tokens": given, "cached_input_tokens": cached, "cache_write_input_tokens": 0,
             "output_tokens": out, "reasoning_output_tokens": out // 2}  # fmt: skip
    return {"type": "token_usage_record", "payload": {"usage": usage}}


def call(tool: str, item: str | None, success: bool = True) -> dict[str, Any]:
    told = {"success": success, "task": item and {"id": item}}
    result = {"content": [{"type": "text", "text": json.dumps(told)}], "structuredContent": told}
    called = {"type": "McpToolCall", "server": "task_manager", "tool": tool, "result": result}
    return {"type": "event_msg", "payload": {"type": "item_completed", "item": called}}


def used(tmp_path: Path, *rows: dict[str, Any], torn: str = "") -> Usage:
    path = tmp_path / "rollout.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (HEAD, *rows)) + torn)
    return read(str(path))[0]


def test_each_request_counts_once_and_each_item_has_its_share(tmp_path: Path) -> None:
    usage = used(
        tmp_path,
        request(1000, 400, 50), call("claim_next_task", "a"),
        request(100), call("complete_task", "a", success=False),
        request(20), call("complete_task", "a"),
        request(3000), call("claim_next_task", "a"),
        request(5, 0, 2), call("block_task", "a"),
        request(7), call("claim_next_task", None),
        OVER,
    )  # fmt: skip
    assert usage.known and usage.complete
    assert usage.total == (600 + 100 + 20 + 3000 + 5 + 7, 52, 400, 0)
    assert [(item, sum(share)) for item, share in usage.by_id] == [("a", 120), ("a", 7)]


def test_a_run_that_was_cut_off_or_summed_up_is_told_as_at_least(tmp_path: Path) -> None:
    cut = used(tmp_path, request(10), torn='{"type": "token_usage_record", "payl')
    assert cut.known and not cut.complete and sum(cut.total) == 10
    assert used(tmp_path, request(1), {"type": "compacted", "payload": {}}, OVER).compacted
    assert not used(tmp_path, {"type": "token_usage_record", "payload": {}}, OVER).known
