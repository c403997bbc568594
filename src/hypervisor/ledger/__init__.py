"""The queue: who holds what, and what became of it. The only truth."""

from __future__ import annotations

from hypervisor.ledger.adding import NewItem, Opened
from hypervisor.ledger.claim import Claim
from hypervisor.ledger.ledger import Ledger, adopt, contents
from hypervisor.ledger.queues import OPEN_STATES, STATES
from hypervisor.ledger.store import LedgerError, NoLedger

__all__ = [
    "OPEN_STATES",
    "STATES",
    "Claim",
    "Ledger",
    "LedgerError",
    "NewItem",
    "NoLedger",
    "Opened",
    "adopt",
    "contents",
]
