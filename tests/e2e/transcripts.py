"""The client's transcripts, read for a test. Not the program's own reader: that is under test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from e2e.tokens import Tokens

_FIELDS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)


@dataclass(frozen=True)
class Transcript:
    """One session's or one worker's file."""

    path: Path

    @property
    def agent(self) -> str:
        """The worker's id; empty for a session's own file."""
        stem = self.path.stem
        return stem.removeprefix("agent-") if self.path.parent.name == "subagents" else ""

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    @property
    def meta(self) -> dict[str, Any]:
        """What stands in the file beside a worker's transcript."""
        path = self.path.with_suffix(".meta.json")
        return json.loads(path.read_text()) if path.exists() else {}

    @property
    def tokens(self) -> Tokens:
        """Its responses' tokens; rows of one response repeat its id and count once."""
        responses: dict[str, dict[str, int]] = {}
        for row in self.rows:
            message = row.get("message")
            if row.get("type") == "assistant" and message["model"] != "<synthetic>":
                responses[message["id"]] = message["usage"]
        total = Tokens()
        for usage in responses.values():
            total = total.plus(Tokens(*(usage[name] for name in _FIELDS)))
        return total
