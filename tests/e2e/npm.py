"""Clients and tools at a pinned version, installed from npm or PyPI into a cache outside the
repository."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_dir() -> Path:
    """`$HYPERVISOR_TEST_CACHE`, else a folder in the cache of the user who runs the tests."""
    own = os.environ.get("HYPERVISOR_TEST_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "hypervisor-test"


def program(package: str, version: str, short: str, pattern: str) -> Path:
    """The program of that package, from the cache's folder `short-version`; installed if need be.

    `pattern` says where the program is in that folder. Several test processes may ask at once:
    one installs, the others wait for it. Raises RuntimeError with npm's words when the package
    can't be had.
    """
    cache = cache_dir()
    folder = cache / f"{short}-{version}"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{short}-{version}.lock"):
        if not folder.exists():
            half = folder.with_name(folder.name + ".half")
            _install(f"{package}@{version}", half)
            _found(half, pattern)
            half.rename(folder)
    return _found(folder, pattern)


def from_pypi(package: str, version: str) -> Path:
    """The folder with that package and what it needs, for PYTHONPATH; installed if need be. Raises
    RuntimeError with pip's words."""
    cache = cache_dir()
    folder = cache / f"{package}-{version}"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{package}-{version}.lock"):
        if not folder.exists():
            half = folder.with_name(folder.name + ".half")
            shutil.rmtree(half, ignore_errors=True)
            wanted = f"{package}=={version}"
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(half), wanted]
            done = subprocess.run(pip, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            if done.returncode != 0:
                raise RuntimeError(f"pip install {wanted} failed:\n{done.stderr[-2000:]}")
            half.rename(folder)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(wanted: str, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError(f"npm is needed to install {wanted}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
    done = subprocess.run(
        [npm, "install", "--prefix", str(folder), wanted, *options],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=folder,
    )
    if done.returncode != 0:
        raise RuntimeError(f"npm install {wanted} failed:\n{done.stderr[-2000:]}")


def _found(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise RuntimeError(f"no program in {folder}; remove that folder to install it again")
    return found[0]
