"""A marker per queue that somebody may still have to hear of: the hooks' shell guard looks only
here, so that a session without a queue pays for no Python."""

from __future__ import annotations

import os

from hypervisor.config.roots import state_dir
from hypervisor.system.keys import key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger import Ledger


def mark(root: str, queue: str) -> None:
    """Note that `queue` is at work; doing it again is harmless."""
    with open(os.path.join(_folder(root), queue), "a", encoding="ascii"):
        pass


def clear(root: str, queue: str) -> None:
    """Note that nobody has to hear of `queue` any more."""
    try:
        os.unlink(os.path.join(_folder(root), queue))
    except FileNotFoundError:
        pass


def watch_lock(root: str, session: str) -> str:
    """Return the file whose lock gives one watch of `session` the word."""
    return os.path.join(state_dir(root), f"watch-{key(session)}.lock")


def unlink_watch(root: str, session: str) -> None:
    """Remove the file of `watch_lock`, if there is one: the session is over."""
    try:
        os.unlink(watch_lock(root, session))
    except FileNotFoundError:
        pass


def queues(root: str) -> list[str]:
    """Return the queues that are marked."""
    try:
        return sorted(os.listdir(_folder(root)))
    except FileNotFoundError:
        return []


def settle(ledger: Ledger) -> None:
    """Clear the markers of queues that are over and that no living session has to hear of."""
    for name in queues(ledger.root):
        if ledger.is_settled(name):
            clear(ledger.root, name)


def _folder(root: str) -> str:
    return os.path.join(state_dir(root), "live")
