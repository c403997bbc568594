"""What a verb says beside what was asked for, on standard error: an error is `error: what`, then
`hint: command`, and what stops nothing is a `note:`."""

from __future__ import annotations

import os
import sys

from hypervisor.system.errors import HypervisorError
from hypervisor.system.text import indented


def complain(error: HypervisorError | str, hint: str = "") -> None:
    """Print an error and what its reader can do about it, a line each, and below them the end of
    what a program printed, indented, so that no line of it can pass for one of ours."""
    what, output = error, ""
    if isinstance(error, HypervisorError):
        what, hint, output = error.message, error.fix, error.output
    lines = [f"error: {indented(what).strip()}"]
    if hint:
        lines.append(f"hint: {hint.removeprefix('see: ').removeprefix('run: ')}")
    if output:
        lines += ["the end of its output:", indented(output)]
    _print(lines)


def note(text: str) -> None:
    """Print something the reader should know, which stops nothing."""
    _print([f"note: {text}"])


def _print(lines: list[str]) -> None:
    try:
        print("\n".join(lines), file=sys.stderr)
    except BrokenPipeError:
        drop_output()


def exactly(text: str, end: str = "\n") -> None:
    """Print what is taken as it is, so that no terminal gets it wrapped: a command line, or what a
    command has printed."""
    print(text, end=end, file=getattr(sys.stdout, "exact", sys.stdout), flush=True)


def drop_output() -> None:
    """Forget what can't be written, so that the end of Python doesn't try."""
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
