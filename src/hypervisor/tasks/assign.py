"""Who a task is given to, written in the form that its file uses."""

from __future__ import annotations

from hypervisor.tasks.edit import SetKey
from hypervisor.tasks.read import Document
from hypervisor.tasks.task import Task


def names_nobody_readable(document: Document, task: Task) -> bool:
    """Say whether the assignee holds something that is not a name."""
    value = document.value(task.family.fields["assignee"])
    return isinstance(value, dict) or (isinstance(value, list) and any(value))


def assign(document: Document, task: Task, who: str) -> SetKey:
    """Return the edit that gives a task without an assignee to `who`."""
    key = task.family.fields["assignee"]
    value = document.value(key)
    as_list = "assignee" in task.family.lists if value is None else isinstance(value, list)
    return SetKey(key, [who] if as_list else who)
