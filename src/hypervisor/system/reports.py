"""What a report is made of. Only types are checked by it: nothing has to load this."""

from __future__ import annotations

from typing import TypedDict


class Report(TypedDict, total=False):
    """What is told of the end of an item, by its worker and by what looked at its work."""

    summary: str
    reason: str
    cause: str
    evidence: str
    next_step: str
    note: str
    commit: str
    files: list[str]
    verify: str
    checks: dict[str, dict[str, object]]
    forced: list[str]
    off_limits: list[str]
    unnamed: list[str]
    # Of work on a branch.
    branch: str
    unchanged: bool
    outside: list[str]
    kept: list[str]
    assignee: str
    # Of triage.
    action: str
    changes: list[str]
    rule: str
    close_reason: str
    complexity: str
    notes: list[str]
