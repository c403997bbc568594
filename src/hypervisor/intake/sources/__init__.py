"""What the user named, as items: folders, globs, lists, rows, task ids and an epic's children."""

from __future__ import annotations

from hypervisor.intake.sources.expansion import expand
from hypervisor.tasks.ids import Known, TaskIds, guess_id, tasks_below
from hypervisor.tasks.walk import Found, Problem, SourceError

__all__ = [
    "Found",
    "Known",
    "Problem",
    "SourceError",
    "TaskIds",
    "expand",
    "guess_id",
    "tasks_below",
]
