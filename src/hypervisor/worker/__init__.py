"""What an agent does with a queue: take the next item, and end it with one accepted report.

What is named here is loaded when it is asked for: hooks do with a part of it.
"""

from __future__ import annotations

from hypervisor.system.lazy import face

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.worker import off_limits
    from hypervisor.worker.checks import CheckFailed, Refused, Spent, boxes_ticked
    from hypervisor.worker.ends import Ended, finish, release, take_next
    from hypervisor.worker.handout import (
        UNHEARD_SECONDS,
        carried,
        drain_mark,
        give_back,
        goes_alone,
        share_left,
        take,
    )
    from hypervisor.worker.nothing_ready import why_nothing, why_word
    from hypervisor.worker.requirements import asks
    from hypervisor.worker.suggesting import suggest


__all__ = [
    "UNHEARD_SECONDS",
    "CheckFailed",
    "Ended",
    "Refused",
    "Spent",
    "asks",
    "boxes_ticked",
    "carried",
    "drain_mark",
    "finish",
    "give_back",
    "goes_alone",
    "off_limits",
    "release",
    "share_left",
    "suggest",
    "take",
    "take_next",
    "why_nothing",
    "why_word",
]

__getattr__ = face(
    __name__,
    {
        "CheckFailed": "checks",
        "UNHEARD_SECONDS": "handout",
        "Ended": "ends",
        "Refused": "checks",
        "Spent": "checks",
        "asks": "requirements",
        "boxes_ticked": "checks",
        "carried": "handout",
        "drain_mark": "handout",
        "finish": "ends",
        "give_back": "handout",
        "goes_alone": "handout",
        "off_limits": "off_limits",
        "release": "ends",
        "share_left": "handout",
        "suggest": "suggesting",
        "take": "handout",
        "take_next": "ends",
        "why_nothing": "nothing_ready",
        "why_word": "nothing_ready",
    },
)
