"""Events of workers: the permissions that they lack, and the ways in which they end."""

from __future__ import annotations

from hypervisor.agents import reconcile, use
from hypervisor.agents.hooks import Event
from hypervisor.agents.hooks.tool_use import call_of, join, note_unseen
from hypervisor.ledger import calls
from hypervisor.system.late import late
from hypervisor.system.reading import at, objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger import Ledger

_LAG = 0.5
# A command that a rule can name as it is.
_PLAIN = late(r"[\w./-]+( [\w./:=@+-]+){0,5}")


def permission_asked(ledger: Ledger, event: Event) -> dict[str, object] | None:
    """Somebody needs a tool that nobody has allowed: what belongs to the work is granted; what a
    worker lacks is kept as the rule that would allow it."""
    if rules := _suggested(event.payload):
        from hypervisor.worker import off_limits

        off_limits.asked(ledger, rules)
    from hypervisor.agents.hooks import permission

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
        join(ledger, event)
        known = ledger.agents.find(event.agent)
        held = ledger.sessions.held_by(event.session, event.agent)
        for queue in {row.queue for row in held} | ({known.queue} if known else set()):
            call, rule = call_of(event.payload), _rule(event.payload)
            if rule is not None:
                ledger.agents.note_permission(queue, event.agent, call, rule)
                calls.wake(ledger.state, event.agent)


def stopped(ledger: Ledger, event: Event) -> dict[str, object] | None:
    """A worker ended its turn; it is sent back if it holds an item that it hasn't reported."""
    last = event.text("last_assistant_message")
    again = bool(event.payload.get("stop_hook_active"))
    words = reconcile.stopped(ledger, event.session, event.agent, last_message=last, again=again)
    if words:
        return {"decision": "block", "reason": words}
    transcript = event.text("agent_transcript_path") or None
    if ledger.agents.note(event.agent, event.session, transcript=transcript, how="stopped"):
        note_unseen(ledger, event)
        reconcile.settle(ledger)
        use.collect(ledger, event.agent, wait=_LAG)
    calls.forget(ledger.state, (event.agent,))
    return None


def handing_back(ledger: Ledger, event: Event) -> dict[str, object] | None:
    """A worker is about to end by the tool for that, after which `stopped` can't send it back: what
    holds for that holds here, where its last words are heard, too."""
    if not event.agent:
        return None
    last = event.asked("message")
    words = reconcile.stopped(ledger, event.session, event.agent, last_message=last, again=False)
    if not words:
        return None
    from hypervisor.agents.hooks import permission

    return permission.decided("PreToolUse", "deny", words)


def failed(ledger: Ledger, event: Event) -> None:
    """An API error ended a worker, or (without an agent) the session's own turn."""
    code, said = event.text("error"), event.text("last_assistant_message")
    path = event.transcript_of()
    reconcile.failed(ledger, event.session, event.agent, said or code, code=code, transcript=path)
    if event.agent and ledger.agents.note(
        event.agent, event.session, transcript=path, how="API error"
    ):
        note_unseen(ledger, event)
        reconcile.settle(ledger)
        use.collect(ledger, event.agent)


def _suggested(payload: dict[str, object]) -> list[str]:
    """Return the rules that the client offers its person to keep."""
    rules = []
    for suggestion in objects(payload.get("permission_suggestions")):
        for rule in objects(suggestion.get("rules")):
            content = rule.get("ruleContent")
            name = rule.get("toolName") or str(payload.get("tool_name") or "")
            rules.append(f"{name}({content})" if content else str(name))
    return rules


def _rule(payload: dict[str, object]) -> str | None:
    """Return the permission rule for the call, in the form of the client's settings; None for what
    no worker is to be allowed."""
    tool = str(payload.get("tool_name") or "")
    command = at(payload, "tool_input", "command")
    if isinstance(command, str) and command.startswith("hypervisor ") and command.split()[1:]:
        from hypervisor.agents import rights, verbs

        verb = command.split()[1]
        return rights.rule(verb) if verb in verbs.WORKER_VERBS else None
    if rules := _suggested(payload):
        return rules[0]
    if isinstance(command, str) and command.split():
        plain = _PLAIN.fullmatch(command.strip())
        return f"{tool}({plain[0] if plain else command.split()[0]}:*)"
    return tool
