"""The error in which a Claude Code worker ended, at the end of its transcript."""

from __future__ import annotations

from hypervisor.agents.claude import files
from hypervisor.agents.claude.transcript import texts_in
from hypervisor.agents.usage import Failure
from hypervisor.system.reading import NotReadable, at, json_rows, read_end

# So much of a transcript's end is looked at.
_TAIL = 1 << 18


def last_error(path: str) -> Failure | None:
    """Return the error in which the worker of this transcript ended, or None."""
    try:
        rows = read_end(files.of_worker(path)[-1], _TAIL).decode("utf-8", "replace").splitlines()
    except (OSError, NotReadable):
        return None
    for row in json_rows(reversed(rows)):
        if not isinstance(row, dict) or row.get("type") not in ("assistant", "user"):
            continue
        message = row.get("message")
        if not isinstance(message, dict):
            continue
        if message.get("model") != "<synthetic>":
            return None
        text = " ".join(texts_in(message.get("content")))
        return _failure(row, text) if text else None
    return None


def _failure(row: dict[str, object], text: str) -> Failure:
    from datetime import datetime

    code, status = row.get("error"), row.get("apiErrorStatus")
    try:
        then = datetime.fromisoformat(str(row.get("timestamp"))).timestamp()
    except ValueError:
        then = None
    return Failure(
        text,
        code if isinstance(code, str) else "",
        status if isinstance(status, int) else None,
        at(row, "quotaLimits", "resetsAt"),
        then,
    )
