"""Who calls: the client that a command runs in, its session, its process, and if that lives."""

from __future__ import annotations

import os


class Caller:
    """What the environment tells of the Claude Code session around this process.

    `session` is None outside of one. `headless` is None where the environment does not say.
    """

    __slots__ = ("headless", "pid", "pid_start", "session")

    def __init__(self) -> None:
        self.session = os.environ.get("CLAUDE_CODE_SESSION_ID") or None
        pid = os.environ.get("CLAUDE_PID", "")
        # Clients before 2.1.330 do not tell their number.
        self.pid = int(pid) if pid.isdecimal() else _client_above() if self.session else None
        self.pid_start = started(self.pid) if self.pid is not None else None
        entry = os.environ.get("CLAUDE_CODE_ENTRYPOINT", "")
        self.headless = entry.startswith("sdk") if entry else None


def _client_above() -> int | None:
    """Return the process of the client that this one descends from, or None."""
    pid = os.getppid()
    for _ in range(8):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as source:
                head, _, rest = source.read().rpartition(")")
        except OSError:
            return None
        if head.partition("(")[2].startswith("claude"):
            return pid
        pid = int(rest.split()[1])
    return None


def started(pid: int) -> str | None:
    """Return when a process started, in the kernel's own words, or None: numbers are reused."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as source:
            # The name in brackets may hold anything; the fields count from its end.
            return source.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def is_gone(pid: int | None, pid_start: str | None) -> bool:
    """True only where it is certain that this process has ended."""
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    now = started(pid)
    return pid_start is not None and now is not None and now != pid_start
