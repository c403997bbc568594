"""Brings the branches that the ledger accepted together, one by one, in the order of their end."""

from __future__ import annotations

from hypervisor.worker.integrate.integrate import Integrated, integrate

__all__ = ["Integrated", "integrate"]
