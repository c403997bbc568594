"""The live view without a terminal: lines that a pipe or a log can take."""

from __future__ import annotations

import json
import shlex
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.test_shapes import check
from hypervisor.ledger import Ledger, NewItem
from hypervisor.views.watch import Look, plain
from hypervisor.worker.settle import settle
from views.watch.support import HYPERVISOR

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def ledger(project: Path) -> Iterator[Ledger]:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", [NewItem("a"), NewItem("b")])
        yield ledger


def test_without_a_terminal_a_line_comes_with_each_change_until_all_has_ended(
    ledger: Ledger, project: Path
) -> None:
    line = [HYPERVISOR, "status", "--watch"]
    with subprocess.Popen(line, cwd=project, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        first = watch.stdout.readline()
        assert first[9:] == "q: open, 2 items: 2 ready\n"
        time.strptime(first[:8], "%H:%M:%S")
        for claim in ledger.claims.claim("q", "w", 2):
            ledger.ends.finish(claim.token, "done", {})
        rest = watch.stdout.read()
        assert rest.splitlines()[-1].endswith(" q: drained, 2 items: 2 done")
        assert watch.wait(timeout=20) == 0
    assert "\x1b" not in first + rest


def test_as_json_each_line_is_a_status(ledger: Ledger, run_hypervisor: Run) -> None:
    ledger.generations.cancel("q")
    ended = run_hypervisor("status", "q", "--watch", "--json")
    assert ended.returncode == 0, ended.stderr
    [one] = map(json.loads, ended.stdout.splitlines())
    check("status", one)
    assert one["state"] == "cancelled"


def test_a_root_without_queues_says_so(project: Path, run_hypervisor: Run) -> None:
    with Ledger.open(str(project), create=True):
        pass
    ended = run_hypervisor("status", "--watch")
    assert (ended.returncode, ended.stdout) == (0, "no queues here; hypervisor open QUEUE SOURCE\n")


def test_a_ledger_that_can_not_be_read_for_a_while_is_told_once_and_watched_on(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0
    counted = ledger.queues.counts

    def counts(queue: int) -> dict[str, int]:
        nonlocal looked
        looked += 1
        if looked in (1, 2):
            raise sqlite3.OperationalError("database is locked")
        return counted(queue)

    ledger.generations.cancel("q")
    monkeypatch.setattr(ledger.queues, "counts", counts)
    monkeypatch.setattr(plain, "_TICK", 0.01)
    said: list[str] = []
    troubles: list[str] = []
    plain.follow(Look(ledger, "q", settle), said.append, troubles.append, as_json=False)
    assert len(troubles) == 1 and "database is locked" in troubles[0]
    assert "q: cancelled, 2 items" in said[-1]


def test_a_reader_that_leaves_ends_it_quietly(ledger: Ledger, project: Path) -> None:
    ledger.generations.cancel("q")
    script = f"{shlex.quote(str(HYPERVISOR))} status --watch | head -c 5"
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script], cwd=project, capture_output=True, text=True
    )
    assert ran.stderr == "" and len(ran.stdout) == 5


def test_a_dumb_terminal_gets_lines_too(ledger: Ledger, project: Path) -> None:
    ledger.generations.cancel("q")
    ran = subprocess.run(
        ["script", "-qec", f"TERM=dumb {shlex.quote(str(HYPERVISOR))} status --watch", "/dev/null"],
        cwd=project,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert "q: cancelled, 2 items: 2 cancelled" in ran.stdout
    assert "\x1b" not in ran.stdout
