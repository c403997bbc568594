"""A ledger carried between engines: nothing lost, tokens valid, the old one refuses."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hypervisor.config import store as address
from hypervisor.config.store import VARIABLE
from hypervisor.ledger import Ledger, LedgerError, NewItem, Options, schema
from hypervisor.ledger.claim_ids import number_of
from hypervisor.ledger.move import move
from hypervisor.ledger.store import Store
from hypervisor.system.errors import HypervisorError, NotOwner, UsageError
from hypervisor.system.state import State
from ledger.support import (
    Child,
    counts,
    first_release,
    in_terminal,
    items,
    locks_of,
    opened,
    result,
)
from repository import REPO


@pytest.fixture
def store(postgres: Any, tmp_path: Any) -> Iterator[str]:
    """The address of an empty database."""
    name = postgres.database()
    yield postgres.address(name)
    postgres.drop(name)


@pytest.fixture
def base(tmp_path: Any) -> str:
    folder = os.path.realpath(tmp_path / "root")
    os.mkdir(folder)
    return folder


Use = Callable[[str | None], None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    def named(told: str | None) -> None:
        if told is None:
            monkeypatch.delenv(VARIABLE, raising=False)
        else:
            monkeypatch.setenv(VARIABLE, told)

    return named


def _busy(ledger: Ledger) -> dict[str, Any]:
    """A ledger in which everything is under way; what its workers hold."""
    ledger.generations.open("q", [*items(6), NewItem("last", after=["task-00001", "task-00002"])])
    ledger.generations.open(
        "other", [NewItem("ä/1", payload={"n": 1})], Options(instructions="do it")
    )
    ledger.followers.follow("session", "q")
    claims = {claim.id: claim for claim in ledger.claims.claim("q", "w", 4, session="session")}
    ledger.sessions.meet("session", pid=1, pid_start="1")
    ledger.sessions.assign("session", "agent", [claims["task-00003"].token])
    ledger.ends.finish(claims["task-00000"].token, "done", {"summary": "ä"}, pending=True)
    ledger.ends.finish(claims["task-00001"].token, "done", {})
    ledger.claims.store_plans({claims["task-00002"].token: "plan"})
    ledger.claims.claim("q", "late", lease_seconds=0.001)
    time.sleep(0.01)
    return claims


def _everything(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """All rows, without what is told by the engine's own clock."""
    found = {}
    for table in schema.TABLES:
        order = "1, 2" if table == "source_order" else "1, 2, 3"
        rows = [dict(row) for row in ledger.store.rows(f"select * from {table} order by {order}")]
        for row in rows:
            row.pop("host", None)
            row["finish_no"] = row.get("finish_no") is not None
            if row.get("turn") is not None and row["turn"] < 0:
                row["turn"] = -1
        found[table] = rows
    return found


@pytest.mark.parametrize("back", [False, True])
def test_all_that_a_ledger_says_goes_along_and_work_in_flight_goes_on(
    base: str, store: str, use: Use, back: bool
) -> None:
    source, target = (store, None) if back else (None, store)
    use(source)
    with Ledger.open(base, create=True) as ledger:
        claims = _busy(ledger)
        before = _everything(ledger)
        project = ledger.project
        told = [row.id for row in ledger.followers.ended_since(1, 0)]
    counted = move(base, source, target)
    assert counted["item"] == 8 and counted["claim"] == 5
    use(target)
    with opened(base) as ledger:
        assert ledger.project == project
        assert _everything(ledger) == before
        assert [row.id for row in ledger.followers.ended_since(1, 0)] == told
        assert ledger.ends.expire() == 1, "the lease that had run out"
        assert result(ledger, "last").state == "waiting"
        held = claims["task-00002"].token
        assert ledger.ends.finish(claims["task-00000"].token, "done", {}) == "done", "said again"
        assert [row.id for row in ledger.sessions.held_by("session", "agent")] == ["task-00003"]
        assert ledger.claims.heartbeat([held]) == [held]
        assert ledger.ends.finish(held, "done", {}) == "done"
        assert result(ledger, "last").state == "ready"
        fresh = ledger.claims.claim("q", "w", 9)
        assert {claim.id for claim in fresh} == {"task-00004", "task-00005", "last"}
        old = max(number_of(row["token"]) for row in before["claim"])
        assert min(number_of(claim.token) for claim in fresh) > old
        assert [row.name for row in ledger.followers.followed("session")] == ["q"]
        ledger.generations.open("third", [NewItem("z")])
        live = {claim.id for claim in fresh} | {"task-00003"}
        assert set(locks_of(base)) == (live if back else set())


