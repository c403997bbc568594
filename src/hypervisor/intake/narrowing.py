"""Narrowing an open queue to the items that match, as the files and rows now say."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hypervisor.config.settings import Settings
from hypervisor.intake.preflight.where import Where
from hypervisor.ledger import Ledger
from hypervisor.ledger.claim import loads
from hypervisor.ledger.narrowing import Narrowed
from hypervisor.ledger.rows import OpenItem
from hypervisor.system.errors import BrokenFile
from hypervisor.tasks.front_matter import task_of
from hypervisor.tasks.read import read
from hypervisor.tasks.walk import is_markdown


def narrow(ledger: Ledger, settings: Settings, queue: str, conditions: Sequence[str]) -> Narrowed:
    """Set the open items of `queue` aside that don't match `conditions` (as `--where` takes them),
    and bring the others back. What can't be read any more does not match. Raises UsageError."""
    where = Where(conditions)
    unwanted = set()
    if where:
        rows = ledger.items.open_rows(queue)
        unwanted = {row.id for row in rows if not _holds(where, ledger.root, settings, row)}
    return ledger.narrowing.narrow(queue, unwanted, ", ".join(conditions))


def _holds(where: Where, root: str, settings: Settings, row: OpenItem) -> bool:
    if row.payload is not None:
        told = loads(row.payload)
        return where.holds(told if isinstance(told, dict) else None, None)
    if row.path is None or not is_markdown(row.path):
        return where.holds(None, None)
    try:
        document = read(os.path.join(root, row.path))
    except (OSError, BrokenFile):
        return False
    return where.holds(document.meta or {}, task_of(document, settings))
