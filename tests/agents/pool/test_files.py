"""No agent is started for items that wait for files which others work on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hypervisor.agents.client import Headless
from hypervisor.agents.pool.pool import Pool
from hypervisor.ledger import Ledger
from worker.support import open_queue, write_task


class Client(Headless):
    """An agent that claims by itself."""

    name = "one"


def test_an_agent_is_started_when_the_files_are_free(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("t0", "t1"):
        write_task(project, name, extra="files: [a.py]\n")
    open_queue(project)
    started: list[Any] = []
    monkeypatch.setattr(Pool, "_start_agent", lambda self, slot, rung: started.append(slot))
    with Ledger.open(str(project)) as ledger:
        pool = Pool(ledger, "q", Client(), workers=2, items_each=1, seconds=60)
        [claim] = ledger.claims.claim("q", "somebody")
        pool._start_more()
        assert started == []
        ledger.ends.finish(claim.token, "done", {"summary": "x"})
        pool._next_start = 0.0
        pool._start_more()
        assert started == [1]
