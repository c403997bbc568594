"""Tasks for callers by name: the next one that fits, and its end, each under its own token."""

from __future__ import annotations

from hypervisor.dispatch.choosing import Choosing
from hypervisor.dispatch.dispatch import Dispatch
from hypervisor.dispatch.standing import STANDING, NotYours

__all__ = ["STANDING", "Choosing", "Dispatch", "NotYours"]
