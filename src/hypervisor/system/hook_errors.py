"""What last went wrong in a hook: kept where `status` and `doctor` find it."""

from __future__ import annotations

import time

from hypervisor.system.state import Foreign, State, shown

_NAME = "hook-error.txt"
_LONGEST = 1 << 20


def keep(root: str, error: BaseException) -> None:
    """Keep `error` with its traceback, where the state is ours and can be written."""
    import traceback

    try:
        state = State.find(root)
        if state is not None:
            text = "".join(traceback.format_exception(error))
            at = time.strftime("%Y-%m-%d %H:%M:%S")
            told = f"{at}\n{text}".encode("utf-8", "replace")
            state.folder.write(_NAME, told[:_LONGEST])
    except (Foreign, OSError):
        pass


def last(root: str) -> tuple[str, float] | None:
    """Return what was kept last, and when (Unix time), or None."""
    try:
        state = State.find(root)
        seen = state.folder.look(_NAME) if state else None
        if state is None or seen is None:
            return None
        return state.folder.read(_NAME, _LONGEST).decode("utf-8", "replace"), seen.st_mtime
    except (Foreign, OSError):
        return None


def path(root: str) -> str:
    """Return where it is kept, for messages."""
    return shown(root, _NAME)
