"""The check of a queue runs beside its pool: others work on, leases hold, and a stop ends it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from agents.pool.support import counts, eventually, items, lay_out, lines, pool, script
from hypervisor.config import caller
from hypervisor.system import killing


def test_while_a_check_runs_others_work_on_and_no_lease_runs_out(project: Path) -> None:
    # The first check lasts until another command has begun, and then past the lease of both.
    check = """[ $HYPERVISOR_ID = t-001 ] || exit 0
until [ -e ../t-002 ]; do sleep 0.02; done; sleep 3; touch ../passed"""
    lay_out(project, 2, verify=check, lease_seconds=1.5)
    work = script(
        project, "touch ../$1; [ $1 = t-001 ] || until [ -e ../passed ]; do sleep 0.02; done"
    )
    with pool(project, "--workers", "2", "--", work, "{id}") as started:
        ran = started.wait()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert counts(project) == {"done": 2}
    assert {item.deaths + item.attempts for item in items(project).values()} == {0}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_a_pool_ends_its_check_and_costs_the_item_nothing(
    number: int, project: Path
) -> None:
    lay_out(project, 1, verify="echo $$ >>../check; (sleep 300 & wait)")
    with pool(project, "--", "true") as started:
        [check] = eventually(lambda: lines(project.parent / "check"), "the check has begun")
        session = started.session
        started.signal(number)
        started.wait(20)
        eventually(lambda: not killing.marked("HYPERVISOR_POOL", session), "nothing of it runs")
    assert caller.is_gone(int(check), None)
    # The next pool frees what a killed one held.
    assert counts(project) == {"ready" if number == signal.SIGTERM else "claimed": 1}
    item = items(project)["t-001"]
    assert item.deaths + item.attempts == 0


def test_a_check_that_fails_is_an_attempt_and_its_command_is_run_again(project: Path) -> None:
    lay_out(project, 1, verify="echo x >>../checked; exit 3", max_attempts=2)
    with pool(project, "--", "true") as started:
        assert started.wait().returncode == 1
    assert lines(project.parent / "checked") == ["x", "x"]
    item = items(project)["t-001"]
    assert (item.state, item.attempts) == ("failed", 2)
