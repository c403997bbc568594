"""What an agent does with a queue: take the next item, and end it with one accepted report."""

from __future__ import annotations

from hypervisor.worker import off_limits
from hypervisor.worker.asks import asks
from hypervisor.worker.checks import boxes_ticked
from hypervisor.worker.ending import Ended, done, finish, release
from hypervisor.worker.refused import Refused
from hypervisor.worker.share import drain_mark, share_left
from hypervisor.worker.taking import UNHEARD_SECONDS, give_back, take

__all__ = [
    "UNHEARD_SECONDS",
    "Ended",
    "Refused",
    "asks",
    "boxes_ticked",
    "done",
    "drain_mark",
    "finish",
    "give_back",
    "off_limits",
    "release",
    "share_left",
    "take",
]
