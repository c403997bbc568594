"""What an agent may do without a dialog, what it may not, and what the user is asked about."""

from __future__ import annotations

import os

from hypervisor.agents import rights, tools, verbs
from hypervisor.agents.hooks import Event, edits
from hypervisor.config.roots import find_root, root_in_use
from hypervisor.config.tools import PREFIX
from hypervisor.ledger import Ledger, NoLedger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypervisor.agents.grants import Grant


def before_tool(event: Event) -> dict[str, object] | None:
    """A tool is about to be used: refuse, or have the user asked, where `rights` says so; allow
    what `grants` does. None leaves it to the client and its own rules.

    The client applies the user's own ask and deny rules behind an answer that allows.
    """
    cwd = event.text("cwd") or os.getcwd()
    if event.agent and event.text("agent_type") == tools.AGENT:
        told = tools.judge(event.text("tool_name"), event.asked("command"), _given(event, cwd))
        if told is not None:
            return decided(event.name, told.decision, told.reason)
    if event.text("tool_name") == "Bash":
        verdict = rights.judge(
            event.asked("command"),
            worker=bool(event.agent),
            root=find_root(cwd),
            cwd=cwd,
            planning=event.text("permission_mode") == "plan",
            typed=lambda path: _has_typed(event, path),
        )
        if verdict is not None:
            if verdict.decision != "ask" or not _said_beforehand(event, cwd):
                return decided(event.name, verdict.decision, verdict.reason)
            return decided(event.name, "allow", "hypervisor: the user has said so")
    known = _by_the_ledger(event)
    return decided(event.name, *known) if known else None


def _given(event: Event, cwd: str) -> list[str]:
    """Return the tools that were given to the queues whose items the agent holds."""
    if not event.text("tool_name").startswith(PREFIX):
        return []
    try:
        with Ledger.open(root_in_use(cwd), patience=0) as ledger:
            held = ledger.sessions.heard(event.session, event.agent)
            queues = {row.queue_name for row in held}
            return [tool for queue in queues for tool in ledger.terms.tools(queue)]
    except NoLedger:
        return []


def requested(ledger: Ledger, event: Event) -> dict[str, object] | None:
    """A dialog is about to be shown: answer it with what `grants` allows.

    Such an answer overrides the user's ask rules. So there is none where one of theirs names the
    tool, or may match, or can't be read.
    """
    grant = _grant(ledger, event)
    if grant is None:
        return None
    if event.client.may_ask(event.text("tool_name"), (event.text("cwd"), ledger.root)):
        return None
    ledger.sessions.note_grant(grant.queues, grant.what)
    answer = {"hookEventName": event.name, "decision": {"behavior": "allow"}}
    return {"hookSpecificOutput": answer}


def _by_the_ledger(event: Event) -> tuple[str, str] | None:
    """Return the decision and its reason by what the ledger knows, None where the client is to
    decide, also where the ledger can't be asked."""
    from hypervisor.system import hook_errors

    tool = event.text("tool_name")
    if tool == "Bash" and "hypervisor " not in event.asked("command"):
        return None
    root = root_in_use(event.text("cwd") or None)
    try:
        with Ledger.open(root, patience=0) as ledger:
            edits.before(ledger, event)
            grant = _grant(ledger, event)
            if grant is None:
                return _lost(ledger, event)
            ledger.sessions.note_grant(grant.queues, grant.what)
            return "allow", f"hypervisor: {grant.what}"
    except NoLedger:
        return None
    except Exception as error:  # whatever it is, the client decides
        hook_errors.keep(root, error)
        return None


def _lost(ledger: Ledger, event: Event) -> tuple[str, str] | None:
    """Refuse a change by a worker whose item is somebody else's by now: nobody is there to answer a
    dialog, and two would work on one item."""
    from hypervisor.agents.grants import OURS

    asks = event.text("permission_mode") not in ("bypassPermissions", "plan")
    ours = event.agent and event.text("agent_type").startswith(OURS)
    if not (asks and ours and event.text("tool_name") in rights.CHANGING_TOOLS):
        return None
    token = ledger.sessions.lost_by(event.session, event.agent)
    return None if token is None else ("deny", "; ".join(ledger.ends.lost(token)))


def _grant(ledger: Ledger, event: Event) -> Grant | None:
    from hypervisor.agents import grants
    from hypervisor.config import by_hooks

    mode, tool = event.text("permission_mode"), event.text("tool_name")
    # A plan changes nothing, and where all is allowed nothing needs us.
    if (
        mode == "bypassPermissions"
        or (mode == "plan" and tool != "Bash")
        or not event.client.hooks_allow
    ):
        return None
    asked = event.payload.get("tool_input")
    grant = grants.for_call(
        ledger,
        session=event.session,
        agent=event.agent,
        kind=event.text("agent_type"),
        tool=tool,
        asked=asked if isinstance(asked, dict) else {},
        cwd=event.text("cwd") or os.getcwd(),
    )
    return grant if grant is not None and by_hooks.allowed(ledger.root) else None


def _has_typed(event: Event, path: str) -> bool:
    """True for a path that the user has named in this session, at home by `~` or in full."""
    import re

    full = os.path.expanduser(path).rstrip("/")
    home = os.path.expanduser("~")
    short = f"~{full.removeprefix(home)}" if full.startswith(f"{home}/") else full
    ways = "|".join(re.escape(way) for way in (path.rstrip("/"), full, short) if way)
    pattern = rf"(?<![\w/.~-])(?:{ways})(?![\w-]|/\w)"
    return bool(ways) and event.client.has_typed(event.text("transcript_path"), pattern)


def _said_beforehand(event: Event, cwd: str) -> bool:
    """True for a command that opens a queue with what the user has typed in this session."""
    import re

    from hypervisor.agents.shell_calls import only_calls

    calls = only_calls(event.asked("command")) or []
    if event.agent or len(calls) != 1 or calls[0].verb != "open":
        return False
    if not all(_has_typed(event, p) for p in rights.outsiders(calls[0], find_root(cwd), cwd)):
        return False
    said = said_by_user(calls[0].words)
    return bool(said) and all(
        event.client.has_typed(
            event.text("transcript_path"), rf"{option}[ =]{re.escape(value)}(?![\w:]|[.,-]\w)"
        )
        for option, value in said.items()
    )


def said_by_user(words: Sequence[str]) -> dict[str, str]:
    """Return those of the options of `open` that the user has to have said, with their values; none
    where one stands there twice or has no plain value."""
    import re

    said: dict[str, str] = {}
    for word, follows in zip(words, (*words[1:], ""), strict=True):
        option, given, value = word.partition("=")
        value = value if given else follows
        if option in verbs.MORE["open"]:
            if option in said or not re.fullmatch(r"[\w.,:-]+", value):
                return {}
            said[option] = value
    return said


def decided(event: str, decision: str, reason: str) -> dict[str, object]:
    """Return the answer of a hook that runs before a tool: "allow", "ask" or "deny", and why."""
    answer = {
        "hookEventName": event,
        "permissionDecision": decision,
        "permissionDecisionReason": reason,
    }
    return {"hookSpecificOutput": answer}
