"""The live view of the queues: a screen on a terminal, plain lines elsewhere."""

from hypervisor.views.watch.loop import Look

__all__ = ["Look"]
