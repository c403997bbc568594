"""Leases are judged by boots and the monotonic clock, or by the server's clock; wall time here is
for display only."""

from __future__ import annotations

import re
import time

import pytest

from hypervisor.ledger import Ledger, Options, clock
from hypervisor.system import machine
from hypervisor.system.errors import NotOwner
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
    with pytest.raises(NotOwner):
        ledger.ends.finish(late.token, "done", {})


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
        with pytest.raises(NotOwner):
            rebooted.ends.finish(held.token, "done", {})
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
            ledger.store.lease_clock()
            raise RuntimeError
        ledger.generations.open("q", items(1))
        ledger.claims.claim("q", "w")
        assert ledger.store.row("select count(*) from boot")[0] == 1
    monkeypatch.setattr(machine, "boot_id", lambda: "another boot")
    with Ledger.open(root) as rebooted:
        assert rebooted.ends.expire() == 1
