"""The queue: who holds what, and what became of it. The only truth.

What is named here is loaded when it is asked for: hooks do with a part of it.
"""

from __future__ import annotations

from hypervisor.system.lazy import face

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.claim import Claim
    from hypervisor.ledger.foreign import adopt, contents
    from hypervisor.ledger.items import NewItem, Opened
    from hypervisor.ledger.ledger import Ledger
    from hypervisor.ledger.options import Options
    from hypervisor.ledger.outcomes import OPEN_STATES, STATES
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
    "Options",
    "adopt",
    "contents",
]

__getattr__ = face(
    __name__,
    {
        "NewItem": "items",
        "Opened": "items",
        "Claim": "claim",
        "Ledger": "ledger",
        "adopt": "foreign",
        "contents": "foreign",
        "Options": "options",
        "OPEN_STATES": "outcomes",
        "STATES": "outcomes",
        "LedgerError": "store",
        "NoLedger": "store",
    },
)
