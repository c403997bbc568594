"""Batch triage carried out: one worker's loop, and several processes of it."""

from __future__ import annotations

from hypervisor.triage.run.around import tidy, with_children
from hypervisor.triage.run.worker import BATCH, LEASE_SECONDS, Edited, Ended, Worker, consider

__all__ = [
    "BATCH",
    "LEASE_SECONDS",
    "Edited",
    "Ended",
    "Worker",
    "consider",
    "tidy",
    "with_children",
]
