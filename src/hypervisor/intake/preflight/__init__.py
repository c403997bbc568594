"""Which items can be worked on now, and what keeps the others: said, never changed."""

from __future__ import annotations

from hypervisor.intake.preflight.check import check
from hypervisor.intake.preflight.result import Broken, Entry, Preflight, Warned

__all__ = ["Broken", "Entry", "Preflight", "Warned", "check"]
