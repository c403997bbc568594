"""All tasks below a root, kept in memory and current: for whoever asks again and again."""

from __future__ import annotations

from hypervisor.task_index.entry import Entry
from hypervisor.task_index.index import TaskIndex

__all__ = ["Entry", "TaskIndex"]
