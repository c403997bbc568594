"""Many machines at once, hurt in every way that we know: bench/soak.py with 120 items."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from repository import REPO

pytestmark = pytest.mark.e2e

SOAK = REPO / "bench" / "soak.py"


@pytest.mark.timeout(900)
def test_hosts_cut_off_killed_and_off_in_time_lose_nothing_and_repeat_nothing() -> None:
    if os.geteuid() != 0:
        pytest.skip("hosts out of network namespaces need root")
    done = subprocess.run(
        [sys.executable, SOAK, "--items", "120", "--workers", "4"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
