"""The command line in a fork of the test's process, which spares the start of a new one."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hypervisor.cli import VERBS, load, main

# What verbs load is loaded once, here, and not in each fork.
for verb in VERBS:
    load(verb)


def run(
    words: Sequence[str | Path], cwd: Path, input: str | None, env: Mapping[str, str | None]
) -> subprocess.CompletedProcess[str]:
    """Carry out one command line in `cwd`. `env` is added to the environment; a value of None takes
    a variable away."""
    argv = [str(word) for word in words]
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        given.write((input or "").encode())
        given.seek(0)
        pid = start(argv, cwd, (given.fileno(), out.fileno(), err.fileno()), env)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        told = []
        for file in (out, err):
            file.seek(0)
            told.append(file.read().decode("utf-8"))
    return subprocess.CompletedProcess(argv, code, *told)


def start(
    argv: Sequence[str],
    cwd: Path,
    streams: tuple[int, int, int],
    env: Mapping[str, str | None],
    shut: Iterable[int] = (),
) -> int:
    """Start a command line in `cwd` as `run` does, its standard streams on these descriptors and
    those in `shut` closed; return the number of its process."""
    pid = os.fork()
    if pid:
        return pid
    # A look at all that the tests have loaded would copy it.
    gc.disable()
    code = 1
    try:
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
        for fd in shut:
            os.close(fd)
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            for number, mode in enumerate("rww")
        )
        for name, value in env.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        os.chdir(cwd)
        code = main(list(argv))
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
