"""Keeps the leases of this server's claims while it lives."""

from __future__ import annotations

import threading

from hypervisor.agents.mcp.claims import Dispatch
from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError

_LONGEST = 60.0


class Leases(threading.Thread):
    """A thread with a ledger connection of its own. `look` tells it that claims may have come."""

    def __init__(self, root: str, dispatch: Dispatch) -> None:
        super().__init__(daemon=True, name="leases")
        self._root = root
        self._dispatch = dispatch
        self._news = threading.Event()

    def look(self) -> None:
        """Have the leases looked at again, if anything is held."""
        if self._dispatch.held:
            self._news.set()

    def run(self) -> None:
        """Renew what is held three times within the shortest lease."""
        pause: float | None = None
        while True:
            if self._news.wait(pause):
                self._news.clear()
            else:
                self._renew()
            held = list(self._dispatch.held.values())
            leases = [one.claim.lease_seconds for one in held]
            pause = min(_LONGEST, min(leases) / 3) if leases else None

    def _renew(self) -> None:
        tokens = [one.claim.token for one in list(self._dispatch.held.values())]
        try:
            with Ledger.open(self._root) as ledger:
                ledger.heartbeat(tokens)
        except (HypervisorError, OSError):
            # Tried again at the next turn; a lease that ends meanwhile is told when it is used.
            return
