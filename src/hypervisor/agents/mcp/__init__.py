"""`task_manager`, an MCP server: words of MCP clients turned into words of the program."""

from __future__ import annotations

SERVER = "task_manager"
# What a worker of a pool may call of it.
TOOLS = (
    "claim_next_task", "get_task", "complete_task", "block_task", "release_task", "suggest_task",
)  # fmt: skip
