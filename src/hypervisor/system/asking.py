"""Questions to other programs and to slow places, each with a time limit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

Result = TypeVar("Result")


class Late(Exception):
    """No answer within the time limit."""


class Said(NamedTuple):
    """What a program has answered: its exit code and its two outputs."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        """Both outputs: clients print their lists to either."""
        return f"{self.out}\n{self.err}"


def ask(
    words: list[str], seconds: float, *, cwd: str, env: Mapping[str, str] | None = None
) -> Said:
    """Run a program without input and return what it says.

    After `seconds` it is killed with everything it has started. Raises Late, and OSError where it
    can't be run.
    """
    with subprocess.Popen(
        words,
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Late from None
        finally:
            # What it has started may outlive it, and hold its outputs open.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    return Said(process.returncode, out, err)


def within(seconds: float, function: Callable[[], Result]) -> Result:
    """Return what `function` returns, or raise what it raises; after `seconds` raise Late.

    It then goes on in a thread that ends with this process: a file system that hangs can't be told
    to stop.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def carry_out() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=carry_out, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise Late
    if errors:
        raise errors[0]
    return results[0]
