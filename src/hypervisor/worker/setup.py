"""What this machine lacks is no item's fault: a pool that meets it stops, and is told why."""

from __future__ import annotations

import os

from hypervisor.config import caller
from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError, NotOwner

_ROOM = 1 << 16


def stop_pool(ledger: Ledger, queue: str, token: str | None, error: HypervisorError) -> None:
    """In the agent of a pool, give the claim `token` back at no cost and pause its queue with the
    cause: the next agent would meet the same. Elsewhere the caller is told, and goes on by itself.
    """
    if caller.in_pool() is None:
        return
    try:
        ledger.pauses.pause(queue, str(error))
    except HypervisorError:
        # Paused already, or cancelled.
        pass
    try:
        if token is not None:
            ledger.ends.release(token, free=True, reason=error.message)
    except NotOwner:
        return


def lacking(ledger: Ledger) -> str:
    """Return what keeps anything at all from being done on this machine, "" for nothing: room to
    write in the project and among the temporary files."""
    import tempfile
    import threading

    name = f"room-{os.getpid()}-{threading.get_ident()}"
    try:
        try:
            ledger.state.folder.write(name, bytes(_ROOM))
        finally:
            ledger.state.folder.remove(name)
        with tempfile.TemporaryFile() as file:
            file.write(bytes(_ROOM))
    except OSError as error:
        return f"nothing can be written here: {error.strerror or error}"
    return ""
