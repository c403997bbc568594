"""A pool may be stopped, killed, or lose its terminal at any time: nothing is lost, nothing is
done twice, and nothing of it goes on running."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.pool.support import counts, eventually, items, kill, lay_out, lines, pool, script
from hypervisor.agents.pool.requests import Requests
from hypervisor.config import caller
from hypervisor.ledger import Ledger
from hypervisor.system import killing
from worker.support import locks

Run = Callable[..., subprocess.CompletedProcess[str]]
SLOW = 'echo "begin $1" >>../log; sleep %s; echo "end $1" >>../log'


def ended(root: Path) -> list[str]:
    return [line[4:] for line in lines(root.parent / "log") if line.startswith("end ")]


def begun(root: Path) -> list[str]:
    return [line[6:] for line in lines(root.parent / "log") if line.startswith("begin ")]


def finish(root: Path, work: Path, workers: int = 4) -> None:
    """Start the pool again and let it end."""
    with pool(root, "--workers", str(workers), "--", work, "{id}") as again:
        ran = again.wait()
    # Those that were killed may have left nothing.
    assert ran.returncode in (0, 3), ran.stdout + ran.stderr


def test_one_interrupt_drains_what_runs_and_starts_nothing_more(project: Path) -> None:
    lay_out(project, 6)
    work = script(project, SLOW % 1)
    with pool(project, "--workers", "2", "--", work, "{id}") as first:
        eventually(lambda: len(begun(project)) == 2, "two have begun")
        first.signal(signal.SIGINT)
        ran = first.wait()
    assert ran.returncode == 1 and "stopped; the same command continues" in ran.stdout
    assert "draining" in ran.stderr
    assert sorted(ended(project)) == sorted(begun(project)) and len(ended(project)) == 2
    assert counts(project) == {"done": 2, "ready": 4}
    assert not list((project / ".hypervisor").glob("drain-*"))
    finish(project, work)
    assert sorted(ended(project)) == sorted(items(project))


@pytest.mark.parametrize("how", ["twice", "terminal", "terminate"])
def test_a_second_interrupt_or_a_lost_terminal_ends_all_at_once_and_costs_nothing(
    how: str, project: Path
) -> None:
    lay_out(project, 3)
    work = script(
        project, "echo $$ >>../log; (setsid sleep 300 & echo $! >>../log; wait); sleep 300"
    )
    with pool(project, "--workers", "2", "--", work, "{id}") as first:
        eventually(lambda: len(lines(project.parent / "log")) == 4, "two have begun")
        session = first.session
        assert len(killing.marked("HYPERVISOR_POOL", session)) >= 4
        if how == "twice":
            first.signal(signal.SIGINT)
            eventually(lambda: list((project / ".hypervisor").glob("drain-*")), "it drains")
            first.signal(signal.SIGINT)
        else:
            first.signal(signal.SIGHUP if how == "terminal" else signal.SIGTERM)
        ran = first.wait(20)
    assert ran.returncode == 1
    assert killing.marked("HYPERVISOR_POOL", session) == []
    assert counts(project) == {"ready": 3} and locks(project) == []
    assert {item.deaths + item.attempts for item in items(project).values()} == {0}


def test_the_agents_of_a_killed_pool_end_with_it_and_the_next_pool_frees_their_items(
    project: Path,
) -> None:
    lay_out(project, 5)
    slow = script(project, "echo $$ >>../log; (setsid sleep 300 &) ; sleep 300")
    with pool(project, "--workers", "3", "--", slow, "{id}") as first:
        eventually(lambda: len(lines(project.parent / "log")) == 3, "three have begun")
        session = first.session
        kill(first.process.pid)
        first.process.wait()
        eventually(lambda: not killing.marked("HYPERVISOR_POOL", session), "its agents are gone")
        eventually(
            lambda: not Path(tempfile.gettempdir(), f"hypervisor-{session}").exists(),
            "its folder is gone",
        )
    assert counts(project) == {"claimed": 3, "ready": 2}
    finish(project, script(project, 'echo "end $1" >>../log'))
    assert sorted(ended(project)) == sorted(items(project))
    assert {item.deaths + item.attempts for item in items(project).values()} == {0}


def test_an_agent_that_outlives_pool_and_reaper_keeps_its_item_until_the_next_pool_ends_it(
    project: Path,
) -> None:
    lay_out(project, 2)
    slow = script(project, "echo $$ >>../log; sleep 300")
    with pool(project, "--", slow, "{id}") as first:
        [agent] = eventually(lambda: lines(project.parent / "log"), "one has begun")
        session = first.session
        reapers = [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if session.encode() in path.read_bytes() and b"reaper.py" in path.read_bytes()
        ]
        assert len(reapers) == 1
        kill(reapers[0])
        kill(first.process.pid)
        first.process.wait()
        os.kill(int(agent), 0)
        with Ledger.open(str(project)) as ledger:
            from hypervisor.agents import reconcile

            reconcile.settle(ledger)
            assert ledger.queues.stats("q")["claimed"] == 1, "its agent still works on it"
        finish(project, script(project, 'echo "end $1" >>../log'))
        # Its number may stand for a moment more, until the system has asked how it ended.
        assert caller.is_gone(int(agent), None)
    assert sorted(ended(project)) == sorted(items(project))


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(1, 4))]
)
def test_pools_killed_at_random_times_lose_nothing_and_end_nothing_twice(
    seed: int, project: Path
) -> None:
    chance = random.Random(seed)
    lay_out(project, 80)
    work = script(project, 'sleep 0.0$2; echo "end $1" >>../log')
    for _ in range(4):
        with pool(project, "--workers", "4", "--", work, "{id}", str(chance.randrange(9))) as one:
            eventually(lambda: one.session or one.process.poll() is not None, "it runs")
            time.sleep(chance.random() * 0.4)
            session = one.session
            if one.process.poll() is None:
                kill(one.process.pid)
                one.process.wait()
            if session and chance.random() < 0.5:
                killing.kill_marked("HYPERVISOR_POOL", session)
    finish(project, work)
    found = items(project)
    assert {item.state for item in found.values()} == {"done"}
    assert set(ended(project)) == set(found)
    for item in found.values():
        text = (project / item.path).read_text()
        assert text.count("<!-- hypervisor:report ") == 1
    assert locks(project) == []


def test_a_killed_worker_is_an_attempt_and_its_item_is_done_by_another(project: Path) -> None:
    lay_out(project, 3)
    work = script(project, 'echo "begin $1" >>../log; if [ "$1" = t-001 ] && mkdir ../once; then '
                  'echo $$ >../pid; sleep 300; fi; echo "end $1" >>../log')  # fmt: skip
    with pool(project, "--workers", "2", "--", work, "{id}") as first:
        pid = eventually(lambda: lines(project.parent / "pid"), "it has begun")
        kill(int(pid[0]))
        ran = first.wait()
    assert ran.returncode == 0
    assert sorted(ended(project)) == sorted(items(project))
    assert items(project)["t-001"].attempts == 1


def test_an_agent_that_runs_too_long_is_ended_whole_and_its_item_counts_a_death(
    project: Path,
) -> None:
    lay_out(project, 1, max_deaths=1)
    slow = script(project, "trap '' TERM; (setsid sleep 300 &); sleep 300")
    with pool(project, "--max-minutes", "0.01", "--", slow, "{id}") as first:
        session = eventually(lambda: first.session, "it runs")
        ran = first.wait()
        assert killing.marked("HYPERVISOR_POOL", session) == []
    assert ran.returncode == 1
    item = items(project)["t-001"]
    assert (item.state, item.deaths) == ("failed", 1)
    assert "longer than 600 ms" in item.cause


def test_leases_are_renewed_while_agents_live(project: Path) -> None:
    lay_out(project, 2, lease_seconds=2)
    work = script(project, SLOW % 5)
    finish(project, work, workers=2)
    assert {item.deaths for item in items(project).values()} == {0}
    assert len(begun(project)) == 2


def test_two_pools_on_one_queue_share_it(project: Path) -> None:
    lay_out(project, 30)
    work = script(project, 'sleep 0.05; echo "end $1" >>../log')
    with (
        pool(project, "--workers", "3", "--", work, "{id}") as one,
        pool(project, "--workers", "3", "--", work, "{id}") as two,
    ):
        eventually(lambda: one.session and two.session, "both run")
        assert {one.wait().returncode, two.wait().returncode} <= {0, 1, 3}
    assert counts(project) == {"done": 30}
    assert sorted(ended(project)) == sorted(items(project))


def test_a_pause_ends_the_pool_and_a_time_to_resume_is_waited_for(project: Path) -> None:
    lay_out(project, 4)
    work = script(project, SLOW % 0.3)
    with pool(project, "--", work, "{id}") as first:
        eventually(lambda: begun(project), "one has begun")
        with Ledger.open(str(project)) as ledger:
            ledger.pauses.pause("q", "lunch")
        ran = first.wait()
    assert ran.returncode == 1 and "paused; continue with: hypervisor resume q" in ran.stdout
    assert counts(project)["ready"] >= 2
    with Ledger.open(str(project)) as ledger:
        ledger.pauses.resume("q")
        ledger.pauses.pause("q", "rate limit", resume_at=time.time() + 1.5)
    begin = time.monotonic()
    finish(project, work)
    assert time.monotonic() - begin > 1.5
    with Ledger.open(str(project)) as ledger:
        assert ledger.queues.get("q").resume_at is None
    assert counts(project) == {"done": 4}


def test_what_a_killed_pool_has_left_goes_though_others_have_freed_its_items(
    project: Path, run_hypervisor: Run
) -> None:
    lay_out(project, 2)
    with pool(project, "--", script(project, "echo $$ >>../log; sleep 300")) as first:
        eventually(lambda: lines(project.parent / "log"), "one has begun")
        session = first.session
        first.signal(signal.SIGINT)
        mark = project / ".hypervisor" / f"drain-{session}"
        eventually(mark.exists, "it drains")
        kill(first.process.pid)
        first.process.wait()
        eventually(lambda: not killing.marked("HYPERVISOR_POOL", session), "its agents are gone")
    folder = Path(tempfile.gettempdir(), f"hypervisor-{session}")
    eventually(lambda: not folder.exists(), "its reaper has removed it")
    folder.mkdir()
    strange = folder.with_name("hypervisor-pool-ffffffff")
    strange.mkdir(exist_ok=True)
    assert run_hypervisor("status", "q").returncode == 0
    finish(project, script(project, "true"))
    assert not folder.exists() and not mark.exists()
    assert strange.exists(), "nobody knows whose it is"
    strange.rmdir()


DAEMON = (
    'env -i setsid nohup sh -c "echo \\$\\$ >$1.pid; exec sleep 300" >/dev/null 2>&1 &\n'
    'until [ -s "$1.pid" ]; do sleep 0.05; done\n'
)


def gone(pid: int) -> bool:
    """True once a process has ended."""
    return caller.is_gone(pid, None)


def test_a_daemon_without_any_mark_of_its_agent_ends_with_it_and_the_others_go_on(
    project: Path,
) -> None:
    lay_out(project, 2)
    wait = "[ $1 = t-001 ] || until [ -e go ]; do sleep 0.05; done"
    with pool(project, "--workers", "2", "--", script(project, DAEMON + wait), "{id}") as started:
        first, other = (
            int(eventually(lambda name=name: lines(project / f"{name}.pid"), "it runs")[0])
            for name in ("t-001", "t-002")
        )
        eventually(lambda: gone(first), "it ended with its agent")
        assert not gone(other)
        (project / "go").touch()
        assert started.wait().returncode == 0
        assert gone(other)
    assert counts(project) == {"done": 2}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_daemon_without_any_mark_of_its_agent_ends_with_the_pool(
    number: int, project: Path
) -> None:
    lay_out(project, 1)
    with pool(project, "--", script(project, DAEMON + "sleep 300"), "{id}") as started:
        pid = int(eventually(lambda: lines(project / "t-001.pid"), "it runs")[0])
        started.signal(number)
        started.process.wait()
        eventually(lambda: gone(pid), "it ended with the pool")


def test_an_agent_s_exit_code_and_its_signal_are_told_as_they_were(project: Path) -> None:
    lay_out(project, 2, max_attempts=1)
    with pool(
        project, "--", script(project, "[ $1 = t-001 ] && exit 7; kill -9 $$"), "{id}"
    ) as run:
        assert run.wait().returncode == 1
    reasons = {name: (item.report or {})["reason"] for name, item in items(project).items()}
    assert reasons == {"t-001": "exit code 7", "t-002": "SIGKILL"}


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_of_a_person_who_wants_it_to_end_asks_a_pool_to_stop(number: int) -> None:
    with Requests() as requests:
        os.kill(os.getpid(), number)
        assert (requests.drain, requests.stop) == (False, True)
