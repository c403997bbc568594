"""A detached pool goes on by itself: one at most for a queue, and nothing is run twice."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents.pool.support import counts, eventually, kill, lay_out, lines, script
from hypervisor import worker
from hypervisor.agents.command.client import Command
from hypervisor.agents.pool.launch import View
from hypervisor.agents.pool.pool import Pool
from hypervisor.ledger import Ledger
from hypervisor.system import killing
from hypervisor.system.state import State
from hypervisor.worker import detached

Run = Callable[..., subprocess.CompletedProcess[str]]
WORK = ("work", "q", "--agent", "command")
# A run that ends when the test says so.
WAITS = 'echo "begin $HYPERVISOR_ID" >>../log; until [ -e ../go ]; do sleep 0.05; done'
REPORT = "<!-- hypervisor:report "


@pytest.mark.parametrize("said", ["release", "block"])
def test_a_pool_that_stays_waits_for_what_another_holds(
    project: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    for name in ("_TEND_SECONDS", "_SHOW_SECONDS"):
        monkeypatch.setattr(f"hypervisor.agents.pool.pool.{name}", 0)
    lay_out(project, 2)
    looks = itertools.count()
    with Ledger.open(str(project)) as ledger:
        [other] = worker.take(ledger, "q", "other")

        def end(view: View) -> None:
            if view.counts["done"] == 1 and not view.running and next(looks) == 2:
                if said == "release":
                    worker.give_back(ledger, [other.token])
                else:
                    worker.finish(ledger, other.token, "blocked", {"reason": "x"})

        pool = Pool(
            ledger, "q", Command(["/bin/true"]), workers=1, items_each=1, seconds=60, show=end,
            stays=True,
        )  # fmt: skip
        assert pool.run() == "drained"
    assert counts(project) == ({"done": 1, "blocked": 1} if said == "block" else {"done": 2})


def known(root: Path) -> detached.Detached | None:
    state = State.find(str(root))
    assert state is not None
    return detached.find(state, "q")


def pid(root: Path) -> int | None:
    """The process of the pool that is detached now, once it has begun."""
    told = known(root)
    if told is None or not told.alive:
        return None
    with Ledger.open(str(root)) as ledger:
        session = ledger.sessions.find(told.id)
    return session.pid if session is not None else None


def over(root: Path) -> bool:
    told = known(root)
    return told is not None and not told.alive


@pytest.fixture
def root(project: Path) -> Iterator[Path]:
    """A queue of six items; no detached pool outlives the test."""
    lay_out(project, 6, max_deaths=100)
    yield project
    told = known(project)
    if told is not None:
        if (number := pid(project)) is not None:
            kill(number)
        eventually(lambda: over(project), "its pool is gone")
        killing.kill_marked("HYPERVISOR_POOL", told.id)


def test_a_detached_pool_works_the_queue_off_and_leaves_its_log(
    root: Path, run_forked: Run
) -> None:
    work = script(root, f'{WAITS}; echo "end $HYPERVISOR_ID" >>../log')
    env = {"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "s"}
    ran = run_forked(*WORK, "--workers", "3", "--detach", "--", work, env=env)
    assert ran.returncode == 0, ran.stderr
    told = known(root)
    assert told is not None and told.id in ran.stdout and told.log in ran.stdout
    number = eventually(lambda: pid(root), "it has begun")
    # Neither a terminal nor the session that started it is around it.
    assert os.getsid(number) == number
    around = Path(f"/proc/{number}/environ").read_bytes()
    assert b"CLAUDECODE=" not in around and b"CLAUDE_CODE_SESSION_ID=" not in around
    told_by_status = json.loads(run_forked("status", "q", "--json").stdout)["detached"]
    assert told_by_status["alive"] and told_by_status["id"] == told.id
    assert "at work in the background" in run_forked("status", "q").stdout
    again = run_forked(*WORK, "--detach", "--", "true")
    assert again.returncode == 0 and f"{told.id} is already at work" in again.stdout
    beside = run_forked(*WORK, "--", "true")
    assert beside.returncode == 2 and "hypervisor work q --attach" in beside.stderr
    (root.parent / "go").touch()
    shown = run_forked("work", "q", "--attach")
    assert shown.returncode == 0, shown.stderr
    assert "6/6 items ended" in shown.stdout and "queue q: drained" in shown.stdout
    assert sorted(lines(root.parent / "log")) == sorted(
        f"{what} t-{n:03}" for n in range(1, 7) for what in ("begin", "end")
    )
    assert json.loads(run_forked("status", "q", "--json").stdout)["detached"] is None


def test_once_a_detached_pool_was_killed_status_prints_the_command_that_goes_on(
    root: Path, run_forked: Run
) -> None:
    work = script(root, WAITS)
    key = "sk-ant-" + "a1" * 20
    run_forked(*WORK, "--detach", "--max-minutes", "9", "--", work, key)
    number = eventually(lambda: pid(root), "it has begun")
    eventually(lambda: lines(root.parent / "log"), "an item has begun")
    kill(number)
    eventually(lambda: over(root), "it is gone")
    said = run_forked("status", "q").stdout
    assert "is gone: it was killed, or the machine was restarted" in said
    given = "--queue q --max-minutes 9"
    command = f"hypervisor work --detach {given} -- {work} '[redacted]'"
    assert command in said and key not in said
    assert command in run_forked("doctor").stdout
    shown = run_forked("work", "q", "--attach")
    assert shown.returncode == 1 and command in shown.stderr


def test_a_detached_pool_that_is_paused_ends_and_is_told_of(root: Path, run_forked: Run) -> None:
    run_forked(*WORK, "--detach", "--", script(root, WAITS))
    eventually(lambda: lines(root.parent / "log"), "an item has begun")
    run_forked("pause", "q")
    (root.parent / "go").touch()
    eventually(lambda: over(root), "it has ended")
    assert "has ended (paused)" in run_forked("status", "q").stdout


def test_beside_a_pool_in_a_terminal_none_is_detached(root: Path, run_forked: Run) -> None:
    state = State.find(str(root))
    assert state is not None
    lock = detached.beside(state, "q", ["work", "q"])
    ran = run_forked(*WORK, "--detach", "--", "true")
    os.close(lock)
    assert ran.returncode == 2 and "another terminal" in ran.stderr
    assert counts(root) == {"ready": 6}


def test_a_lock_that_is_none_detaches_nothing(root: Path, run_forked: Run) -> None:
    ran = run_forked(*WORK, "--detached", "1", "--", "true")
    assert ran.returncode == 2 and "use --detach" in ran.stderr


def test_killed_at_random_moments_one_pool_at_most_runs_nothing_twice(
    root: Path, run_forked: Run
) -> None:
    chance = random.Random(7)
    # Whoever finds the item in the hands of another run says so.
    work = script(
        root, "exec 9>../one-$HYPERVISOR_ID; flock -n 9 || echo twice >>../twice; sleep 0.05"
    )
    for _ in range(3):
        starts = [run_forked(*WORK, "--detach", "--workers", "2", "--", work) for _ in range(2)]
        assert {ran.returncode for ran in starts} <= {0, 3}, starts
        time.sleep(chance.random() * 0.5)
        if (number := pid(root)) is not None:
            os.kill(number, signal.SIGKILL)
        eventually(lambda: over(root), "it is gone")
    run_forked(*WORK, "--detach", "--", work)
    eventually(lambda: counts(root) == {"done": 6}, "all is done", 60)
    eventually(lambda: over(root), "it has ended")
    assert not (root.parent / "twice").exists()
    assert all((root / f"tasks/t-{n:03}.md").read_text().count(REPORT) == 1 for n in range(1, 7))
