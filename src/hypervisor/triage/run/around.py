"""What goes before triage and after it: what the rules must know, what is kept and cleared away."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from hypervisor.config.settings import Settings
from hypervisor.system.state import State
from hypervisor.tasks import write
from hypervisor.tasks.temporary import recovered
from hypervisor.tasks.undo import UndoLog

if TYPE_CHECKING:
    # A worker process does without it: it brings the sources and the schema along.
    from hypervisor.intake.preflight import Preflight


def tidy(root: str, queue: str, settings: Settings, checked: Preflight) -> None:
    """Clear away what killed writers left beside the tasks, and bytes past their days."""
    state = State.find(root)
    if state is None:
        return
    UndoLog(state, queue).prune(settings.limits.undo_days)
    paths = (os.path.join(root, entry.path) for entry in checked.ready if entry.path)
    for folder in {os.path.dirname(path) for path in paths}:
        with suppress(OSError):
            write.sweep_temporaries(folder, recovered(state))


def with_children(root: str, settings: Settings, checked: Preflight) -> Preflight:
    """Note with each ready task whether others name it as their parent, if the rules ask for it."""
    if settings.triage.complexity:
        from hypervisor.intake.sources import tasks_below

        parents = {known.parent for known in tasks_below(root, settings)}
        for entry in checked.ready:
            entry.payload = {"children": entry.id in parents}
    return checked
