"""`task_manager`, an MCP server: words of MCP clients turned into words of the program."""

from __future__ import annotations
