"""kill -9 at every step of the verbs, and at random times over real task files."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisor import worker
from hypervisor.cli import main
from hypervisor.ledger import Ledger, driver
from hypervisor.system.errors import NotOwner
from hypervisor.tasks import markdown, read, rename, temporary
from hypervisor.worker import outbox
from ledger.support import Child, Steps
from worker.support import locks, open_queue, reports, states, write_task

_CHANGES = ("begin", "commit", "update", "insert", "delete", "rollback")


class VerbSteps(Steps):
    """Counts what a verb changes anywhere: ledger, locks, task file, undo log."""

    def install(self) -> None:
        steps = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                if not sql.startswith(_CHANGES):
                    return super().execute(sql, *args)
                return steps.around(sql.split(" ")[0], super().execute)(sql, *args)

            def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
                return steps.around("many", super().executemany)(sql, *args)

        connect = sqlite3.connect
        driver.connect = lambda *args, **options: connect(*args, factory=Connection, **options)
        for name in ("symlink", "unlink", "mkdir", "rename", "write", "fsync", "fchmod"):
            setattr(os, name, self.around(name, getattr(os, name)))
        rename.exchange = self.around("exchange", rename.exchange)


def call(line: list[str], root: Path) -> int:
    """Run one command line in a child, its output thrown away."""
    os.chdir(root)
    sys.stdout = sys.stderr = io.StringIO()
    return main(line)


def deaths_of(line: Callable[[int], list[str]], root: Path) -> Iterator[int]:
    """Prepare and run the command `line(k)` in children that die at their k-th step.

    Yields k after each death, until a child survives.
    """

    def run(k: int, words: list[str]) -> int:
        VerbSteps(k).install()
        return call(words, root)

    for k in range(1, 400):
        child = Child(run, k, line(k))
        if child.wait() == 0:
            assert child.result() == 0
            return
        assert child.status == -signal.SIGKILL
        yield k
    raise AssertionError("it never ends")


def intact(ledger: Ledger) -> bool:
    return bool(ledger.store.row("pragma integrity_check")[0] == "ok")


def accepted(ledger: Ledger, item_id: str) -> list[str]:
    """The tokens whose report on an item was accepted."""
    return [
        row["token"]
        for row in ledger.store.rows(
            "select c.token from claim c join item i on i.no = c.item "
            "where i.id = ? and c.outcome in ('done', 'blocked', 'failed', 'skipped')",
            (item_id,),
        )
    ]


@pytest.mark.parametrize("meanwhile", ["unchanged", "completed"])
def test_a_next_killed_at_any_step_loses_no_item(project: Path, meanwhile: str) -> None:
    def line(k: int) -> list[str]:
        write_task(project, f"t{k}-a")
        write_task(project, f"t{k}-b")
        open_queue(project, [f"tasks/t{k}-a.md", f"tasks/t{k}-b.md"], f"q{k}")
        if meanwhile == "completed":
            write_task(project, f"t{k}-a", status="done")
        return ["next", f"q{k}", "--worker", "dead"]

    count = 0
    for k in deaths_of(line, project):
        count += 1
        wanted = {f"t{k}-a", f"t{k}-b"}
        left = (project / f"tasks/t{k}-a.md").read_bytes()
        with Ledger.open(str(project)) as ledger:
            assert intact(ledger)
            ledger.ends.end_worker("dead", "died", "killed")
            for claim in worker.take(ledger, f"q{k}", "w", 5):
                worker.finish(ledger, claim.token, "done", {"summary": "x"})
            assert ledger.outbox.pending() == []
            # A lock that outlived its claim's commit goes when the queue is found drained.
            assert worker.take(ledger, f"q{k}", "w") == []
        ended = states(project, f"q{k}")
        assert set(ended) == wanted
        if meanwhile == "completed":
            assert ended[f"t{k}-a"] == "skipped"
            assert (project / f"tasks/t{k}-a.md").read_bytes() == left
        else:
            assert set(ended.values()) == {"done"}
        assert locks(project) == []
    assert count > 8


def test_a_done_killed_at_any_step_is_accepted_and_written_once(project: Path) -> None:
    tokens: dict[int, str] = {}

    def line(k: int) -> list[str]:
        write_task(project, f"t{k}-a")
        write_task(project, f"t{k}-b")
        open_queue(project, [f"tasks/t{k}-a.md", f"tasks/t{k}-b.md"], f"q{k}")
        with Ledger.open(str(project)) as ledger:
            tokens[k] = worker.take(ledger, f"q{k}", "w")[0].token
        return ["done", tokens[k], "--next", "--summary", f"summary {k}"]

    count = 0
    for k in deaths_of(line, project):
        count += 1
        path = project / f"tasks/t{k}-a.md"
        token = tokens[k]
        # Whatever moment it was: the file is whole, the old one or the new one.
        document = read.read(str(path))
        assert len(markdown.own_sections(document.body)) <= 1
        with Ledger.open(str(project)) as ledger:
            assert intact(ledger)
            state = ledger.items.state_of(f"q{k}", f"t{k}-a")
            assert outbox.flush(ledger) == []
            assert state in ("claimed", "done")
            if state == "claimed":
                assert reports(path) == 0
                # Its worker lives, and says it again.
                worker.finish(ledger, token, "done", {"summary": f"summary {k}"})
            assert reports(path) == 1
            text = path.read_text()
            assert f"report {token} -->" in text and f"> summary {k}\n" in text
            assert "status: done\n" in text
            body = read.read(str(path)).body
            assert markdown.without_own_section(body).strip() == f"# Task t{k}-a\n\nDo it."
            assert worker.finish(ledger, token, "done", {"summary": "again"}).state == "done"
            assert accepted(ledger, f"t{k}-a") == [token]
            # The other item is with the dead process, or ready: never lost, never ended.
            assert ledger.items.state_of(f"q{k}", f"t{k}-b") in ("ready", "claimed")
            ledger.ends.end_worker("w", "died", "killed")
            [other] = worker.take(ledger, f"q{k}", "w2")
            worker.finish(ledger, other.token, "blocked", {"reason": "x"})
            assert worker.take(ledger, f"q{k}", "w2") == []
            assert ledger.queues.drained(f"q{k}")
        assert locks(project) == []
    assert count > 30


def test_a_flush_killed_at_any_step_is_completed_by_the_next(project: Path) -> None:
    def line(k: int) -> list[str]:
        write_task(project, f"t{k}", newline="\r\n")
        open_queue(project, [f"tasks/t{k}.md"], f"q{k}")
        with Ledger.open(str(project)) as ledger:
            token = worker.take(ledger, f"q{k}", "w")[0].token
            ledger.ends.finish(token, "blocked", {"reason": "x"}, pending=True)
        return ["status"]

    count = 0
    for k in deaths_of(line, project):
        count += 1
        path = project / f"tasks/t{k}.md"
        assert len(markdown.own_sections(read.read(str(path)).body)) <= 1
        with Ledger.open(str(project)) as ledger:
            assert outbox.flush(ledger) == []
            assert ledger.outbox.pending() == []
        assert reports(path) == 1
        assert b"status: blocked\r\n" in path.read_bytes()
    assert count > 15
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(temporary, "_SWEEP_SECONDS", 0.0)
        with Ledger.open(str(project)) as ledger:
            outbox.tidy(ledger, "q1")
    assert [name for name in os.listdir(project / "tasks") if name.startswith(".")] == []


def work(root: Path, log: Path, seed: int, pause: float = 0.02) -> None:
    """Pull items and end them until the queue has drained; log what was accepted."""
    rng = random.Random(seed)
    with Ledger.open(str(root)) as ledger, log.open("a", buffering=1) as out:
        while True:
            claims = worker.take(ledger, "q", f"w{seed}", rng.choice((1, 1, 3)))
            if not claims and ledger.queues.drained("q"):
                return
            for claim in claims:
                time.sleep(rng.random() * pause)
                report = {"summary": f"{claim.id} by {claim.token}"}
                try:
                    worker.finish(ledger, claim.token, "done", report)
                except NotOwner:
                    continue
                out.write(json.dumps([claim.id, claim.token]) + "\n")
            if not claims:
                time.sleep(0.02)


def test_workers_killed_at_random_times_lose_nothing_and_repeat_nothing(
    project: Path, thorough: bool
) -> None:
    rng = random.Random(7)
    log = project / "log"
    paths = {f"t{number:03}": write_task(project, f"t{number:03}") for number in range(500)}
    bodies = {name: read.read(str(path)).body for name, path in paths.items()}
    open_queue(project, lease_seconds=1, max_lost=1000)
    kills = 0
    children = [Child(work, project, log, seed) for seed in range(3)]
    while kills < (60 if thorough else 30):
        time.sleep(rng.random() * 0.03)
        place = rng.randrange(len(children))
        children[place].kill()
        if children[place].wait() == -signal.SIGKILL:
            kills += 1
        children[place] = Child(work, project, log, 10 + kills)
        with Ledger.open(str(project)) as ledger:
            drained = ledger.queues.drained("q")
        assert not drained, f"all was done after {kills} kills: more items are needed"
    for child in children:
        assert child.wait() == 0
    work(project, log, 1, 0)
    with Ledger.open(str(project)) as ledger:
        ledger.ends.expire()
        assert outbox.flush(ledger, None) == []
        assert intact(ledger)
        assert ledger.outbox.pending() == []
        assert ledger.queues.stats("q")["done"] == len(paths)
        tokens = {row.id: row.token for row in ledger.queries.results("q")}
        for name in paths:
            assert accepted(ledger, name) == [tokens[name]]
        ledger.claim_locks.sweep_queue("q")
    for name, path in paths.items():
        text = path.read_text()
        assert reports(path) == 1
        assert f"report {tokens[name]} -->" in text
        assert f"> {name} by {tokens[name]}\n" in text
        assert markdown.without_own_section(read.read(str(path)).body).rstrip() == (
            bodies[name].rstrip()
        )
    for line in log.read_text().splitlines():
        if line.endswith("]"):
            name, token = json.loads(line)
            assert tokens[name] == token, "an accepted report was replaced"
    assert locks(project) == []


def test_an_item_that_kills_every_worker_fails_with_the_cause_in_ledger_and_file(
    project: Path, run_hypervisor: Any
) -> None:
    path = write_task(project, "poison")
    write_task(project, "safe")
    open_queue(project, lease_seconds=0.05, max_lost=3)

    def die() -> None:
        with Ledger.open(str(project)) as ledger:
            worker.take(ledger, "q", "w", only="poison")
        os.kill(os.getpid(), signal.SIGKILL)

    for _ in range(3):
        assert Child(die).wait() == -signal.SIGKILL
        time.sleep(0.06)
    run_hypervisor("expire")
    assert states(project) == {"poison": "failed", "safe": "ready"}
    cause = (
        "3 workers fell silent for longer than their lease; the last: its lease ran out without a "
        "heartbeat"
    )
    told = run_hypervisor("summary", "q").stdout
    assert f"failed (1):\n  poison “Task poison”: {cause}\n" in told
    assert f"> {cause}\n" in path.read_text()
    assert "status: active\n" in path.read_text()
    assert reports(path) == 1


def test_a_done_stopped_past_its_lease_gets_4_and_writes_nothing_when_it_goes_on(
    project: Path,
) -> None:
    path = write_task(project, "a")
    # The check stops the command that runs it, as a suspended terminal would.
    open_queue(project, verify='test "$(cat turn)" = other || kill -STOP $PPID', lease_seconds=0.3)
    (project / "turn").write_text("mine")
    with Ledger.open(str(project)) as ledger:
        token = worker.take(ledger, "q", "w")[0].token

    def late() -> list[Any]:
        os.chdir(project)
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        return [main(["done", token, "--summary", "late"]), sys.stderr.getvalue()]

    child = Child(late)
    assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
    time.sleep(0.35)
    before = path.read_bytes()
    (project / "turn").write_text("other")
    with Ledger.open(str(project)) as ledger:
        [claim] = worker.take(ledger, "q", "w2")
        assert path.read_bytes() == before
        ledger.ends.finish(claim.token, "done", {"summary": "in time"}, pending=True)
        outbox.flush(ledger)
    after = path.read_bytes()
    os.kill(child.pid, signal.SIGCONT)
    code, said = child.result()
    assert code == 4
    assert said.startswith(f"error: you no longer own this: claim {token} ")
    assert path.read_bytes() == after
    assert b"> in time\n" in after
    with Ledger.open(str(project)) as ledger:
        assert accepted(ledger, "a") == [claim.token]


@pytest.mark.parametrize("noticed", [False, True])
def test_a_late_done_is_accepted_and_written_while_nobody_else_has_the_item(
    project: Path, run_hypervisor: Any, noticed: bool
) -> None:
    path = write_task(project, "a")
    open_queue(project, lease_seconds=0.05)
    with Ledger.open(str(project)) as ledger:
        token = worker.take(ledger, "q", "w")[0].token
    time.sleep(0.1)
    if noticed:
        assert "1 to be tried again" in run_hypervisor("status", "q").stdout
    ended = run_hypervisor("done", token, "--summary", "late")
    assert (ended.returncode, states(project)) == (0, {"a": "done"}), ended.stderr
    assert b"> late\n" in path.read_bytes() and reports(path) == 1
    told = json.loads(run_hypervisor("show", "a", "--json").stdout)["queues"][0]
    assert (told["lost"], told["deaths"], told["claims"][-1]["outcome"]) == (0, 0, "done")


def test_a_worker_killed_between_its_work_and_its_report_hands_the_item_on(
    project: Path,
) -> None:
    path = write_task(project, "a", body="# T\n\n- [ ] one\n")
    open_queue(project, lease_seconds=0.05)

    def half() -> None:
        with Ledger.open(str(project)) as ledger:
            worker.take(ledger, "q", "w")
        path.write_text(path.read_text().replace("[ ]", "[x]"))
        os.kill(os.getpid(), signal.SIGKILL)

    assert Child(half).wait() == -signal.SIGKILL
    time.sleep(0.06)
    with Ledger.open(str(project)) as ledger:
        [claim] = ledger.claims.claim("q", "w2", lease_seconds=60)
        assert worker.finish(ledger, claim.token, "done", {"summary": "x"}).state == "done"
    assert reports(path) == 1
