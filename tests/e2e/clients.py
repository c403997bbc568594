"""The pinned Claude Code clients, installed from npm into a cache outside the repository."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "@anthropic-ai/claude-code"
VERSIONS = ("2.1.197", "2.1.330")  # the oldest that is supported, and the newest that is tested


@dataclass(frozen=True)
class Client:
    """One version of the client; `binary` is its native program, which needs no Node."""

    version: str
    binary: Path

    @property
    def arms_monitors(self) -> bool:
        """Whether this version starts a plugin's monitors in an interactive session."""
        return tuple(map(int, self.version.split("."))) > (2, 1, 197)


def cache_dir() -> Path:
    """`$HYPERVISOR_TEST_CACHE`, else a folder in the cache of the user who runs the tests."""
    own = os.environ.get("HYPERVISOR_TEST_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "hypervisor-test"


def client(version: str) -> Client:
    """The client of that version, from the cache; installed first if it is not there.

    Several test processes may ask at once: one installs, the others wait for it.
    Raises RuntimeError with npm's words when the package can't be had.
    """
    cache = cache_dir()
    folder = cache / f"claude-{version}"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"claude-{version}.lock"):
        if not folder.exists():
            _install(version, folder)
    return Client(version, _binary(folder))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(version: str, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError(f"npm is needed to install {PACKAGE}@{version}")
    half = folder.with_name(folder.name + ".half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
    done = subprocess.run(
        [npm, "install", "--prefix", str(half), f"{PACKAGE}@{version}", *options],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=half,
    )
    if done.returncode != 0:
        raise RuntimeError(f"npm install {PACKAGE}@{version} failed:\n{done.stderr[-2000:]}")
    _binary(half)
    half.rename(folder)


def _binary(folder: Path) -> Path:
    # The wrapper package depends on one package per platform; npm installs only the fitting one.
    found = sorted(folder.glob(f"node_modules/{PACKAGE}-*/claude"))
    if not found:
        raise RuntimeError(f"no native client in {folder}; remove that folder to install it again")
    return found[0]
