"""A judge's answer, read strictly: what is not a verdict is none."""

from __future__ import annotations

from typing import NamedTuple

from hypervisor.system.errors import HypervisorError
from hypervisor.system.reading import json_value
from hypervisor.system.text import one_line

_LONGEST = 1000


class Verdict(NamedTuple):
    """Whether a report passes, why, and by which words; `tokens` by kind, where they are known."""

    passes: bool
    reason: str
    evidence: str
    tokens: dict[str, int] | None


def verdict(answer: str, tokens: dict[str, int] | None) -> Verdict:
    """Return the verdict that an answer is: a JSON object, by itself, in one fence or in the last
    line. Raises HypervisorError."""
    text = answer.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        text = text[text.index("\n") : -3].strip()
    for candidate in (text, text.rpartition("\n")[2]):
        try:
            told = json_value(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict) and type(told.get("pass")) is bool:
            reason, evidence = told.get("reason"), told.get("evidence")
            if isinstance(reason, str) and reason.strip():
                words = evidence if isinstance(evidence, str) else ""
                return Verdict(told["pass"], reason.strip()[:_LONGEST], words[:_LONGEST], tokens)
    raise HypervisorError(
        f"it answered without a verdict: {one_line(text[:200]) or 'nothing'}",
        '{"pass": …, "reason": …, "evidence": …} is one',
    )
