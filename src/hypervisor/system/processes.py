"""Other programs: run to their end within a time limit, and how they have ended, for people."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from hypervisor.system.spans import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import IO


_TICK = 0.25
# So long a program may take to clear its locks away before it is killed.
_PATIENCE = 5.0
_of_thread = threading.local()


class Overtime(Exception):
    """A program ran longer, or printed more, than it may: it was ended, with everything it had
    started."""


def run(
    words: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    seconds: float,
    input: bytes | None = None,
    beat: Callable[[], None] | None = None,
    beat_every: float = 30.0,
    apart: bool = False,
    most: int | None = None,
) -> tuple[int, bytes, bytes]:
    """Run a program and return its exit code, its output and its complaints.

    It has no terminal: what wants to ask a person for something finds nobody. After `seconds`, or
    about `most` bytes of output where that is bounded, it is ended with everything it has started,
    and so it is if we are asked to end meanwhile; with `apart` we wait for it first. `beat` is
    called every `beat_every` seconds, so that the caller can renew a lease; what it raises ends the
    program. Raises Overtime, OSError.
    """
    import subprocess

    with requests_to_end(_unheard()) as requests, _read_from(input) as given:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=env,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            told = _attend(process, seconds, most, beat, beat_every, () if apart else requests)
        except BaseException as error:
            if apart and not isinstance(error, Overtime):
                process.communicate()
            else:
                _end(process)
            raise
        obey(requests)
    return process.returncode, *told


@contextmanager
def requests_to_end(asking: Iterable[signal.Signals]) -> Iterator[list[int]]:
    """Collect the signals `asking` us to end, to be obeyed where a program can be taken along:
    raised at once, one could arrive between its start and our knowing its number.

    No signal reaches another thread than the main one: there it is what `obeying` was given.
    """
    if threading.current_thread() is not threading.main_thread():
        yield getattr(_of_thread, "requests", [])
        return
    requests: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: requests.append(number))
        for number in asking
    }
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def obeying(requests: list[int]) -> Iterator[None]:
    """Have this thread, which is not the main one, end what it runs, and raise SystemExit, once
    another has put a signal's number into `requests`."""
    _of_thread.requests = requests
    try:
        yield
    finally:
        del _of_thread.requests


def obey(requests: Sequence[int]) -> None:
    """Raise SystemExit if we are asked to end, with a shell's code for the signal."""
    if requests:
        raise SystemExit(128 + requests[0])


def exit_text(code: int) -> str:
    """Return `exit code 3`, or the name of the signal where `code` is negative: `SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


@contextmanager
def _read_from(input: bytes | None) -> Iterator[IO[bytes] | int]:
    """Give what a program reads `input` from: a file, since what no pipe takes at once is never
    written where `communicate` is called again and again."""
    if input is None:
        yield subprocess.DEVNULL
        return
    import tempfile

    with tempfile.TemporaryFile() as file:
        file.write(input)
        file.seek(0)
        yield file


def _attend(
    process: subprocess.Popen[bytes],
    seconds: float,
    most: int | None,
    beat: Callable[[], None] | None,
    beat_every: float,
    requests: Sequence[int],
) -> tuple[bytes, bytes]:
    from subprocess import TimeoutExpired

    begun = time.monotonic()
    next_beat, over = begun + beat_every, False
    while True:
        try:
            return process.communicate(timeout=_TICK)
        except TimeoutExpired as late:
            if over:
                # What it has left running, a password's keeper for one, holds its outputs open.
                return late.output or b"", late.stderr or b""
            over = process.poll() is not None
            if most is not None and len(late.output or b"") + len(late.stderr or b"") > most:
                raise Overtime(f"it printed more than {most >> 20} MB") from None
        now = time.monotonic()
        obey(requests)
        if now - begun > seconds:
            raise Overtime(f"it ran longer than {span(seconds)}")
        if beat is not None and now >= next_beat:
            beat()
            next_beat = now + beat_every


def _unheard() -> list[signal.Signals]:
    """Return the signals that ask us to end and to which nobody else listens."""
    if threading.current_thread() is not threading.main_thread():
        return []
    asking = (signal.SIGTERM, signal.SIGHUP)
    return [number for number in asking if signal.getsignal(number) is signal.SIG_DFL]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program of a session of its own with what it has started there."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass
        until = time.monotonic() + _PATIENCE
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                # What it was still to read.
                continue


def beside(work: Callable[[], object], name: str | None = None) -> threading.Thread | None:
    """Start a thread that does `work` and ends with this process; where no more can be started,
    do it here and return None."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        work()
        return None
    return thread


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

    thread = beside(carry_out)
    if thread is not None:
        thread.join(seconds)
        if thread.is_alive():
            raise Late
    if errors:
        raise errors[0]
    return results[0]


def holders(path: str) -> list[tuple[int, str]]:
    """Return (pid, name) of the other processes that have the file at `path` open, as far as that
    can be seen: of this user's, where there is /proc."""
    found = []
    for pid in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if not pid.isdigit() or int(pid) == os.getpid():
            continue
        try:
            for one in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{one}") == path:
                    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as name:
                        found.append((int(pid), name.read().strip()))
                    break
        except OSError:
            continue
    return found
