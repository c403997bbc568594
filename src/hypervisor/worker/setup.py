"""What this machine lacks is no item's fault: a pool that meets it stops, and is told why."""

from __future__ import annotations

from hypervisor.config import caller
from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError, NotOwner


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
