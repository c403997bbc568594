"""What every part of the ledger has: the store, and the parts that it stands on."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.store import Store


class Part:
    """Verbs of one kind. A class names the parts that it stands on, each with a line before its
    name, and the ledger hands it those."""

    _store: Store

    def __init__(self, store: Store, others: dict[str, Part]) -> None:
        self._store = store
        vars(self).update(others)
