"""Events of workers: their tool calls, and the ways in which they end."""

from __future__ import annotations

import json
import os
import re

from hypervisor import outbox, reconcile, usage
from hypervisor.agents import rights
from hypervisor.hooks import Event, context, edits, permission
from hypervisor.system.text import one_line
from hypervisor.usage import claims_in
from hypervisor.worker import off_limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hypervisor.ledger import Ledger

_LAG = 0.5
# What of a tool's input tells most; so much of it is kept.
_TELLING = ("command", "file_path", "notebook_path", "pattern", "url", "query", "description")
_TOLD = 120
# So much of a call is searched for keys before it is cut.
_LOOKED_AT = 4000
_QUEUE = re.compile(r"^\s*queue ([A-Za-z0-9_-][A-Za-z0-9_.-]*)")
_HANDS_OUT = re.compile(r"\bhypervisor[\"']? (?:next|done|pull)\b")
# What `hypervisor open` prints.
_OPENED = re.compile(
    r"^queue ([A-Za-z0-9_-][A-Za-z0-9_.-]*): [0-9]+ items added"
    r'|^\{"queue": "([A-Za-z0-9_-][A-Za-z0-9_.-]*)", "generation"',
    re.MULTILINE,
)
# A command that a rule can name as it is.
_PLAIN = re.compile(r"[\w./-]+( [\w./:=@+-]+){0,5}")
_NEXT = re.compile(r"\bhypervisor next ([A-Za-z0-9_-][A-Za-z0-9_.-]*)")


def tool_used(ledger: Ledger, event: Event) -> dict[str, Any] | None:
    """A tool call ended: learn from it who holds what, and renew the worker's leases. One that
    takes too much for an item loses it, and is told."""
    from hypervisor.hooks import session

    meet(ledger, event)
    if not event.agent and event.text("tool_name") == "AskUserQuestion":
        _answered(ledger, event)
    if not event.agent and "hypervisor wait" in event.asked("command"):
        # Turns that wait are long, and notices that come in their middle fire no hook everywhere.
        session.read_notices(ledger, event)
    if event.agent and event.name == "PostToolUse":
        ledger.permission_given(event.agent, _call(event.payload))
    if event.from_gemini:
        _used_in_gemini(ledger, event)
    elif event.text("tool_name") == "Bash":
        tokens = claims_in(_output(event))
        if tokens and not ledger.assign(event.session, event.agent, tokens):
            # A worker's own processes may still go by the name of a cleared session.
            ledger.inherit(event.session)
            ledger.assign(event.session, event.agent, tokens)
        if event.agent:
            _join(ledger, event)
    elif event.text("tool_name") == "Agent":
        _started(ledger, event)
    elif event.text("tool_name") == "TaskStop":
        _task_stopped(ledger, event)
    edits.after(ledger, event)
    _note_unseen(ledger, event)
    ledger.renew(event.session, event.agent)
    if not event.agent:
        return None
    if ledger.saw_tool(event.agent, _told(event)):
        reconcile.note_use(ledger, event.agent)
    words = reconcile.overrun(ledger, event.session, event.agent)
    if words is None:
        return None
    off_limits.settle(ledger)
    return context(event.name, words)


def permission_asked(ledger: Ledger, event: Event) -> dict[str, Any] | None:
    """Somebody needs a tool that nobody has allowed: what belongs to the work is granted; what a
    worker lacks is kept as the rule that would allow it."""
    if rules := _suggested(event.payload):
        off_limits.asked(ledger, rules)
    granted = permission.requested(ledger, event)
    if granted is not None:
        return granted
    _lacks(ledger, event)
    return None


def permission_denied(ledger: Ledger, event: Event) -> None:
    """The client's own check has refused a tool without a dialog: a worker lacks it just the
    same."""
    _lacks(ledger, event)


def _lacks(ledger: Ledger, event: Event) -> None:
    if event.agent:
        _join(ledger, event)
        known = ledger.agent(event.agent)
        held = ledger.held_by(event.session, event.agent)
        for queue in {row["queue"] for row in held} | ({known["queue"]} if known else set()):
            call, rule = _call(event.payload), _rule(event.payload)
            if rule is not None:
                ledger.note_permission(queue, event.agent, call, rule)


def stopped(ledger: Ledger, event: Event) -> dict[str, Any] | None:
    """A worker ended its turn; it is sent back if it holds an item that it hasn't reported."""
    last = event.text("last_assistant_message")
    again = bool(event.payload.get("stop_hook_active"))
    words = reconcile.stopped(ledger, event.session, event.agent, last_message=last, again=again)
    if words:
        return {"decision": "block", "reason": words}
    transcript = event.text("agent_transcript_path") or None
    if ledger.note_agent(event.agent, event.session, transcript=transcript, how="stopped"):
        _note_unseen(ledger, event)
        outbox.flush(ledger)
        reconcile.collect(ledger, event.agent, wait=_LAG)
    return None


def handing_back(ledger: Ledger, event: Event) -> dict[str, Any] | None:
    """A worker is about to end by the tool for that, after which `stopped` can't send it back: what
    holds for that holds here, where its last words are heard, too."""
    if not event.agent:
        return None
    last = event.asked("message")
    words = reconcile.stopped(ledger, event.session, event.agent, last_message=last, again=False)
    return permission.decided("PreToolUse", "deny", words) if words else None


def failed(ledger: Ledger, event: Event) -> None:
    """An API error ended a worker, or (without an agent) the session's own turn."""
    code, said = event.text("error"), event.text("last_assistant_message")
    path = transcript_of(event)
    reconcile.failed(ledger, event.session, event.agent, said or code, code=code, transcript=path)
    if event.agent and ledger.note_agent(
        event.agent, event.session, transcript=path, how="API error"
    ):
        _note_unseen(ledger, event)
        outbox.flush(ledger)
        reconcile.collect(ledger, event.agent)


