"""Leases are judged by boots and the monotonic clock, or by the server's clock; wall time here is
for display only."""

from __future__ import annotations

import re
import time

import pytest

from hypervisor.ledger import Ledger, Options, clock, dialect, server_clock
from hypervisor.system import machine
from ledger.support import content, items, result, set_clock

HOUR = 3600 * 1_000_000


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch, engine: str) -> list[int]:
    """Microseconds that the clock of leases is ahead, as its one element."""
    ahead = [0]
    set_clock(monkeypatch, engine, ahead)
    return ahead


def test_a_lease_lasts_as_long_as_it_says(ledger: Ledger, later: list[int]) -> None:
    ledger.generations.open("q", items(2), Options(lease_seconds=3600))
    default, _ = ledger.claims.claim("q", "w")[0], ledger.claims.claim("q", "w", lease_seconds=7200)
    later[0] = HOUR - 1_000_000
    assert ledger.ends.expire() == 0
    later[0] = HOUR + 1_000_000
    assert ledger.ends.expire() == 1
    assert result(ledger, default.id).state == "ready"
    later[0] = 2 * HOUR + 1_000_000
    assert ledger.ends.expire() == 1


def test_a_heartbeat_renews_for_the_lease_that_was_asked_for(
    ledger: Ledger, later: list[int]
) -> None:
    ledger.generations.open("q", items(1), Options(lease_seconds=60))
    [claim] = ledger.claims.claim("q", "w", lease_seconds=3600)
    later[0] = HOUR - 1_000_000
    assert ledger.claims.heartbeat([claim.token]) == [claim.token]
    later[0] = 2 * HOUR - 2_000_000
    assert ledger.claims.heartbeat([claim.token]) == [claim.token]


@pytest.mark.embedded
@pytest.mark.parametrize("step", [-(10**9), 10**9])
def test_a_step_of_the_wall_clock_neither_ends_nor_prolongs_a_lease(
    ledger: Ledger, later: list[int], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    ledger.generations.open("q", items(2), Options(lease_seconds=3600))
    claim, late = ledger.claims.claim("q", "w", 2)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + step)
    assert ledger.ends.expire() == 0
    assert ledger.ends.finish(claim.token, "done", {}) == "done"
    later[0] = HOUR + 1
    assert ledger.ends.expire() == 1
    assert ledger.claims.claim("q", "another")[0].id == late.id


