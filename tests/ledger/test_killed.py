"""kill -9 at every step of every verb, and at random times: nothing lost, nothing twice."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.ledger import Ledger, Options
from hypervisor.system.errors import NotOwner
from ledger.support import (
    Child,
    counts,
    is_intact,
    items,
    killed_at_every_step,
    let_expire,
    locks_of,
    opened,
    result,
)
from memory import tmp_path

__all__ = ["tmp_path"]

SHORT = 0.02


@pytest.fixture
def many(root: str) -> str:
    """A root whose queue `q` has more items than any verb has steps."""
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", items(150), Options(max_lost=50))
    return root


def _check(root: str, total: int) -> None:
    with opened(root) as ledger:
        assert is_intact(ledger)
        assert sum(ledger.queues.stats("q").values()) == total
        ledger.claim_locks.sweep_queue("q")
        held = ledger.queues.stats("q")["claimed"]
        shared = ledger.store.engine.shared
    assert len(locks_of(root)) == (0 if shared else held)


def _finish_the_rest(root: str, total: int) -> None:
    with opened(root) as ledger:
        let_expire(ledger)
        while claims := ledger.claims.claim("q", "survivor", 50):
            ledger.ends.finish_many([(claim.token, "done", {"by": "survivor"}) for claim in claims])
        assert counts(ledger) == {"done": total}
        accepted = ledger.store.rows(
            "select item, count(*) from claim where outcome = 'done' group by item"
        ).fetchall()
        assert [count for _, count in accepted] == [1] * total
    assert locks_of(root) == []


def test_a_claim_killed_at_any_step_leaves_an_item_that_the_next_worker_gets(
    many: str, engine: str
) -> None:
    def claim(k: int) -> None:
        with opened(many) as ledger:
            ledger.claims.claim("q", "victim", only=f"task-{k:05}", lease_seconds=SHORT)

    last = 0
    for k, _ in killed_at_every_step(engine, claim):
        time.sleep(SHORT * 1.5)
        with opened(many) as ledger:
            [again] = ledger.claims.claim("q", "w", only=f"task-{k:05}")
            assert int(again.token.split("-")[0]) > last
            last = int(again.token.split("-")[0])
            assert ledger.ends.finish(again.token, "done", {"k": k}) == "done"
            assert result(ledger, again.id).deaths <= 1
        _check(many, 150)
        assert locks_of(many) == []
    assert last > 15
    _finish_the_rest(many, 150)


def test_a_finish_killed_at_any_step_is_accepted_once_when_it_is_said_again(
    many: str, engine: str
) -> None:
    tokens: list[str] = []

    def prepare() -> None:
        with opened(many) as ledger:
            tokens.append(ledger.claims.claim("q", "w")[0].token)

    def finish(k: int) -> None:
        with opened(many) as ledger:
            ledger.ends.finish(tokens[-1], "done", {"said": "first"}, pending=True)

    firsts = 0
    for _ in killed_at_every_step(engine, finish, prepare):
        with opened(many) as ledger:
            assert ledger.ends.finish(tokens[-1], "done", {"said": "again"}, pending=True) == "done"
            [row] = [row for row in ledger.queries.results("q") if row.token == tokens[-1]]
            firsts += row.report == {"said": "first"}
            assert (row.state, row.pending) == ("done", "report")
            with pytest.raises(NotOwner):
                ledger.ends.finish(tokens[-1], "blocked", {})
        _check(many, 150)
    assert 0 < firsts < len(tokens) - 1, "the commit is neither the first step nor the last"
    _finish_the_rest(many, 150)


@pytest.mark.parametrize(
    ("verb", "column", "state"),
    [
        (lambda ledger, token: ledger.ends.release(token), "releases", "ready"),
        (lambda ledger, token: ledger.ends.end(token, "died"), "deaths", "ready"),
        (lambda ledger, token: ledger.ends.finish(token, "failed", {}), "attempts", "ready"),
    ],
    ids=["release", "death", "failed"],
)
def test_an_end_killed_at_any_step_costs_the_item_once(
    many: str, engine: str, verb: Callable[[Ledger, str], object], column: str, state: str
) -> None:
    tokens: list[tuple[str, str]] = []

    def prepare() -> None:
        with opened(many) as ledger:
            [claim] = ledger.claims.claim("q", "w")
            tokens.append((claim.token, claim.id))

    def end(k: int) -> None:
        with opened(many) as ledger:
            verb(ledger, tokens[-1][0])

    for _ in killed_at_every_step(engine, end, prepare):
        token, item_id = tokens[-1]
        with opened(many) as ledger:
            if result(ledger, item_id).state == "claimed":
                assert getattr(result(ledger, item_id), column) == 0
                verb(ledger, token)
            row = result(ledger, item_id)
            assert (row.state, getattr(row, column)) == (state, 1)
        _check(many, 150)
    _finish_the_rest(many, 150)


def test_an_expiry_killed_at_any_step_counts_one_lost_lease(many: str, engine: str) -> None:
    held: list[str] = []

    def prepare() -> None:
        with opened(many) as ledger:
            held.append(ledger.claims.claim("q", "w", lease_seconds=0.001)[0].id)
        time.sleep(0.002)

    def expire(k: int) -> None:
        with opened(many) as ledger:
            ledger.ends.expire()

    for _ in killed_at_every_step(engine, expire, prepare):
        with opened(many) as ledger:
            ledger.ends.expire()
            row = result(ledger, held[-1])
            assert (row.state, row.lost) == ("ready", 1)
        _check(many, 150)
    _finish_the_rest(many, 150)


def test_ending_one_and_claiming_the_next_killed_at_any_step_loses_neither(
    many: str, engine: str
) -> None:
    tokens: list[str] = []

    def prepare() -> None:
        with opened(many) as ledger:
            let_expire(ledger)
            tokens.append(ledger.claims.claim("q", "w")[0].token)

    def hand_over(k: int) -> None:
        with opened(many) as ledger:
            end = (tokens[-1], "done", {})
            ledger.claims.finish_and_claim([end], "q", "w", lease_seconds=SHORT)

    for _ in killed_at_every_step(engine, hand_over, prepare):
        with opened(many) as ledger:
            assert ledger.ends.finish(tokens[-1], "done", {}) == "done"
        _check(many, 150)
    _finish_the_rest(many, 150)


def test_a_cancel_killed_at_any_step_has_happened_or_has_not(tmp_path: Path, engine: str) -> None:
    roots: list[str] = []

    def prepare() -> None:
        roots.append(str(tmp_path / str(len(roots))))
        os.mkdir(roots[-1])
        with Ledger.open(roots[-1], create=True) as ledger:
            ledger.generations.open("q", items(4))
            ledger.claims.claim("q", "w", 2)

    def cancel(k: int) -> None:
        with opened(roots[-1]) as ledger:
            ledger.generations.cancel("q")

    for _ in killed_at_every_step(engine, cancel, prepare, stride=2):
        with opened(roots[-1]) as ledger:
            assert counts(ledger) in ({"ready": 2, "claimed": 2}, {"cancelled": 4})
        _check(roots[-1], 4)


def test_an_open_killed_at_any_step_is_completed_by_the_next(tmp_path: Path, engine: str) -> None:
    roots: list[str] = []

    def prepare() -> None:
        roots.append(str(tmp_path / str(len(roots))))
        os.mkdir(roots[-1])

    def make(k: int) -> None:
        with Ledger.open(roots[-1], create=True) as ledger:
            ledger.generations.open("q", items(5))

    # All tables are made in one transaction: some of its steps stand for all.
    stride = 4 if engine == "sqlite" else 9
    for _ in killed_at_every_step(engine, make, prepare, stride):
        with Ledger.open(roots[-1], create=True) as ledger:
            opened = ledger.generations.open("q", items(5))
            assert opened.added + opened.present == 5
            assert opened.added in (0, 5)
        _finish_the_rest(roots[-1], 5)
    assert len(roots) * stride > 60


def _work_and_tell(root: str, name: str, log: str) -> None:
    told = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with opened(root) as ledger:
        claims = ledger.claims.claim("q", name, 2, lease_seconds=0.5)
        while claims:
            for claim in claims:
                if ledger.ends.finish_many([(claim.token, "done", {"by": name})])[0]:
                    os.write(told, f"{claim.id} {claim.token}\n".encode())
            claims = ledger.claims.claim("q", name, 2, lease_seconds=0.5)


def _await_an_end(log: str) -> None:
    """Wait until one more item has ended."""
    before = os.path.getsize(log) if os.path.exists(log) else 0
    until = time.monotonic() + 60
    while not os.path.exists(log) or os.path.getsize(log) == before:
        assert time.monotonic() < until, "nobody ends anything"
        time.sleep(0.001)


def test_workers_killed_at_random_times_lose_nothing_and_repeat_nothing(
    root: str, thorough: bool
) -> None:
    total, log = 8000 if thorough else 4000, os.path.join(root, "told")
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", items(total))
    dice = random.Random(3)
    workers = [Child(_work_and_tell, root, f"w{number}", log) for number in range(4)]
    for number in range(60 if thorough else 30):
        _await_an_end(log)
        time.sleep(dice.uniform(0.001, 0.012))
        victim = workers.pop(0)
        victim.kill()
        assert victim.wait() == -9, "the queue ran dry before the killing was over"
        workers.append(Child(_work_and_tell, root, f"x{number}", log))
    for worker in workers:
        worker.kill()
        worker.wait()
    time.sleep(0.5)
    with opened(root) as ledger:
        assert is_intact(ledger)
        assert sum(ledger.queues.stats("q").values()) == total
        ledger.ends.expire()
        failed = [row for row in ledger.queries.results("q") if row.state == "failed"]
        # Nothing but its usual number of deaths ends an item, and hardly any has met them.
        assert all(row.deaths == 3 or row.lost == 10 for row in failed) and len(failed) < 5
        ledger.retries.retry("q", [row.id for row in failed])
    _finish_the_rest(root, total)
    with opened(root) as ledger:
        accepted = {(row.id, row.token) for row in ledger.queries.results("q")}
    with open(log) as lines:
        told = [tuple(line.split()) for line in lines]
    assert len(told) > 20, "hardly anything was accepted before the kills"
    assert len(set(told)) == len(told) == len({item_id for item_id, _ in told})
    assert set(told) <= accepted, "accepted once is accepted for ever"
