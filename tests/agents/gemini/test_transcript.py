"""Tokens out of a Gemini CLI transcript; the rows are those of the real client."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from hypervisor.agents.claude.failure import last_error
from hypervisor.agents.transcripts import read
from hypervisor.agents.usage import Usage

HEAD = {"sessionId": "s", "projectHash": "p", "kind": "main"}


def message(number: int, total: int, *calls: tuple[str, str]) -> dict[str, Any]:
    """A response of `total` tokens, 100 of them output and 50 cached."""
    tokens = {"input": total - 100, "output": 60, "cached": 50, "thoughts": 40, "tool": 0,
              "total": total}  # fmt: skip
    row: dict[str, Any] = {"id": f"m{number}", "type": "gemini", "content": "", "tokens": tokens}
    if calls:
        row["toolCalls"] = [
            {
                "name": f"mcp_task_manager_{name}",
                "status": "success",
                "result": [{"functionResponse": {"response": {"output":
                    f'<untrusted_context>\n{{"success": true, "task": {{"id": "{item}"}}}}'}}}],
            }
            for name, item in calls
        ]  # fmt: skip
    return row


def written(tmp_path: Path, *rows: dict[str, Any], torn: str = "") -> str:
    path = tmp_path / "session.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (HEAD, *rows)) + torn)
    return str(path)


def usage_in(path: str) -> Usage:
    return read(path)[0]


def test_each_response_counts_once_and_each_item_has_its_share(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        message(1, 1000),
        message(1, 1000, ("claim_next_task", "a")),
        {"$set": {"lastUpdated": "x"}},
        message(2, 2000),
        message(3, 3000, ("complete_task", "a")),
        message(4, 4000, ("claim_next_task", "b")),
        message(5, 5000, ("block_task", "b")),
        message(6, 6000, ("claim_next_task", "a")),
        message(7, 7000),
        torn='{"id": "m8", "type": "gem',
    )
    used = usage_in(path)
    assert used.known and used.complete
    assert sum(used.total) == 28000
    assert used.total == (28000 - 700 - 350, 700, 350, 0)
    assert [(item, sum(share)) for item, share in used.by_id] == [
        ("a", 5000),
        ("b", 5000),
        ("a", 7000),
    ]


def test_an_unknown_shape_is_unknown_and_not_zero(tmp_path: Path) -> None:
    row = message(1, 1000)
    del row["tokens"]["total"]
    assert not usage_in(written(tmp_path, row)).known


DEEP = "[" * 900 + "]" * 900


def test_rows_of_any_other_shape_are_passed_over(tmp_path: Path) -> None:
    odd = message(1, 1000) | {
        "toolCalls": [None, 3, "x", {"name": 7}, {"result": json.loads(DEEP)}]
    }
    claim = message(2, 1000, ("claim_next_task", "\\x"))
    path = written(tmp_path, odd, claim)
    with open(path, "a") as more:
        more.write("[" * 100_000 + "\n[1]\n3\n" + json.dumps(message(3, 500)) + "\n")
    used = usage_in(path)
    assert (sum(used.total), used.by_id) == (2500, [])


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_transcript_that_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "t.jsonl"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(OSError, match="not a regular file"):
        usage_in(str(path))
    assert last_error(str(path)) is None


def test_a_row_without_end_is_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, message(1, 1000))
    with open(path, "a") as more:
        more.write("x" * (40 << 20) + "\n" + json.dumps(message(2, 500)) + "\n")
    assert sum(usage_in(path).total) == 1500


@pytest.mark.parametrize("first", ["", '{"projectHash": "p"}\n'], ids=["Claude Code", "Gemini CLI"])
def test_a_file_of_nothing_but_broken_rows_is_given_up_soon(tmp_path: Path, first: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(first + "a\n# b\nsub/..\n" * 1_000_000)
    began = time.process_time()
    used = usage_in(str(path))
    assert last_error(str(path)) is None
    assert time.process_time() - began < 1
    assert not used.known, "what it has used is unknown, not zero"
    assert not used.complete


def test_rows_that_writers_left_unfinished_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, message(1, 1000), torn='{"torn\n' * 500)
    with open(path, "a") as more:
        more.write(json.dumps(message(2, 500)) + '\n{"torn')
    used = usage_in(path)
    assert (used.known, sum(used.total)) == (True, 1500)
