"""An item that takes its pool or session down: counted, last, alone; what such a pool leaves."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from agents.pool.support import counts, eventually, items, kill, lay_out, lines, pool, script
from hypervisor import worker
from hypervisor.agents import reconcile
from hypervisor.config import caller
from hypervisor.ledger import Ledger

# An agent's parent is its keeper, whose parent is the pool.
KILLS = """
if [ "$1" = t-001 ]; then
    read -r _ _ _ pool _ </proc/$PPID/stat
    kill -9 "$pool"
    sleep 20
fi
echo "$1" >>../log
"""


def _abrupt(project: Path) -> int:
    with Ledger.open(str(project)) as ledger:
        reconcile.settle(ledger)
    return items(project)["t-001"].abrupt


def test_an_item_that_takes_its_pool_down_starves_no_other_and_fails_with_the_cause(
    project: Path,
) -> None:
    lay_out(project, 4)
    work = script(project, KILLS)
    for kills in range(1, 4):
        assert counts(project).get("ready", 0) >= 1
        with pool(project, "--", work, "{id}") as one:
            assert one.wait().returncode == -9
        # Its agent ends a moment after it.
        eventually(lambda kills=kills: _abrupt(project) == kills, "the end of its pool is counted")
    assert counts(project) == {"done": 3, "failed": 1}
    poison = items(project)["t-001"]
    assert (poison.deaths, poison.attempts) == (0, 0)
    assert poison.cause == (
        "3 workers went down with their pool or session while they held it; the last: its pool was "
        "gone in the middle of it"
    )
    assert [one.abrupt for one in items(project).values()] == [3, 0, 0, 0]
    assert sorted(lines(project.parent / "log")) == ["t-002", "t-003", "t-004"]


def test_what_was_in_work_beside_it_is_done(project: Path) -> None:
    lay_out(project, 4)
    # The others take longer than it takes to kill their pool.
    beside = script(project, KILLS.replace("echo", "sleep 0.7; echo"))
    for _ in range(3):
        with pool(project, "--workers", "4", "--", beside, "{id}") as one:
            one.wait()
    with Ledger.open(str(project)) as ledger:
        reconcile.settle(ledger)
    with pool(project, "--workers", "4", "--", beside, "{id}") as one:
        one.wait()
    assert counts(project) == {"done": 3, "failed": 1}
    assert items(project)["t-001"].state == "failed"


def test_an_item_whose_session_is_gone_without_a_word_comes_last_and_is_counted(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(project, 2, max_deaths=2)
    for abrupt in (1, 2):
        client = subprocess.Popen(["sleep", "300"])
        with Ledger.open(str(project)) as ledger:
            started = caller.started(client.pid)
            ledger.sessions.meet(f"s{abrupt}", pid=client.pid, pid_start=started)
            monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", f"s{abrupt}")
            assert [claim.id for claim in worker.take(ledger, "q", "w", only="t-001")] == ["t-001"]
            monkeypatch.delenv("CLAUDE_CODE_SESSION_ID")
            client.kill()
            client.wait()
            assert reconcile.settle(ledger) == 1
            ready = [row.id for row in ledger.items.ready("q")]
        assert ready == (["t-002", "t-001"] if abrupt == 1 else ["t-002"])
    assert items(project)["t-001"].state == "failed"


def test_nothing_of_a_killed_pool_stays_whoever_looked_meanwhile(
    project: Path, tmp_path: Path
) -> None:
    lay_out(project, 2)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    env = {"TMPDIR": str(temporary)}
    slow = script(project, "echo $$ >>../log; sleep 300")
    with pool(project, "--workers", "2", "--", slow, "{id}", env=env) as first:
        eventually(lambda: len(lines(project.parent / "log")) == 2, "two have begun")
        session = first.session
        (project / ".hypervisor" / f"drain-{session}").touch()
        kill(first.process.pid)
        first.process.wait()

    def is_over() -> bool:
        reconcile.settle(ledger)
        return ledger.sessions.pools() == []

    with Ledger.open(str(project)) as ledger:
        # Its agents end a moment after it.
        eventually(is_over, "nothing of the pool is at work")
    with pool(project, "--", script(project, "true"), env=env) as second:
        assert second.wait().returncode == 0
    assert os.listdir(temporary) == []
    assert not list((project / ".hypervisor").glob("drain-*"))
    assert counts(project) == {"done": 2}
