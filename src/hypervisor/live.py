"""A marker per queue that somebody may still have to hear of: the hooks' shell guard looks only
here, so that a session without a queue pays for no Python."""

from __future__ import annotations

import os

from hypervisor.system.keys import key
from hypervisor.system.state import State

_FOLDER = "live"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger import Ledger


def mark(state: State, queue: str) -> None:
    """Note that `queue` is at work; doing it again is harmless."""
    os.close(state.folder.below(_FOLDER, make=True).open(queue, os.O_WRONLY | os.O_CREAT))


def is_marked(state: State) -> bool:
    """True if any queue is marked."""
    try:
        return bool(state.folder.below(_FOLDER).names())
    except FileNotFoundError:
        return False


def watch_lock(session: str) -> str:
    """Return the name of the file in the state whose lock gives one watch of `session` the word."""
    return f"watch-{key(session)}.lock"


def settle(ledger: Ledger) -> None:
    """Clear the markers of queues that are over and that no living session has to hear of."""
    try:
        folder = ledger.state.folder.below(_FOLDER)
        marked = set(folder.names())
    except FileNotFoundError:
        return
    # Whatever else lies there is not ours to remove.
    for name in sorted(marked & ledger.queue_names()):
        if ledger.is_settled(name):
            folder.remove(name)
