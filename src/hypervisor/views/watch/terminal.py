"""The terminal while the live view has it: keys come one by one, and whatever happens, it is put
back as it was. A second process sees to that should this one be killed."""

from __future__ import annotations

import os
import re
import select
import signal
import termios
import tty
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType, TracebackType
from typing import Self

_LEAVE = b"\x1b[?1049l\x1b[?25h\x1b[0m"
_KEY = re.compile(rb"\x1b[\[O][0-9;]*.|.", re.DOTALL)
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_NOT_FOR_THE_GUARD = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTOU,
    signal.SIGTTIN, signal.SIGPIPE,
)  # fmt: skip


class Terminal:
    """A terminal that gives its keys one by one. Enter it before anything else is opened: the
    guard is a copy of the process as it is then."""

    def __init__(self, keys: int, screen: int) -> None:
        self._keys: int | None = keys if os.isatty(keys) else None
        self._screen = screen
        self._before: list[int | list[bytes | int]] | None = None
        self._guard = 0
        self._word = -1
        self._woken = self._wake = -1
        self._handlers = ExitStack()
        self._pressed: list[str] = []
        self.stopping = False

    def __enter__(self) -> Self:
        if self._keys is not None:
            self._before = termios.tcgetattr(self._keys)
        self._start_guard()
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        # Without a handler of Python's for a new size the wake-up would not come.
        handlers = dict.fromkeys(_ENDING, _end)
        handlers |= {signal.SIGTSTP: self._stop, signal.SIGWINCH: lambda *_: None}
        for number, handler in handlers.items():
            self._handlers.callback(signal.signal, number, signal.signal(number, handler))
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.give_back()
        signal.set_wakeup_fd(-1)
        self._handlers.close()
        try:
            os.write(self._word, b".")
        except BrokenPipeError:
            # Somebody has killed the guard: there is nothing to tell it.
            pass
        os.waitpid(self._guard, 0)
        for end in (self._woken, self._wake, self._word):
            os.close(end)

    def take(self) -> None:
        """Have the keys one by one, without echo. Ctrl-C and Ctrl-Z stay what they are."""
        if self._keys is not None:
            tty.setcbreak(self._keys, termios.TCSADRAIN)

    def give_back(self) -> None:
        """Put the terminal back as it was."""
        if self._keys is not None and self._before is not None:
            _set(self._keys, self._before)

    def key(self, seconds: float) -> str | None:
        """Wait for a key, a new size or a signal, at most so long; return the key, or None."""
        if self._pressed:
            return self._pressed.pop(0)
        watched = [self._woken] if self._keys is None else [self._woken, self._keys]
        ready = select.select(watched, [], [], max(0.0, seconds))[0]
        if self._woken in ready:
            try:
                os.read(self._woken, 512)
            except BlockingIOError:
                pass
        if self._keys is None or self._keys not in ready:
            return None
        pressed = os.read(self._keys, 64)
        if not pressed:
            # Its other end is gone.
            raise SystemExit(128 + signal.SIGHUP)
        self._pressed = [one.decode("ascii", "replace") for one in _KEY.findall(pressed)]
        return self._pressed.pop(0)

    def stop(self, leave: Callable[[], None], come_back: Callable[[], None]) -> None:
        """Stop this process as Ctrl-Z does, the terminal put back meanwhile."""
        self.stopping = False
        leave()
        self.give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._stop)
        self.take()
        come_back()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _start_guard(self) -> None:
        listening, self._word = os.pipe()
        self._guard = os.fork()
        if self._guard:
            os.close(listening)
            return
        try:
            for number in _NOT_FOR_THE_GUARD:
                signal.signal(number, signal.SIG_IGN)
            os.close(self._word)
            if not os.read(listening, 1):
                self._put_back()
        finally:
            os._exit(0)

    def _put_back(self) -> None:
        """What the guard does when the process went without a word."""
        os.write(self._screen, _LEAVE)
        if self._keys is None or self._before is None:
            return
        now = termios.tcgetattr(self._keys)
        # A shell that has taken the terminal over has set it for itself.
        if now[3] & (termios.ICANON | termios.ECHO) == 0 and _is_ours(self._keys):
            _set(self._keys, self._before)


def _is_ours(terminal: int) -> bool:
    """True while the process group of the guard is the one that the terminal serves."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False


def _set(terminal: int, attributes: list[int | list[bytes | int]]) -> None:
    try:
        termios.tcsetattr(terminal, termios.TCSADRAIN, attributes)
    except (termios.error, OSError):
        # The terminal itself is gone.
        return


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
