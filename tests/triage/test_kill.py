"""Worker processes killed at any moment: nothing half-written, nothing lost, nothing twice."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from hypervisor.system.state import State
from hypervisor.tasks.undo import UndoLog
from hypervisor.triage import processes
from hypervisor.triage.processes import Processes, worker_command

FILES = 160
SEED = 20261123


def test_workers_killed_at_random_times_lose_nothing_and_do_nothing_twice(
    write_tasks, open_queue, worker, ledger, project: Path, thorough: bool
):
    random.seed(SEED)
    paths = write_tasks(FILES)
    before = {path: path.read_bytes() for path in paths}
    open_queue(paths)
    worker.work()
    after = {path: path.read_bytes() for path in paths}
    assert all(before[path] != after[path] for path in paths)
    kills, wanted = 0, 50 if thorough else 30
    deaths = 0
    while kills < wanted:
        for path in paths:
            path.write_bytes(before[path])
        open_queue(paths, max_deaths=10**6, max_lost=10**6)
        kills += work_off_with_kills(ledger, wanted - kills, before, after)
        deaths += check_all_done(ledger, project, after)
    # Without a kill in the middle of some work the rest would prove nothing.
    assert deaths > wanted // 10
    state = State.find(str(project))
    assert state is not None
    UndoLog(state, "triage").restore()
    assert {path: path.read_bytes() for path in paths} == before


def work_off_with_kills(ledger, wanted: int, before: dict, after: dict) -> int:
    """Run four workers until the queue has drained, killing one every now and then."""
    running: dict[str, subprocess.Popen[bytes]] = {}
    kills = started = 0
    due = time.monotonic() + random.uniform(0.0, 0.2)
    while not ledger.queues.drained("triage"):
        while len(running) < 4:
            started += 1
            name = f"{time.monotonic_ns()}"
            running[name] = subprocess.Popen(worker_command(ledger.root, "triage", name, 10))
        if kills < wanted and time.monotonic() >= due:
            name, process = random.choice(list(running.items()))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.wait()
            ledger.ends.end_worker(name, "died")
            del running[name]
            due = time.monotonic() + random.uniform(0.0, 0.12)
            for path, raw in before.items():
                assert path.read_bytes() in (raw, after[path]), f"half-written: {path}"
        for name, process in list(running.items()):
            if process.poll() not in (None, 0):
                raise AssertionError(f"a worker ended by itself: {process.returncode}")
            if process.returncode == 0:
                del running[name]
        time.sleep(0.002)
    for process in running.values():
        assert process.wait(30) == 0
    return kills


def check_all_done(ledger, project: Path, after: dict) -> int:
    """Check files, reports and what is left beside them; return how often items lost a worker."""
    assert {path: path.read_bytes() for path in after} == after
    rows = list(ledger.queries.results("triage"))
    assert len(rows) == len(after)
    for row in rows:
        assert row.state == "done"
        assert row.report["changes"] == ["assignee->bot", "added_wikilink"], row.id
    number = ledger.queues.get("triage").no
    accepted = ledger.store.rows(
        "select count(*) from claim c join item i on i.no = c.item "
        "where c.outcome = 'done' and i.queue = ?",
        (number,),
    ).fetchone()[0]
    assert accepted == len(after)
    assert os.listdir(project / ".hypervisor/locks") == []
    left = {name for name in os.listdir(project / "tasks") if not name.endswith(".md")}
    assert all(re.fullmatch(r"\.hypervisor-[0-9a-f]{16}\.tmp", name) for name in left)
    return sum(row.deaths for row in rows)


def test_a_worker_process_that_crashes_is_started_again_and_frees_its_items_at_once(
    write_tasks, open_queue, rows, ledger, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(processes, "_TICK", 0.005)
    open_queue(write_tasks(300), max_deaths=10**6, lease_seconds=10**6)
    pair = Processes(ledger, "triage", 2, 5)
    killed = []

    def show(counts):
        if len(killed) < 3 and counts["claimed"]:
            for process in list(pair._running.values())[:1]:
                process.kill()
                killed.append(process.pid)

    pair.run(show)
    assert {row.state for row in rows().values()} == {"done"}
    assert pair.deaths == len(killed) > 0


def test_a_stop_lets_workers_finish_their_batch_and_keeps_the_rest(
    write_tasks, open_queue, ledger, monkeypatch: pytest.MonkeyPatch
):
    open_queue(write_tasks(900))
    # Where no disk slows them down, workers do hundreds of items between two looks.
    monkeypatch.setattr(processes, "_TICK", 0.005)

    def interrupt(counts):
        if counts["done"]:
            raise KeyboardInterrupt

    try:
        Processes(ledger, "triage", 2, 5).run(interrupt)
    except KeyboardInterrupt:
        pass
    counts = ledger.queues.stats("triage")
    assert counts["done"] and counts["ready"] and not counts["claimed"]
    assert counts["done"] + counts["ready"] == 900
    Processes(ledger, "triage", 2, 50).run(lambda counts: None)
    assert ledger.queues.stats("triage")["done"] == 900


def test_workers_stop_when_the_process_that_started_them_is_gone(
    write_tasks, open_queue, ledger, project
):
    open_queue(write_tasks(1500))
    command = worker_command(str(project), "triage", "orphan", 1)
    # The shell leaves at once, so the worker's parent is gone before it has worked much off.
    subprocess.run(["/bin/sh", "-c", '"$@" & sleep 0.3', "sh", *command], check=True)
    deadline = time.monotonic() + 20
    while ledger.queues.stats("triage")["claimed"] and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    assert ledger.queues.stats("triage")["ready"] > 0
