"""Markers of queues: of those that somebody may still have to hear of, and of those whose workers
have tools. The hooks' shell guard looks only here, so that others pay for no Python."""

from __future__ import annotations

import os

from hypervisor.ledger import calls
from hypervisor.system.keys import key
from hypervisor.system.state import State

LIVE = "live"
# Of these the workers have tools of MCP servers, and what else they call is looked at.
TOOLS = "tools"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger import Ledger


def mark(ledger: Ledger, queue: str) -> None:
    """Note that `queue` is at work, and whether its workers have tools; doing it again is
    harmless."""
    for kind in (LIVE, TOOLS) if ledger.terms.tools(queue) else (LIVE,):
        folder = ledger.state.folder.below(kind, make=True)
        os.close(folder.open(queue, os.O_WRONLY | os.O_CREAT))


def is_marked(state: State) -> bool:
    """True if any queue is marked."""
    try:
        return bool(state.folder.below(LIVE).names())
    except FileNotFoundError:
        return False


def watch_lock(session: str) -> str:
    """Return the name of the file in the state whose lock gives one watch of `session` the word."""
    return f"watch-{key(session)}.lock"


def clear(ledger: Ledger) -> None:
    """Clear the markers of queues that are over and that no living session has to hear of."""
    for kind in (LIVE, TOOLS):
        try:
            folder = ledger.state.folder.below(kind)
            marked = set(folder.names())
        except FileNotFoundError:
            continue
        # Whatever else lies there is not ours to remove.
        for name in sorted(marked & ledger.queues.names()):
            if ledger.followers.is_settled(name):
                folder.remove(name)
    if not is_marked(ledger.state):
        calls.forget(ledger.state, ledger.sessions.callers())
