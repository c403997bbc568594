"""What an agent does with a queue: take the next item, and end it with one accepted report.

What is named here is loaded when it is asked for: hooks do with a part of it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.worker import off_limits
    from hypervisor.worker.asks import asks
    from hypervisor.worker.checks import boxes_ticked
    from hypervisor.worker.finish import Ended, done, finish, release
    from hypervisor.worker.refused import Refused
    from hypervisor.worker.share import drain_mark, share_left
    from hypervisor.worker.take import UNHEARD_SECONDS, give_back, take

_PLACES = {
    "UNHEARD_SECONDS": "taking",
    "Ended": "ending",
    "Refused": "refused",
    "asks": "asks",
    "boxes_ticked": "checks",
    "done": "ending",
    "drain_mark": "share",
    "finish": "ending",
    "give_back": "taking",
    "release": "ending",
    "share_left": "share",
    "take": "taking",
}

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


def __getattr__(name: str) -> object:
    if name == "off_limits":
        return __import__(f"{__name__}.{name}", fromlist=[name])
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = __import__(f"{__name__}.{_PLACES[name]}", fromlist=[name])
    found: object = getattr(module, name)
    globals()[name] = found
    return found
