"""A judge's answer, read strictly: what is not a verdict is none."""

from __future__ import annotations

import re
from typing import NamedTuple

from hypervisor.agents.client import Answer
from hypervisor.system.errors import HypervisorError
from hypervisor.system.reading import json_value
from hypervisor.system.text import one_line

_LONGEST = 1000
_KEY = re.compile(r'"pass"\s*:')
# For a client that holds its model to one.
SCHEMA = {
    "type": "object",
    "properties": {
        "pass": {"type": "boolean"}, "reason": {"type": "string"}, "evidence": {"type": "string"},
    },
    "required": ["pass", "reason", "evidence"],
    "additionalProperties": False,
}  # fmt: skip


class Verdict(NamedTuple):
    """Whether a report passes, why, and by which words; `tokens` by kind and dollars, where they
    are known."""

    passes: bool
    reason: str
    evidence: str
    tokens: dict[str, int] | None
    usd: float | None


def verdict(answer: Answer) -> Verdict:
    """Return the verdict that an answer is: a JSON object, by itself, in one fence or in the last
    line. One beside another, which may be a work's own, is none. Raises HypervisorError."""
    text = answer.text.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        text = text[text.index("\n") : -3].strip()
    alone = len(_KEY.findall(text)) == 1
    for candidate in (text, text.rpartition("\n")[2]) if alone else ():
        try:
            told = json_value(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict) and type(told.get("pass")) is bool:
            reason, evidence = told.get("reason"), told.get("evidence")
            if isinstance(reason, str) and reason.strip():
                words = evidence if isinstance(evidence, str) else ""
                cut = reason.strip()[:_LONGEST], words[:_LONGEST]
                return Verdict(told["pass"], *cut, answer.tokens, answer.usd)
    raise HypervisorError(
        f"it answered without a verdict: {one_line(text[:200]) or 'nothing'}",
        '{"pass": …, "reason": …, "evidence": …} is one',
    )
