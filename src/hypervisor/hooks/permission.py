"""What an agent may run of our verbs, and what of them the user is asked about."""

from __future__ import annotations

import os

from hypervisor.agents import rights
from hypervisor.config.roots import find_root
from hypervisor.hooks import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hypervisor.ledger import Ledger


def before_tool(event: Event) -> dict[str, Any] | None:
    """A tool is about to be used: refuse, or have the user asked, where `rights` says so.

    None leaves it to the client and its own rules.
    """
    if event.text("tool_name") != "Bash":
        return None
    cwd = event.text("cwd") or os.getcwd()
    verdict = rights.judge(
        event.asked("command"),
        worker=bool(event.agent),
        root=find_root(cwd),
        cwd=cwd,
        planning=event.text("permission_mode") == "plan",
    )
    return decided(event.name, verdict.decision, verdict.reason) if verdict else None


def question(ledger: Ledger, event: Event) -> dict[str, Any] | None:
    """A session that has queues may always ask how they stand: the skill's grant ends with the
    turn in which the user called it, while the news comes later."""
    if event.text("tool_name") != "Bash" or not rights.is_question(event.asked("command")):
        return None
    if not ledger.followed(event.session):
        return None
    answer = {"hookEventName": event.name, "decision": {"behavior": "allow"}}
    return {"hookSpecificOutput": answer}


def decided(event: str, decision: str, reason: str) -> dict[str, Any]:
    """Return the answer of a hook that runs before a tool: "ask" or "deny", and why."""
    answer = {
        "hookEventName": event,
        "permissionDecision": decision,
        "permissionDecisionReason": reason,
    }
    return {"hookSpecificOutput": answer}