def transcript_of(event: Event, agent: str | None = None) -> str | None:
    """Return where the client keeps the transcript of a session's agent."""
    base, dot, _ = event.text("transcript_path").rpartition(".jsonl")
    return f"{base}/subagents/agent-{agent or event.agent}.jsonl" if dot else None


def meet(ledger: Ledger, event: Event) -> None:
    """Note that the hooks of this session work, and which process its client is."""
    import time

    from hypervisor.caller import Caller

    known = ledger.session(event.session)
    if known is None or known["heard_at"] is None or time.time() - known["seen_at"] > 60:
        if event.from_gemini:
            # What the environment tells is of Claude Code, which this client may run inside of.
            ledger.meet(event.session, heard=True)
            return
        client = Caller()
        ledger.meet(
            event.session,
            pid=client.pid,
            pid_start=client.pid_start,
            headless=client.headless,
            heard=True,
        )


def _join(ledger: Ledger, event: Event) -> None:
    """Note for which queue a worker works: it may never be handed anything."""
    _join_named(ledger, event, event.agent, _NEXT.search(event.asked("command")))


def _used_in_gemini(ledger: Ledger, event: Event) -> None:
    """Learn from a shell call what its session holds and follows: its shell knows no session."""
    if event.text("tool_name") != "Bash":
        return
    output = _output(event)
    if _HANDS_OUT.search(event.asked("command")):
        ledger.assign(event.session, "", claims_in(output), unknown=True)
    for plain, quoted in _OPENED.findall(output):
        if any(queue["name"] == (plain or quoted) for queue in ledger.queues()):
            ledger.follow(event.session, plain or quoted)


def _started(ledger: Ledger, event: Event) -> None:
    """The session has started a worker: note for which queue, from the prompt that it got."""
    response = event.payload.get("tool_response")
    agent = response.get("agentId") if isinstance(response, dict) else None
    if isinstance(agent, str):
        _join_named(ledger, event, agent, _QUEUE.search(event.asked("prompt")))


def _join_named(ledger: Ledger, event: Event, agent: str, name: re.Match[str] | None) -> None:
    for queue in ledger.followed(event.session) if name else ():
        if name and queue["name"] == name[1].rstrip("."):
            ledger.join(agent, event.session, queue["no"], transcript_of(event, agent))


def _note_unseen(ledger: Ledger, event: Event) -> None:
    """Note what the client asks the service for this worker that no transcript tells."""
    mode = event.text("permission_mode")
    if event.agent and mode:
        reconcile.note_unseen(ledger, event.agent, usage.unseen(mode, os.environ))


def _answered(ledger: Ledger, event: Event) -> None:
    """The session has asked its user, who chose an answer: all but a no let it go on."""
    response = event.payload.get("tool_response")
    answers = response.get("answers") if isinstance(response, dict) else None
    chosen = [str(one).strip().lower() for one in answers.values()] if answers else []
    if not any(re.match(r"no\b", one) for one in chosen):
        ledger.note_answer(event.session)


def _told(event: Event) -> str:
    """Return a tool call in a few words, for people who look at the worker."""
    words = (event.asked(key) for key in _TELLING)
    what = next((word for word in words if word), "")
    if what:
        from hypervisor.system.redact import Redactor

        what = Redactor().text(what[:_LOOKED_AT])
    tool = one_line(event.text("tool_name"), 60)
    return f"{tool}: {one_line(what, _TOLD)}" if what else tool


def _task_stopped(ledger: Ledger, event: Event) -> None:
    """The session has ended a worker, of which no other event tells: a person has it do that."""
    response = event.payload.get("tool_response")
    agent = response.get("task_id") if isinstance(response, dict) else None
    if isinstance(agent, str):
        path = transcript_of(event, agent)
        reconcile.person_stopped(ledger, event.session, agent, transcript=path)


def _output(event: Event) -> str:
    response = event.payload.get("tool_response")
    if isinstance(response, dict):
        return str(response.get("stdout") or "")
    return str(response or event.payload.get("error") or "")


def _call(payload: dict[str, Any]) -> str:
    """Return what tells this tool call from others of its worker."""
    return json.dumps([payload.get("tool_name"), payload.get("tool_input")], sort_keys=True)[:2000]


def _suggested(payload: dict[str, Any]) -> list[str]:
    """Return the rules that the client offers its person to keep."""
    rules = []
    for suggestion in _objects(payload.get("permission_suggestions")):
        for rule in _objects(suggestion.get("rules")):
            content = rule.get("ruleContent")
            name = rule.get("toolName") or str(payload.get("tool_name") or "")
            rules.append(f"{name}({content})" if content else str(name))
    return rules


def _objects(told: object) -> list[dict[str, Any]]:
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


def _rule(payload: dict[str, Any]) -> str | None:
    """Return the permission rule for the call, in the form of the client's settings; None for what
    no worker is to be allowed."""
    tool = str(payload.get("tool_name") or "")
    wanted = payload.get("tool_input")
    command = wanted.get("command") if isinstance(wanted, dict) else None
    if isinstance(command, str) and command.startswith("hypervisor ") and command.split()[1:]:
        verb = command.split()[1]
        return rights.rule(verb) if verb in rights.WORKER_VERBS else None
    if rules := _suggested(payload):
        return rules[0]
    if isinstance(command, str) and command.split():
        plain = _PLAIN.fullmatch(command.strip())
        return f"{tool}({plain[0] if plain else command.split()[0]}:*)"
    return tool
