"""How a process has ended, for people."""

from __future__ import annotations

import signal


def exit_text(code: int) -> str:
    """Return `exit code 3`, or the name of the signal where `code` is negative: `SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
