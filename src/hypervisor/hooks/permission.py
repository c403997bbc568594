"""What an agent may run of our verbs, and what of them the user is asked about."""

from __future__ import annotations

import os

from hypervisor.agents import rights, tools
from hypervisor.config.roots import find_root
from hypervisor.config.tools import PREFIX
from hypervisor.hooks import Event
from hypervisor.ledger import Ledger, NoLedger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def before_tool(event: Event) -> dict[str, Any] | None:
    """A tool is about to be used: refuse, or have the user asked, where `rights` says so.

    None leaves it to the client and its own rules.
    """
    cwd = event.text("cwd") or os.getcwd()
    if event.agent and event.text("agent_type") == tools.AGENT:
        told = tools.judge(event.text("tool_name"), event.asked("command"), _given(event, cwd))
        if told is not None:
            return decided(event.name, told.decision, told.reason)
    if event.text("tool_name") != "Bash":
        return None
    verdict = rights.judge(
        event.asked("command"),
        worker=bool(event.agent),
        root=find_root(cwd),
        cwd=cwd,
        planning=event.text("permission_mode") == "plan",
    )
    return decided(event.name, verdict.decision, verdict.reason) if verdict else None


def _given(event: Event, cwd: str) -> list[str]:
    """Return the tools that were given to the queues whose items the agent holds."""
    if not event.text("tool_name").startswith(PREFIX):
        return []
    try:
        with Ledger.open(find_root(cwd), patience=0) as ledger:
            held = ledger.held_by(event.session, event.agent)
            queues = {row["queue_name"] for row in held}
            return [tool for queue in queues for tool in ledger.tools(queue)]
    except NoLedger:
        return []


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
    """Return the answer of a hook that runs before a tool: "allow", "ask" or "deny", and why."""
    answer = {
        "hookEventName": event,
        "permissionDecision": decision,
        "permissionDecisionReason": reason,
    }
    return {"hookSpecificOutput": answer}
