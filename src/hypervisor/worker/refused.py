"""A report that was not accepted."""

from __future__ import annotations

from hypervisor.system.errors import HypervisorError


class Refused(HypervisorError):
    """The report was not accepted; the item is still its worker's."""
