"""What people and systems ask of a pool by signals: drain, or stop."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self


class Requests:
    """A context manager that collects signals: one SIGINT asks to drain, a second one, SIGTERM or
    SIGHUP (the terminal is gone) to stop."""

    def __init__(self) -> None:
        self.drain = False
        self.stop = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and not self.drain:
            self.drain = True
        else:
            self.stop = True