@pytest.mark.embedded
def test_another_boot_ends_every_lease_and_no_number_is_used_twice(
    root: str, ledger: Ledger, later: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.generations.open("q", items(3), Options(lease_seconds=10**6))
    [done, held] = ledger.claims.claim("q", "w", 2)
    ledger.ends.finish(done.token, "done", {})
    monkeypatch.setattr(machine, "boot_id", lambda: "another boot")
    later[0] = -clock.monotonic_us() + 1000
    with Ledger.open(root) as rebooted:
        assert rebooted.ends.expire() == 1
        [claim] = rebooted.claims.claim("q", "w", only=held.id)
        assert rebooted.ends.finish(claim.token, "done", {}) == "done"
        ends = [row.finish_no for row in rebooted.queries.results("q", since=1)]
        assert ends == sorted(set(ends)) and len(ends) == 2


@pytest.mark.embedded
def test_a_boot_of_twelve_years_does_not_reach_into_the_next(
    root: str, ledger: Ledger, later: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    later[0] = 12 * 365 * 24 * HOUR
    ledger.generations.open("q", items(1))
    ledger.claims.claim("q", "w")
    monkeypatch.setattr(machine, "boot_id", lambda: "another boot")
    later[0] = 0
    later[0] = -clock.monotonic_us()
    with Ledger.open(root) as rebooted:
        assert rebooted.ends.expire() == 1


@pytest.mark.embedded
def test_a_ledger_sees_four_thousand_boots(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.store.change("insert into boot (no, id) values (4600, 'so many')")
    monkeypatch.setattr(machine, "boot_id", lambda: "one more")
    ledger.generations.open("q", items(1))
    [claim] = ledger.claims.claim("q", "w")
    assert ledger.ends.finish(claim.token, "done", {}) == "done"


def test_reading_leaves_the_ledger_as_it_is(ledger: Ledger) -> None:
    ledger.generations.open("q", items(5))
    ledger.claims.claim("q", "w", 2)
    before = content(ledger)
    (
        ledger.queues.stats("q"),
        ledger.queues.drained("q"),
        list(ledger.queries.results("q")),
        ledger.items.all_open(),
    )
    ledger.claims.live_tokens(), ledger.outbox.pending(), ledger.queues.all(), ledger.ends.expire()
    assert content(ledger) == before


def test_the_machine_and_the_boot_have_names() -> None:
    assert re.fullmatch(r"[\w-]{8,}", machine.boot_id())
    assert machine.machine_id()


@pytest.mark.embedded
def test_a_boot_that_was_noted_in_an_undone_transaction_is_noted_again(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(root, create=True) as ledger:
        with pytest.raises(RuntimeError), ledger.store.write():
            ledger.store.engine.lease_clock()
            raise RuntimeError
        ledger.generations.open("q", items(1))
        ledger.claims.claim("q", "w")
        assert ledger.store.row("select count(*) from boot")[0] == 1
    monkeypatch.setattr(machine, "boot_id", lambda: "another boot")
    with Ledger.open(root) as rebooted:
        assert rebooted.ends.expire() == 1


@pytest.fixture
def server_set_by(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """By how many microseconds the server's wall clock was set, as its one element."""
    wall, by = dialect.WALL, [0]

    class Set:
        def format(self, name: str) -> str:
            return f"({wall.format(name)} + {by[0]})"

    monkeypatch.setattr(dialect, "WALL", Set())
    return by


@pytest.mark.shared
@pytest.mark.parametrize("step", [HOUR, -HOUR, -HOUR // 6])
@pytest.mark.parametrize("who", ["the same process", "the next command"])
def test_a_step_of_the_server_s_clock_neither_ends_nor_prolongs_a_lease(
    root: str, ledger: Ledger, server_set_by: list[int], step: int, who: str
) -> None:
    ledger.generations.open("q", items(2), Options(lease_seconds=2))
    kept, _ = ledger.claims.claim("q", "w", lease_seconds=60)[0], ledger.claims.claim("q", "w")
    server_set_by[0] = step
    with Ledger.open(root) as other:
        looking = other if who == "the next command" else ledger
        assert looking.ends.expire() == 0
        time.sleep(2.1)
        assert looking.ends.expire() == 1, "the dead worker's lease runs out when it should"
        assert list(looking.claims.live_tokens()) == [kept.token]
        assert {row.lost for row in looking.queries.results("q")} == {0, 1}
    assert ledger.ends.finish(kept.token, "done", {}) == "done"


@pytest.mark.shared
def test_two_who_notice_a_step_of_the_server_s_clock_take_it_back_once(
    root: str, ledger: Ledger, server_set_by: list[int]
) -> None:
    ledger.generations.open("q", items(1), Options(lease_seconds=60))
    ledger.claims.claim("q", "w")
    before = ledger.store.engine.lease_clock()
    with Ledger.open(root) as other:
        server_set_by[0] = HOUR
        assert (ledger.ends.expire(), other.ends.expire(), ledger.ends.expire()) == (0, 0, 0)
        assert 0 <= other.store.engine.lease_clock() - before < HOUR // 2


@pytest.mark.shared
def test_a_step_of_the_server_s_clock_swallows_no_news(
    ledger: Ledger, server_set_by: list[int]
) -> None:
    ledger.generations.open("q", items(4))
    claims, told, last = ledger.claims.claim("q", "w", 4), [], 0
    for claim, step in zip(claims, (0, -HOUR // 6, -HOUR, HOUR), strict=True):
        server_set_by[0] = step
        ledger.ends.finish(claim.token, "done", {})
        new = list(ledger.queries.results("q", since=last or 1))
        told += [row.id for row in new]
        last = new[-1].finish_no
    assert told == [claim.id for claim in claims]


def test_a_clock_is_taken_for_set_only_where_nothing_else_explains_it() -> None:
    def look(server: float, ours: float, wall: float) -> server_clock.Look:
        times = [round(one * 1_000_000) for one in (server, ours, wall)]
        return server_clock.Look(*times, took=1000, offset=0)

    begun = look(1000, 0, 1000)
    for elsewhere in (False, True):
        assert server_clock.step(begun, look(1060, 60, 1060), elsewhere=elsewhere) == 0
        assert server_clock.step(begun, look(1063, 60, 1060), elsewhere=elsewhere) == 0
        assert server_clock.step(begun, look(4660, 60, 1060), elsewhere=elsewhere) == HOUR
        assert server_clock.step(begun, look(-2540, 60, 1060), elsewhere=elsewhere) == -HOUR
    # Both stood still, or only we did: a machine that was halted for an hour.
    halted = look(4660, 60, 4660)
    assert server_clock.step(begun, halted, elsewhere=False) == HOUR
    assert server_clock.step(begun, halted, elsewhere=True) == 0


@pytest.mark.embedded
def test_a_boot_that_a_sandbox_hides_is_no_other(
    root: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.generations.open("q", items(1))
    ledger.claims.claim("q", "w")
    monkeypatch.setattr(machine, "boot_id", lambda: machine.HIDDEN)
    with Ledger.open(root) as inside:
        assert inside.ends.expire() == 0


@pytest.mark.embedded
def test_three_reboots_charge_no_item_with_a_death(
    root: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.generations.open("q", items(2), Options(bounds={"item_ms": 3_600_000}))
    for boot in range(3):
        monkeypatch.setattr(machine, "boot_id", lambda boot=boot: f"boot {boot}")
        with Ledger.open(root) as now:
            now.ends.expire()
            row = result(now, "task-00000")
            assert (row.state, row.deaths, row.attempts) == ("ready", 0, 0)
            assert row.cause == (None if boot == 0 else "the machine was restarted")
            [claim] = now.claims.claim("q", "w", only="task-00000")
    monkeypatch.setattr(machine, "boot_id", lambda: "the last boot")
    with Ledger.open(root) as now:
        assert now.ends.holding(claim.token).id == "task-00000", "its session was resumed"
        assert now.ends.finish(claim.token, "done", {}) == "done"