def test_a_ledger_of_the_first_release_moves_with_its_live_claim(
    base: str, store: str, use: Use
) -> None:
    token = first_release(base)
    counted = move(base, None, store)
    assert (counted["item"], counted["claim"]) == (5, 2)
    use(store)
    with opened(base) as ledger:
        assert ledger.project == "notes"
        assert next(ledger.queries.results("q")).report["commit"] == "0123abc"
        assert ledger.ends.finish(token, "done", {"summary": "still mine"}) == "done"
        fresh = ledger.claims.claim("q", "w", 5)
        assert [claim.id for claim in fresh] == ["c", "d", "e"]
        assert min(number_of(claim.token) for claim in fresh) > number_of(token)
        ledger.ends.finish_many([(claim.token, "done", {}) for claim in fresh])
        assert counts(ledger) == {"done": 5}


def test_an_earlier_end_is_told_no_second_time_and_a_later_one_is(
    base: str, store: str, use: Use
) -> None:
    with Ledger.open(base, create=True) as ledger:
        ledger.generations.open("q", items(3))
        first, second = ledger.claims.claim("q", "w", 2)
        ledger.ends.finish(first.token, "done", {})
        ledger.followers.follow("s", "q")
        [(number, told)] = ledger.followers.told("s").items()
        assert ledger.followers.ended_since(number, told.no) == []
    move(base, None, store)
    use(store)
    with opened(base) as ledger:
        [(number, told)] = ledger.followers.told("s").items()
        assert ledger.followers.ended_since(number, told.no) == []
        ledger.ends.finish(second.token, "done", {})
        ended = ledger.followers.ended_since(number, told.no)
        assert [row.id for row in ended] == [second.id]


@pytest.mark.parametrize("back", [False, True])
def test_the_old_ledger_refuses_whoever_comes_and_whoever_has_it_open(
    base: str, store: str, use: Use, back: bool
) -> None:
    source, target = (store, None) if back else (None, store)
    use(source)
    with Ledger.open(base, create=True) as ledger:
        ledger.generations.open("q", items(3))
        [claim] = ledger.claims.claim("q", "w")
        move(base, source, target)
        for verb in (
            lambda: ledger.claims.claim("q", "w"),
            lambda: ledger.ends.finish(claim.token, "done", {}),
            lambda: ledger.claims.heartbeat([claim.token]),
            lambda: ledger.generations.open("q", items(5)),
            lambda: ledger.generations.cancel("q"),
        ):
            with pytest.raises(LedgerError, match="was moved to"):
                verb()
    with pytest.raises(HypervisorError, match=r"hypervisor move|export|unset"):
        Ledger.open(base, create=True)
    address.note(State.create(base), source, ledger.project)
    with pytest.raises(LedgerError, match="was moved to") as error:
        Ledger.open(base)
    assert error.value.fix.startswith("unset" if back else "export")
    address.note(State.create(base), target, ledger.project)
    use(target)
    with opened(base) as ledger:
        assert counts(ledger) == {"ready": 2, "claimed": 1}


def test_a_ledger_goes_there_and_back_and_there_again(base: str, store: str, use: Use) -> None:
    with Ledger.open(base, create=True) as ledger:
        ledger.generations.open("q", items(5))
    seen = []
    for source, target in ((None, store), (store, None), (None, store)):
        use(source)
        with opened(base) as ledger:
            [claim] = ledger.claims.claim("q", "w")
            seen.append(claim.token)
        move(base, source, target)
    use(store)
    with opened(base) as ledger:
        assert ledger.ends.finish_many([(token, "done", {}) for token in seen]) == ["done"] * 3
        assert counts(ledger) == {"done": 3, "ready": 2}


def _die_at(base: str, store: str, place: str) -> None:
    from hypervisor.ledger import move as room

    real = Store.change

    def change(self: Store, sql: str, *args: Any) -> int:
        if place in sql:
            os.kill(os.getpid(), 9)
        return real(self, sql, *args)

    room.Store.change = change  # type: ignore[method-assign]
    move(base, None, store)


@pytest.mark.parametrize(
    "place", ["'arriving', ?", "insert into meta (key, value) values (?", "delete from meta"]
)
def test_a_move_that_was_cut_off_is_completed_by_the_same_command(
    base: str, store: str, use: Use, place: str
) -> None:
    with Ledger.open(base, create=True) as ledger:
        ledger.generations.open("q", items(4))
        [claim] = ledger.claims.claim("q", "w")
    assert Child(_die_at, base, store, place).wait() == -9
    use(store)
    with pytest.raises(HypervisorError):
        Ledger.open(base)
    move(base, None, store)
    with opened(base) as ledger:
        assert ledger.ends.finish(claim.token, "done", {}) == "done"
        assert counts(ledger) == {"ready": 3, "done": 1}


