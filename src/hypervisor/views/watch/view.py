"""What the screen shows at the moment, and which queue the keys are about."""

from __future__ import annotations

import time
from typing import Any


class View:
    """The queues as they were looked up `at`, the marked one, and what is to be said below."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.queues: list[dict[str, Any]] = []
        self.at = 0.0
        self.error: str | None = None
        self._marked: str | None = None
        self._said = ""
        self._until = 0.0

    def marked(self) -> dict[str, Any] | None:
        """Return the queue that the keys are about: the one chosen, else the first."""
        for one in self.queues:
            if one["queue"] == self._marked:
                return one
        return self.queues[0] if self.queues else None

    def move(self, step: int) -> None:
        """Mark the next queue down, or up with -1."""
        marked = self.marked()
        if marked is not None:
            place = self.queues.index(marked) + step
            self._marked = self.queues[max(0, min(place, len(self.queues) - 1))]["queue"]

    def say(self, text: str, seconds: float) -> None:
        """Show a line at the foot for so long."""
        self._said, self._until = text, time.monotonic() + seconds

    def said(self) -> str:
        """Return what is to be said now, "" if nothing."""
        return self._said if time.monotonic() < self._until else ""
