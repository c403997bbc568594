"""How long what is away is waited for, a server as well as a remote; and the word on that."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# One for both: a network that is gone takes both away.
PATIENCE = "HYPERVISOR_STORE_WAIT"
SECONDS = 90.0


def patience() -> float:
    """Return for how many seconds the user has us wait. Raises ValueError for no number."""
    return max(0.0, float(os.environ.get(PATIENCE) or SECONDS))


def _nobody(text: str) -> None:
    """Where nobody is told."""


# Tells whoever started this process that it waits; a face puts its own here.
say: Callable[[str], None] = _nobody
