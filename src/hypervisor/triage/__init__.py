"""Batch triage: the deterministic work on a task, by rules that a project can change."""

from __future__ import annotations

from hypervisor.triage.decision import Plan, decide, stands

__all__ = ["Plan", "decide", "stands"]
