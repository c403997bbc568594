"""Tasks changed field by field and made anew, each in the layout and the words of its family."""

from __future__ import annotations

from hypervisor.agents.mcp.writing.creating import create
from hypervisor.agents.mcp.writing.fields import FIELDS, LISTS, NUMBERS
from hypervisor.agents.mcp.writing.updating import update

__all__ = ["FIELDS", "LISTS", "NUMBERS", "create", "update"]
