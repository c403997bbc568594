"""Batch triage: the deterministic work on a task, by rules that a project can change."""

from __future__ import annotations

from hypervisor.triage.decision import Plan, decide, stands
from hypervisor.triage.names import Unnamed, unnamed

__all__ = ["Plan", "Unnamed", "decide", "stands", "unnamed"]
