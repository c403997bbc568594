"""A folder in memory, for tests that kill processes over and over."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MEMORY = "/dev/shm"
_ENOUGH = 256 << 20  # bytes


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory, where that has room: what a killed process has written stays, synced or not, so
    the disk shows nothing more and takes most of the time."""
    try:
        room = os.statvfs(_MEMORY)
        folder = tempfile.mkdtemp(prefix="hypervisor-", dir=_MEMORY)
    except OSError:
        yield tmp_path
        return
    yield Path(folder) if room.f_bavail * room.f_frsize >= _ENOUGH else tmp_path
    shutil.rmtree(folder, ignore_errors=True)
