"""Task files: read with python-frontmatter, edited without touching any other byte, undone."""

from __future__ import annotations

from hypervisor.tasks import edit, family, markdown, read, task, undo, write
from hypervisor.tasks.edit import Edited, EditRefused
from hypervisor.tasks.family import Family, family_of
from hypervisor.tasks.read import Document, Identity
from hypervisor.tasks.task import Task, task_of
from hypervisor.tasks.undo import UndoLog

__all__ = [
    "Document",
    "EditRefused",
    "Edited",
    "Family",
    "Identity",
    "Task",
    "UndoLog",
    "edit",
    "family",
    "family_of",
    "markdown",
    "read",
    "task",
    "task_of",
    "undo",
    "write",
]
