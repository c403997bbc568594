"""The queue: who holds what, and what became of it. The only truth.

What is named here is loaded when it is asked for: hooks do with a part of it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.adding import NewItem, Opened
    from hypervisor.ledger.claim import Claim
    from hypervisor.ledger.ledger import Ledger, adopt, contents
    from hypervisor.ledger.queues import OPEN_STATES, STATES
    from hypervisor.ledger.store import LedgerError, NoLedger

_PLACES = {
    "NewItem": "adding",
    "Opened": "adding",
    "Claim": "claim",
    "Ledger": "ledger",
    "adopt": "ledger",
    "contents": "ledger",
    "OPEN_STATES": "queues",
    "STATES": "queues",
    "LedgerError": "store",
    "NoLedger": "store",
}

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


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = __import__(f"{__name__}.{_PLACES[name]}", fromlist=[name])
    found: object = getattr(module, name)
    globals()[name] = found
    return found
