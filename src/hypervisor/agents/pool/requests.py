"""What people and systems ask of a pool by signals: drain, or stop."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from types import FrameType, TracebackType
from typing import Self


class Requests:
    """A context manager that collects signals: one SIGINT asks to drain, a second one, SIGQUIT
    (Ctrl-\\), SIGTERM or SIGHUP (the terminal is gone) to stop."""

    def __init__(self) -> None:
        self.drain = False
        self.stop = False
        self._handlers = ExitStack()

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
            before = signal.signal(number, self._asked)
            self._handlers.callback(signal.signal, number, before)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._handlers.close()

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and not self.drain:
            self.drain = True
        else:
            self.stop = True
