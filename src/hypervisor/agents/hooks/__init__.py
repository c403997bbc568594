"""The clients' events: each is turned into words of the program, and holds no rule of its own.

Handlers know the names and shapes of the client whose plugin this is; the others' events are read
as these (see `clients`).
"""

from __future__ import annotations

import os
import sys

from hypervisor.agents import clients
from hypervisor.config.roots import root_in_use
from hypervisor.ledger.store import NoLedger
from hypervisor.system import hook_errors
from hypervisor.system.errors import HypervisorError
from hypervisor.system.quick_json import dumps
from hypervisor.system.reading import at, json_value
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hypervisor.ledger import Ledger

    Handler = Callable[[Ledger, "Event"], "dict[str, object] | None"]


# With these, claims may have ended of which no worker said so.
_ENDS = frozenset(("SubagentStop", "StopFailure", "SessionEnd"))
# Each event loads what it needs: it is a start of Python of its own.
HANDLERS = {
    "PostToolUse": "tool_use.tool_used",
    "PostToolUseFailure": "tool_use.tool_used",
    "PermissionRequest": "workers.permission_asked",
    "PermissionDenied": "workers.permission_denied",
    "SubagentHandback": "workers.handing_back",
    "SubagentStop": "workers.stopped",
    "StopFailure": "workers.failed",
    "SessionStart": "session.started",
    "UserPromptSubmit": "session.prompted",
    "Stop": "session.turn_ended",
    "SessionEnd": "session.ended",
}
# In the environment, since others can read the words of a command.
_HEAD = b"HYPERVISOR_HEAD"


class Event:
    """One call of a hook, in the words that the handlers know, and what most of them ask of it.

    `client` has sent it; `sent_as` is its own name for the event.
    """

    def __init__(self, name: str, payload: dict[str, object]) -> None:
        self.sent_as = name
        self.client = clients.sender(name, payload)
        self.name, self.payload = self.client.read(name, payload)
        self.session: str = self.text("session_id")
        self.agent: str = self.text("agent_id")

    def text(self, key: str) -> str:
        """Return the string at `key`, or "" if there is none."""
        value = self.payload.get(key)
        return value if isinstance(value, str) else ""

    def asked(self, key: str) -> str:
        """Return what the tool was called with at `key`, or "" if there is nothing."""
        return str(at(self.payload, "tool_input", key) or "")

    def transcript_of(self, agent: str | None = None) -> str | None:
        """Return where the client keeps the transcript of an agent of the session."""
        return self.client.transcript_of(self.text("transcript_path"), agent or self.agent)


def run(name: str) -> str:
    """Handle the event `name`, its payload on standard input, and return what the client is to be
    told, "" for nothing. Raises nothing: a hook breaks no session."""
    if name == "PreToolUse":
        return _before(name)
    try:
        event = Event(name, _payload())
        if event.session:
            from hypervisor.ledger import Ledger

            cwd = event.text("cwd")
            with Ledger.open(root_in_use(cwd or None), patience=0) as ledger:
                return _told(handle(ledger, event))
    except NoLedger:
        pass
    except Exception as error:  # whatever it is, the session goes on
        from hypervisor.ledger.damage import explained

        root = root_in_use()
        hook_errors.keep(root, explained(root, error) or error)
    return ""


def _told(answer: dict[str, object] | None) -> str:
    return "" if answer is None else dumps(answer)


def _before(name: str) -> str:
    """Say whether a tool call may be made. What is refused or asked about doesn't hang on a ledger:
    whatever that holds has no part in it. Where it can't be told, the user is asked."""
    from hypervisor.agents.hooks import permission

    try:
        payload = _payload()
        if not payload:
            raise HypervisorError("the client said nothing of the call")
        answer = permission.before_tool(Event(name, payload))
    except Exception as error:
        answer = permission.decided(name, "ask", f"hypervisor can't tell: {error!r}"[:300])
    return _told(answer)


def _sent() -> str:
    """Return what the client has sent: what the guard has read of it, and the rest."""
    head = os.environb.pop(_HEAD, b"")
    source = getattr(sys.stdin, "buffer", None)
    if source is None:
        return head.decode("utf-8", "surrogateescape") + sys.stdin.read()
    return b"".join((head, source.read())).decode("utf-8", "surrogateescape")


def _payload() -> dict[str, object]:
    """Return what the client says of its event. Raises HypervisorError for no JSON."""
    try:
        payload = json_value(_sent() or "{}")
    except (ValueError, RecursionError) as error:
        raise HypervisorError(
            f"what the client said of an event is no JSON: {one_line(error, 200)}",
            "update the client or hypervisor: hypervisor doctor",
        ) from None
    return payload if isinstance(payload, dict) else {}


def handle(ledger: Ledger, event: Event) -> dict[str, object] | None:
    """Carry out what `event` means, and return what the client is to be told, if anything."""
    module, _, name = HANDLERS.get(event.name, "").partition(".")
    answer = None
    if module:
        loaded = __import__(f"hypervisor.agents.hooks.{module}", fromlist=[name])
        handler: Handler = getattr(loaded, name)
        answer = handler(ledger, event)
    if event.name in _ENDS:
        from hypervisor.worker import off_limits

        off_limits.look_after(ledger)
    return None if answer is None else event.client.answer(event.sent_as, answer)


def context(event: str, text: str) -> dict[str, object]:
    """Return the answer that puts `text` before the model."""
    return {"hookSpecificOutput": {"hookEventName": event, "additionalContext": text}}


def meet(ledger: Ledger, event: Event) -> None:
    """Note that the hooks of this session work, and which process its client is."""
    import time

    known = ledger.sessions.find(event.session)
    if known is None or known.heard_at is None or time.time() - known.seen_at > 60:
        if not event.client.tells_session:
            # What the environment tells is of another client, which this one may run inside of.
            ledger.sessions.meet(event.session, heard=True)
            return
        from hypervisor.config.caller import Caller

        client = Caller()
        ledger.sessions.meet(
            event.session,
            pid=client.pid,
            pid_start=client.pid_start,
            headless=client.headless,
            heard=True,
        )
