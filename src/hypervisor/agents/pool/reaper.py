"""Outlives its pool for a moment: when the pool is gone, however that came, ends its agents.

It holds the reading end of a pipe whose writing end nobody has but the pool. Lines `+PID` and
`-PID` tell the process groups that live; the end of the pipe is the pool's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from importlib import import_module
from types import TracebackType
from typing import Self


class Reaper:
    """The pool's side: a context manager around the pool's life."""

    def __init__(self, session: str, folder: str) -> None:
        """`folder` holds the pool's temporary files, which go with it."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, session, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            # Some caller's agent may have started this pool: the reaper is none of its processes.
            env={},
        )

    def started(self, group: int) -> None:
        """Tell that the process group lives."""
        self._tell(f"+{group}\n")

    def ended(self, group: int) -> None:
        """Tell that the process group is gone."""
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode("ascii"))
            self._process.stdin.flush()
        except BrokenPipeError:
            # Somebody killed it. The next pool does its work.
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.wait()


def main(session: str, folder: str) -> None:
    """Read until the pool is gone, then end what it left, and remove its `folder`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    # This file is started by its path, and knows no package.
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    sys.path.insert(0, os.path.join(package, "system"))
    killing = import_module("killing")
    for group in groups:
        killing.end_group(group)
    killing.kill_marked("HYPERVISOR_POOL", session)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
