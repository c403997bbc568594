"""The queue: who holds what, and what became of it. The only truth."""

from __future__ import annotations

from hypervisor.ledger.claims import Claim
from hypervisor.ledger.ledger import OPEN_STATES, STATES, Ledger, NewItem, Opened, adopt
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
]
