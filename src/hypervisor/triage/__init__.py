"""Batch triage: the deterministic work on a task, by rules that a project can change."""

from __future__ import annotations

from hypervisor.triage.decide import Plan, plan, stands

__all__ = ["Plan", "plan", "stands"]
