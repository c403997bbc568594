"""A process that looks whether answers fit their schema: what takes too long there is ended.

A pattern is searched in C, where nothing but the end of its process stops it, and a schema can ask
for more comparisons than anybody waits for. The process is kept while its caller lives, so that a
pool loads the library once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

from hypervisor.system.errors import SetupError
from hypervisor.system.spans import span

SECONDS = 1.0
# A machine with much else to do may give it little of its processor's time.
_PATIENCE = 60.0
_LOCK = threading.Lock()
# By the process that has started it, too: a fork has one of its own.
_known: dict[tuple[int, str], subprocess.Popen[bytes]] = {}


def faults(schema: str, answer: object) -> str:
    """Return where `answer` does not fit `schema` and by which rule, "" where it does. Raises
    SetupError where that can't be told."""
    with _LOCK:
        key = os.getpid(), schema
        process = _known.get(key)
        if process is None or process.poll() is not None:
            process = _known[key] = _started(schema)
        told = _asked(process, json.dumps(answer).encode() + b"\n")
        if told:
            faults: str = json.loads(told)
            return faults
        code = _ended(_known.pop(key))
    if code in (-signal.SIGPROF, -signal.SIGKILL):
        return f"answer: it can't be told within {span(SECONDS)} whether it fits the schema"
    raise SetupError(
        f"the process that validates answers ended with exit code {code}", "run done again"
    )


def _started(schema: str) -> subprocess.Popen[bytes]:
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = (
        f"import sys; sys.path.insert(0, {source!r}); "
        "from hypervisor.system.validating import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # It belongs to no agent: who ends those must not end it.
        env={},
    )
    assert process.stdin is not None
    process.stdin.write(schema.encode() + b"\n")
    return process


def _asked(process: subprocess.Popen[bytes], line: bytes) -> bytes:
    """Return the line that the process answers, b"" where it ends or hangs instead."""
    assert process.stdin is not None and process.stdout is not None
    late = threading.Timer(_PATIENCE, process.kill)
    late.daemon = True
    late.start()
    try:
        process.stdin.write(line)
        process.stdin.flush()
        return process.stdout.readline()
    except BrokenPipeError:
        return b""
    finally:
        late.cancel()


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Return the exit code of a process whose output has ended."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                continue
    return process.wait()


def main() -> None:
    """Read a schema and then answers, a line each; write of each what `faults` returns, as JSON."""
    from hypervisor.system import schemas

    known = schemas.validator(sys.stdin.buffer.readline().decode())
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            told = schemas.faults(known, line)
        except RecursionError:
            told = (
                "answer: it can't be told whether it fits: the schema leads into itself too often"
            )
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.write(1, json.dumps(told).encode() + b"\n")
