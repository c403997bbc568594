"""One process of an agent: its own group, session and log, read line by line, ended whole."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable

from hypervisor.agents.client import Start, Stream
from hypervisor.agents.pool.keeper import keeper
from hypervisor.agents.pool.log import Log
from hypervisor.config.caller import started
from hypervisor.system import killing
from hypervisor.system.folder import Folder
from hypervisor.system.redact import Redactor

_CHUNK = 1 << 16
# More than the largest pipe holds, in chunks.
_MOST_LEFT = 32
_LONGEST_LINE = 1 << 20
_PATIENCE = 2.0


class Process:
    """A started process. Register it with a selector; call `read` when it is readable."""

    def __init__(
        self,
        start: Start,
        stream: Stream,
        *,
        agent: str,
        cwd: str,
        logs: Callable[[], Folder],
        log: str,
        most: int,
        redactor: Redactor,
        apart: bool,
    ) -> None:
        """Start it. What it says goes to its `log` of at most `most` bytes, in the folder that
        `logs` returns; `apart` keeps standard error out of the log of events. Raises OSError."""
        self.stream = stream
        self.agent = agent
        self.begun = time.monotonic()
        self._clean = {"out": redactor.chunks(), "err": redactor.chunks()}
        self._log = Log(logs, log, most)
        self._errors = Log(logs, f"{log}.err", most) if apart else self._log
        # What is an answer is not mixed with what a command complains of.
        apart = apart or stream.output is not None
        self._rest = {"out": b"", "err": b""}
        try:
            with tempfile.TemporaryFile() as given:
                given.write(start.stdin.encode("utf-8", "replace"))
                given.seek(0)
                self._process = subprocess.Popen(
                    start.words,
                    env=start.environment,
                    cwd=cwd,
                    stdin=given if start.stdin else subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE if apart else subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=keeper(),
                )
        except BaseException:
            self._close_logs()
            raise
        self.pid = self._process.pid
        self.pid_start = started(self.pid)
        assert self._process.stdout is not None
        self._pipes = {"out": self._process.stdout}
        if apart:
            assert self._process.stderr is not None
            self._pipes["err"] = self._process.stderr
        for pipe in self._pipes.values():
            os.set_blocking(pipe.fileno(), False)
        self._handle = _handle_of(self.pid)

    def watch(self, selector: selectors.BaseSelector) -> None:
        """Have `selector` wake for output and, where the system can tell of it, for the end."""
        for name, pipe in self._pipes.items():
            selector.register(pipe, selectors.EVENT_READ, (self, name))
        if self._handle is not None:
            selector.register(self._handle, selectors.EVENT_READ, (self, ""))

    def unwatch(self, selector: selectors.BaseSelector) -> None:
        """Undo `watch`, also in part."""
        for pipe in [*self._pipes.values(), self._handle]:
            if pipe is not None:
                try:
                    selector.unregister(pipe)
                except (KeyError, ValueError):
                    continue

    def read(self, name: str, selector: selectors.BaseSelector | None = None) -> None:
        """Take in a chunk of what is there to read on one of the pipes, and no more: there may be
        no end to it, and others wait."""
        pipe = self._pipes.get(name)
        if pipe is None:
            return
        try:
            chunk = os.read(pipe.fileno(), _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if chunk:
            self._take(name, chunk)
            return
        if selector is not None:
            selector.unregister(pipe)
        self._take(name, b"", last=True)
        del self._pipes[name]
        pipe.close()

    def _take(self, name: str, chunk: bytes, *, last: bool = False) -> None:
        if name == "out":
            self.stream.printed(chunk)
        raw = self._rest[name] + chunk
        lines = raw.split(b"\n")
        rest = lines.pop()
        if last or len(rest) > _LONGEST_LINE:
            lines, rest = [*lines, rest] if rest else lines, b""
        self._rest[name] = rest
        log = self._log if name == "out" else self._errors
        feed = self.stream.feed if name == "out" else self.stream.complain
        if lines:
            clean = self._clean[name](lines)
            log.write(b"\n".join(clean) + b"\n")
            for line in clean:
                feed(line.decode("utf-8", "replace"))

    @property
    def unlogged(self) -> str:
        """Why what it said could not be logged, "" where it was."""
        return self._log.lost or self._errors.lost

    def has_ended(self) -> bool:
        """True once the process itself has ended. It keeps its number until `end`."""
        state = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return state is not None

    def terminate(self) -> None:
        """Ask the whole group to end."""
        killing.signal_group(self.pid, signal.SIGTERM)

    def end(self, *, sweep: bool) -> int:
        """End it whole, if need be by force, read what is left, and return its exit code.

        `sweep` looks for processes that have left the group, too.
        """
        until = time.monotonic() + _PATIENCE
        while not self.has_ended() and time.monotonic() < until:
            for name in list(self._pipes):
                self.read(name)
            time.sleep(0.01)
        # What it left running goes with it; nobody else can have its number yet.
        if self.has_ended():
            killing.signal_group(self.pid, signal.SIGKILL)
        else:
            killing.end_group(self.pid)
        if sweep:
            killing.kill_marked("HYPERVISOR_AGENT", self.agent)
        code = self._process.wait()
        self._drain()
        for name in list(self._pipes):
            self._take(name, b"", last=True)
            self._pipes.pop(name).close()
        if self._handle is not None:
            os.close(self._handle)
        self._close_logs()
        return code

    def _drain(self) -> None:
        """Take in what those that have ended have left in the pipes; whoever writes on is left."""
        for _ in range(_MOST_LEFT):
            for name in list(self._pipes):
                self.read(name)

    def _close_logs(self) -> None:
        self._log.close()
        self._errors.close()


def _handle_of(pid: int) -> int | None:
    """Return a descriptor that becomes readable when the process ends, where there is such."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