def _work(base: str, store: str, name: str) -> list[str]:
    """Work as commands do: each opens the ledger by itself, in whichever store it is then."""
    done = []
    while True:
        kept = address.noted(State.find(base))
        if kept is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = store
        try:
            with opened(base) as ledger:
                claims = ledger.claims.claim("q", name)
                if not claims and ledger.queues.drained("q"):
                    return done
            for claim in claims:
                if _finish(base, store, claim.token):
                    done.append(claim.id)
        except LedgerError:
            time.sleep(0.005)
        except HypervisorError:
            time.sleep(0.005)


def _finish(base: str, store: str, token: str) -> bool:
    while True:
        if address.noted(State.find(base)) is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = store
        try:
            with opened(base) as ledger:
                ledger.ends.finish(token, "done", {})
                return True
        except NotOwner:
            return False
        except HypervisorError:
            time.sleep(0.005)


def test_a_move_while_four_workers_are_at_it_loses_and_repeats_nothing(
    base: str, store: str
) -> None:
    with Ledger.open(base, create=True) as ledger:
        ledger.generations.open("q", items(150))
    workers = [Child(_work, base, store, f"w{number}") for number in range(4)]
    time.sleep(0.3)
    move(base, None, store)
    done = [item for worker in workers for item in worker.result()]
    assert sorted(done) == [item.id for item in items(150)]
    os.environ[VARIABLE] = store
    try:
        with opened(base) as ledger:
            assert counts(ledger) == {"done": 150}
            accepted = ledger.store.row("select count(*) from claim where outcome = 'done'")[0]
            assert accepted == 150
    finally:
        del os.environ[VARIABLE]


def test_a_project_that_is_there_already_is_not_overwritten(
    base: str, store: str, use: Use, tmp_path: Any
) -> None:
    other = str(tmp_path / "other")
    os.mkdir(other)
    use(store)
    with Ledger.open(other, create=True, project="shop") as ledger:
        ledger.generations.open("q", items(2))
    use(None)
    with Ledger.open(base, create=True, project="shop") as ledger:
        ledger.generations.open("q", items(3))
    with pytest.raises(LedgerError, match="has queues there already"):
        move(base, None, store)
    with opened(base) as ledger:
        assert counts(ledger) == {"ready": 3}


def test_the_command_moves_and_says_what_shells_need(
    project: Any, run_hypervisor: Callable[..., subprocess.CompletedProcess[str]], store: str
) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", items(2))
    moved = run_hypervisor("move", "sqlite", store, "--yes")
    assert moved.returncode == 0, moved.stderr
    assert "moved 1 queue, 2 items and 0 claims" in moved.stdout
    [line] = [line for line in moved.stdout.splitlines() if f"export {VARIABLE}=" in line]
    exported = subprocess.run(
        ["sh", "-c", f"{line.partition('shell: ')[2]}; printf %s \"${VARIABLE}\""],
        capture_output=True, text=True,
    )  # fmt: skip
    assert exported.stdout == store
    refused = run_hypervisor("next", "q")
    assert refused.returncode == 1 and f"export {VARIABLE}=" in refused.stderr
    handed = run_hypervisor("next", "q", env={VARIABLE: store})
    assert handed.returncode == 0 and "task-00000" in handed.stdout, handed.stderr


@pytest.mark.parametrize(
    "told", ["postgresql://me:secret@db/x", "postgresql://db/x?password=secret"]
)
def test_a_password_in_the_command_is_refused_and_not_repeated(
    project: Any, run_hypervisor: Callable[..., subprocess.CompletedProcess[str]], told: str
) -> None:
    run = run_hypervisor("move", "sqlite", told)
    assert run.returncode == 2 and "PGPASSWORD" in run.stderr and "secret" not in run.stderr


def test_a_store_that_is_none_is_refused(base: str, use: Use) -> None:
    use("mysql://x")
    with pytest.raises(UsageError, match="not the address of a store"):
        Ledger.open(base)


@pytest.mark.parametrize("said", ["y", "n", "", None])
def test_a_move_to_an_address_asks_and_without_a_terminal_it_is_refused(
    project: Any,
    run_hypervisor: Callable[..., subprocess.CompletedProcess[str]],
    store: str,
    said: str | None,
) -> None:
    with Ledger.open(str(project), create=True) as ledger:
        ledger.generations.open("q", items(2))
    if said is None:
        run = run_hypervisor("move", "sqlite", store)
        assert run.returncode == 2 and "--yes" in run.stderr and run.stdout == ""
    else:
        program = str(REPO / "bin/hypervisor")
        code, shown = in_terminal([program, "move", "sqlite", store], str(project), f"{said}\n")
        assert "Send it there? [y/N]" in shown
        assert (code, "moved 1 queue" in shown) == ((0, True) if said == "y" else (1, False))
    left = run_hypervisor("status", "q")
    assert (left.returncode == 0) is (said != "y")
