"""What the client writes of a run as it goes: tokens per request, the limits of its service, and
the error in which the run ended.
"""

from __future__ import annotations

from pathlib import Path

from hypervisor.agents.usage import Usage, add
from hypervisor.system.reading import at, json_rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.agents.limits import Windows
    from hypervisor.ledger.usage import Tokens

_CLAIM, _ENDS = "claim_next_task", ("complete_task", "block_task", "release_task")
_REQUEST, _LIMITS, _END = "token_usage_record", "token_count", "task_complete"
_TOLD = tuple(f'"{kind}"'.encode() for kind in (_REQUEST, _LIMITS, _END))
# Usage windows by their minutes.
_WINDOWS = {300: "5-hour", 10080: "weekly"}


def find(home: Path, session: str) -> str | None:
    """Return the file of the run `session` below its `home` of the client, or None."""
    # The id is the service's word: no pattern.
    ending = f"-{session}.jsonl"
    found = home.glob("sessions/*/*/*/rollout-*.jsonl") if session else ()
    return next((str(path) for path in found if path.name.endswith(ending)), None)


class Rollout:
    """Follows the file of a run while it is written: how many `requests` were answered, how much of
    the `windows` is used, and the client's word for the `error` in which the run ended."""

    def __init__(self, home: Path) -> None:
        self.requests = 0
        self.windows: Windows = {}
        self.error: object = None
        self._home = home
        self._path: str | None = None
        self._read = 0

    def follow(self, session: str) -> None:
        """Take in what was written since."""
        self._path = self._path or find(self._home, session)
        if self._path is None:
            return
        try:
            with open(self._path, "rb") as source:
                source.seek(self._read)
                whole = source.read().rpartition(b"\n")[0]
        except OSError:
            return
        self._read += len(whole) + 1 if whole else 0
        told = [line for line in whole.split(b"\n") if any(kind in line for kind in _TOLD)]
        for row in json_rows(line.decode("utf-8", "replace") for line in told):
            self._take(row)

    def _take(self, row: object) -> None:
        kind, payload = at(row, "type"), at(row, "payload")
        if kind == _REQUEST:
            self.requests += 1
        elif at(payload, "type") == _LIMITS:
            for name in ("primary", "secondary"):
                self._window(at(payload, "rate_limits", name))
        elif at(payload, "type") == _END:
            self.error = at(payload, "error", "codex_error_info")

    def _window(self, told: object) -> None:
        used, minutes, ends = (
            at(told, name) for name in ("used_percent", "window_minutes", "resets_at")
        )
        if isinstance(used, int | float) and isinstance(ends, int | float):
            name = _WINDOWS.get(minutes) if isinstance(minutes, int) else None
            name = name or f"{minutes}-minute"
            self.windows = {**self.windows, name: (used / 100, float(ends))}

    @property
    def full_until(self) -> float | None:
        """When the last of the windows ends that are used up (Unix time); None where none is."""
        return max((ends for used, ends in self.windows.values() if used >= 1), default=None)


def sum_up(rows: Iterable[str]) -> Usage:
    """Return the usage told by the lines of a run, which never tell a claim: an item that was
    claimed twice stands twice. A torn last line is passed over.

    What is used between a claim and the call that ends the item, with that call, is the item's.
    """
    usage = Usage()
    items = usage.by_id
    current, model = False, ""
    for row in json_rows(rows):
        if row is None:
            usage.known = False
        kind, payload = at(row, "type"), at(row, "payload")
        if kind == _REQUEST:
            # Of a run that was ended, the last request may be missing.
            usage.complete = False
            figures = _figures(at(payload, "usage"))
            if figures is None:
                usage.known = False
                continue
            usage.total = add(usage.total, figures)
            usage.requests.append((len(items) - 1 if current else None, model, figures, 0))
            if current:
                items[-1] = items[-1][0], add(items[-1][1], figures)
        elif kind == "turn_context":
            model = str(at(payload, "model") or "")
        elif kind == "compacted":
            usage.compacted = True
        elif at(payload, "type") == _END:
            usage.complete = usage.known
        elif at(payload, "item", "type") == "McpToolCall":
            tool = at(payload, "item", "tool")
            told = at(payload, "item", "result", "structuredContent")
            item = at(told, "task", "id")
            if tool == _CLAIM and isinstance(item, str):
                items.append((item, (0, 0, 0, 0)))
                current = True
            elif tool in _ENDS and at(told, "success") is True:
                current = False
    return usage


def _figures(told: object) -> Tokens | None:
    kinds = ("input_tokens", "cached_input_tokens", "cache_write_input_tokens", "output_tokens")
    figures = [at(told, kind) for kind in kinds]
    given, cached, written, out = (one if isinstance(one, int) else -1 for one in figures)
    if min(given, cached, out) < 0:
        return None
    written = max(0, written)
    return max(0, given - cached - written), out, cached, written
