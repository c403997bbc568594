"""Tasks changed field by field and made anew, each in the layout and the words of its family."""

from __future__ import annotations

from hypervisor.task_writing.creating import create
from hypervisor.task_writing.fields import FIELDS, LISTS, NUMBERS
from hypervisor.task_writing.updating import update

__all__ = ["FIELDS", "LISTS", "NUMBERS", "create", "update"]
