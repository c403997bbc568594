"""A client that nothing in the program knows of: a folder like those in `src/hypervisor/agents`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypervisor.agents.client import Headless
from hypervisor.agents.clients import Client
from hypervisor.agents.finding import Finding, note
from hypervisor.agents.usage import Usage, add

EVENTS = {"ToolEnded": "PostToolUse", "Asked": "UserPromptSubmit"}


class Throwaway(Client):
    """See `Client`."""

    title = "Throwaway"
    variables = ("THROWAWAY_",)
    no_branch = "it can't stand two folders"

    def headless(self, *, model: str | None, turns: int, words: Sequence[str]) -> Headless:
        from agents.throwaway.client import Worker

        return Worker()

    def look(self, root: str, seconds: float) -> list[Finding]:
        return [note("throwaway", "installed", "nobody would")]

    def sent(self, event: str, payload: Mapping[str, Any]) -> bool:
        return event in EVENTS

    def read(self, event: str, payload: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        told = {"session_id": payload["id"], "cwd": payload["where"], "prompt": "hello"}
        if "ran" in payload:
            told |= {"tool_name": "Bash", "tool_input": {"command": payload["ran"]}}
            told["tool_response"] = {"stdout": payload["said"]}
        return EVENTS[event], told

    def answer(self, event: str, given: dict[str, Any]) -> dict[str, Any] | None:
        return {"say": given["hookSpecificOutput"]["additionalContext"]}

    def wrote(self, first: str) -> bool:
        return first.startswith('{"throwaway"')

    def sum_up(self, rows: Iterable[str]) -> Usage:
        usage = Usage()
        for row in map(json.loads, rows):
            if "tokens" in row:
                figures = (row["tokens"], 1, 0, 0)
                usage.total = add(usage.total, figures)
                usage.by_id.append((row["item"], figures))
        usage.complete = True
        return usage


CLIENT = Throwaway()
