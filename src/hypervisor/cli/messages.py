"""What a verb says beside what was asked for, on standard error: an error is `error: what`, then
`hint: command`, and what stops nothing is a `note:`."""

from __future__ import annotations

import os
import sys

from hypervisor.system.errors import HypervisorError
from hypervisor.system.text import indented


def complain(error: HypervisorError | str, hint: str = "") -> None:
    """Print an error and what its reader can do about it, a line each. What a program printed
    stands between them, indented, so that no line of it can pass for one of ours."""
    what = error if isinstance(error, str) else error.cause
    hint = hint if isinstance(error, str) else error.fix
    first, *block = what.split("\n")
    lines = [f"error: {first}"]
    lines += [line if line.startswith("  ") else indented(line) for line in block]
    if hint:
        lines.append(f"hint: {hint.removeprefix('see: ').removeprefix('run: ')}")
    _print("\n".join(lines))


def note(text: str) -> None:
    """Print something the reader should know, which stops nothing."""
    _print(f"note: {text}")


def _print(text: str) -> None:
    try:
        print(text, file=sys.stderr)
    except BrokenPipeError:
        drop_output()


def drop_output() -> None:
    """Forget what can't be written, so that the end of Python doesn't try."""
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
