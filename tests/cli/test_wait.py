"""`hypervisor wait` in a shell: what it leaves when it is killed."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from hypervisor.ledger import Ledger, markers
from repository import REPO
from worker.support import open_queue, write_task


def test_a_wait_that_was_killed_leaves_no_queue_marked(project: Path) -> None:
    write_task(project, "a")
    open_queue(project)
    with Ledger.open(str(project)) as ledger:
        waiting = subprocess.Popen(
            [REPO / "bin/hypervisor", "wait", "q", "--timeout", "60"], cwd=project,
            env=os.environ, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 30
        while not ledger.followers.followed("shell") and time.monotonic() < until:
            time.sleep(0.05)
        waiting.kill()
        waiting.wait()
        assert ledger.followers.followed("shell"), "it was killed before it began to wait"
        [claim] = ledger.claims.claim("q", "w")
        markers.mark(ledger, "q")
        ledger.ends.finish(claim.token, "done", {})
        markers.clear(ledger)
        assert not markers.is_marked(ledger.state)
