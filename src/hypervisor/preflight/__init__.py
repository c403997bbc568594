"""Which items can be worked on now, and what keeps the others: said, never changed."""

from __future__ import annotations

from hypervisor.preflight.result import Broken, Entry, Preflight, Warned
from hypervisor.preflight.sorting import check

__all__ = ["Broken", "Entry", "Preflight", "Warned", "check"]
