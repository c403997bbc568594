"""All tasks below a root, kept in memory and current: for whoever asks again and again."""

from __future__ import annotations

from hypervisor.intake.index.entry import Entry
from hypervisor.intake.index.index import TaskIndex

__all__ = ["Entry", "TaskIndex"]
