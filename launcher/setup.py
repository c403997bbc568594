"""Makes one environment. Run by setup.sh with the interpreter the environment is made from.

A lock beside the environment makes first uses wait for each other. It is inherited by pip and uv,
so it is free only when the last process of a killed set-up is gone. `.complete` is written last:
what lacks it is a leftover, and is removed before the next build.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import time

PATIENCE = 2.0  # seconds of silent waiting for another process's set-up

# Whatever index or mirror answers: only the files that are pinned, and no code of a source package
# is run while it is installed.
SAFE = ["--require-hashes", "--only-binary", ":all:"]

# Settings that would send pip or uv elsewhere than into the environment they are told to fill, have
# them build what is pinned as a wheel, or let them look away from the hashes.
MISLEADING = {
    "PIP_CONSTRAINT",
    "PIP_DRY_RUN",
    "PIP_NO_BINARY",
    "PIP_PREFIX",
    "PIP_PYTHON",
    "PIP_REQUIREMENT",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
    "UV_CONSTRAINT",
    "UV_NO_BINARY",
    "UV_NO_BINARY_PACKAGE",
    "UV_NO_VERIFY_HASHES",
    "UV_OVERRIDE",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "VIRTUAL_ENV",
}


class Refused(Exception):
    """What went wrong, and how to mend it."""


def main(home: str, pointer: str, prefix: str, *requirements: str) -> None:
    name = f"{prefix}-{fingerprint(requirements)}"
    env = os.path.join(home, name)
    try:
        os.makedirs(home, exist_ok=True)
        with open(env + ".lock", "a") as lock:
            wait_for(lock.fileno(), env)
            if not is_complete(env):
                say(f"setting up its environment in {env} (once)")
                build(env, requirements, lock.fileno())
            write_pointer(os.path.join(home, pointer), name)
    except OSError as error:
        raise Refused(
            f"cannot write to {home} ({error.strerror})", "set HYPERVISOR_HOME to a folder of yours"
        ) from None
    print(env)


def fingerprint(requirements: tuple[str, ...]) -> str:
    """The hash of everything that decides what an environment holds: the pins, the interpreter."""
    digest = hashlib.sha256()
    for part in (sys.executable, sys.version, platform.machine()):
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    for path in requirements:
        with open(path, "rb") as file:
            digest.update(file.read() + b"\0")
    return digest.hexdigest()[:12]


def wait_for(lock: int, env: str) -> None:
    patient_until = time.monotonic() + PATIENCE
    while time.monotonic() < patient_until:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.05)
    say(f"waiting for another process that is setting up {env}")
    fcntl.flock(lock, fcntl.LOCK_EX)


def is_complete(env: str) -> bool:
    return os.path.exists(os.path.join(env, ".complete")) and os.access(
        os.path.join(env, "bin", "python"), os.X_OK
    )


def build(env: str, requirements: tuple[str, ...], lock: int) -> None:
    remove(env)
    log = env + ".log"
    try:
        with open(log, "wb") as output:
            made_by(env, requirements, output.fileno(), lock)
    except BaseException:
        remove(env)
        raise
    with open(os.path.join(env, ".complete"), "w"):
        pass
    os.unlink(log)


def made_by(env: str, requirements: tuple[str, ...], log: int, lock: int) -> None:
    """Makes the environment with uv, and where that is absent or fails, with venv and pip.

    A machine may reach its package index through pip's configuration only, which uv does not read.
    """
    python = os.path.join(env, "bin", "python")
    pins = [word for path in requirements for word in ("-r", os.path.abspath(path))]
    ways = []
    uv = shutil.which("uv")
    if uv:
        install = [uv, "pip", "install", "--compile-bytecode", "--python", python, *SAFE, *pins]
        ways.append([[uv, "venv", "--python", sys.executable, env], install])
    if has_ensurepip():
        install = [
            python,
            "-I",
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            *SAFE,
            *pins,
        ]
        ways.append([[sys.executable, "-I", "-m", "venv", env], install])
    for commands in ways:
        remove(env)
        if all(run(command, os.path.dirname(env), log, lock) for command in commands):
            return
    raise Refused(
        f"hypervisor's libraries could not be installed: {last_error(env + '.log')}; the whole "
        f"output is in {env}.log",
        "run the command again when the package index can be reached",
    )


def has_ensurepip() -> bool:
    from importlib.util import find_spec

    return find_spec("ensurepip") is not None and find_spec("venv") is not None


def run(command: list[str], folder: str, log: int, lock: int) -> bool:
    """Runs one step outside any project, whose own settings uv would take for its own."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in MISLEADING and not key.startswith("PYTHON")
    }
    os.write(log, f"$ {' '.join(command)}\n".encode("utf-8", "surrogateescape"))
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
        )
    except OSError as error:
        os.write(log, f"error: {error}\n".encode("utf-8", "surrogateescape"))
        return False
    return done.returncode == 0


def last_error(log: str) -> str:
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = [" ".join(line.split()) for line in file if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return "".join(filter(str.isprintable, (errors or lines)[-1]))[:300]


def write_pointer(path: str, name: str) -> None:
    asked = os.environ.get("HYPERVISOR_PYTHON", "")
    draft = f"{path}.{os.getpid()}"
    with open(draft, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f"{name}\n{asked}\n")
    os.replace(draft, path)


def remove(env: str) -> None:
    if os.path.lexists(env):
        shutil.rmtree(env)


def say(line: str) -> None:
    print("hypervisor:", line, file=sys.stderr, flush=True)


def stop(number: int, frame: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    for ending in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(ending, stop)
    try:
        main(*sys.argv[1:])
    except Refused as refused:
        what, hint = refused.args
        print(f"error: {what}\nhint: {hint}", file=sys.stderr)
        sys.exit(1)
