"""Slow is not dead: what a lease that ran out costs, when it comes back, and what renews others."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from hypervisor.ledger import Ledger, NewItem, Options
from hypervisor.system.errors import NotOwner
from ledger.support import Child, content, counts, items, opened, result, set_clock

LEASE = 60.0
OVER = round(LEASE * 1_000_000) + 1


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch, engine: str) -> list[int]:
    """How many microseconds ahead of the real one the clock of leases is."""
    ahead = [0]
    set_clock(monkeypatch, engine, ahead)
    return ahead


def _claim(ledger: Ledger, *more: NewItem, **options: Any) -> str:
    """Open a queue of `a` and `more`, and claim `a`."""
    ledger.generations.open(
        "q", [NewItem("a", "tasks/a.md"), *more], Options(lease_seconds=LEASE, **options)
    )
    return ledger.claims.claim("q", "w")[0].token


def test_a_lease_that_runs_out_is_no_death_and_has_a_limit_and_words_of_its_own(
    ledger: Ledger, later: list[int]
) -> None:
    ledger.generations.open("q", [NewItem("a")], Options(lease_seconds=LEASE, max_lost=3))
    for lost in range(3):
        row = result(ledger, "a")
        assert (row.state, row.lost, row.deaths, row.attempts) == ("ready", lost, 0, 0)
        assert ledger.claims.claim("q", "w")
        later[0] += OVER
        assert ledger.ends.expire() == 1
    row = result(ledger, "a")
    assert (row.state, row.lost, row.deaths, row.attempts) == ("failed", 3, 0, 0)
    assert row.cause == (
        "3 workers fell silent for longer than their lease; the last: its lease ran out without a "
        "heartbeat"
    )


def test_ten_leases_may_run_out_where_nobody_says(ledger: Ledger, later: list[int]) -> None:
    ledger.generations.open("q", [NewItem("a")], Options(lease_seconds=LEASE))
    for _ in range(10):
        assert counts(ledger) == {"ready": 1}
        ledger.claims.claim("q", "w")
        later[0] += OVER
        ledger.ends.expire()
    assert counts(ledger) == {"failed": 1}


@pytest.mark.parametrize("noticed", [False, True])
@pytest.mark.parametrize("outcome", ["done", "blocked", "failed"])
def test_a_late_report_is_accepted_while_nothing_else_has_happened_to_its_item(
    ledger: Ledger, later: list[int], noticed: bool, outcome: str
) -> None:
    token = _claim(ledger, max_attempts=1)
    later[0] += OVER
    if noticed:
        assert ledger.ends.expire() == 1
        assert result(ledger, "a").lost == 1
    assert ledger.ends.finish(token, outcome, {"n": 1}, pending=True) == outcome
    row = result(ledger, "a")
    assert (row.state, row.token, row.outcome) == (outcome, token, outcome)
    assert (row.report, row.lost) == ({"n": 1}, 0), "what was counted is taken back"
    assert [pending.id for pending in ledger.outbox.pending()] == ["a"]
    assert os.listdir(os.path.join(ledger.root, ".hypervisor", "locks")) == []
    assert ledger.ends.finish(token, outcome, {"n": 2}) == outcome
    assert ledger.claims.claim("q", "another") == []


def test_what_waits_for_an_item_goes_on_after_a_late_done(ledger: Ledger, later: list[int]) -> None:
    token = _claim(ledger, NewItem("b", after=["a"]))
    later[0] += OVER
    ledger.ends.expire()
    assert ledger.ends.finish_many([(token, "done", {})]) == ["done"]
    assert [claim.id for claim in ledger.claims.claim("q", "w", 2)] == ["b"]


def test_a_late_done_may_claim_the_next_item_in_the_same_commit(
    ledger: Ledger, later: list[int]
) -> None:
    token = _claim(ledger, NewItem("b"))
    later[0] += OVER
    ledger.ends.expire()
    states, [claim] = ledger.claims.finish_and_claim([(token, "done", {})], "q", "w")
    assert (states, claim.id) == (["done"], "b")


def _taken(ledger: Ledger, token: str) -> None:
    assert ledger.claims.claim("q", "another", only="a")


def _done_by_another(ledger: Ledger, token: str) -> None:
    [claim] = ledger.claims.claim("q", "another", only="a")
    ledger.ends.finish(claim.token, "done", {"by": "another"})


def _taken_and_given_back(ledger: Ledger, token: str) -> None:
    [claim] = ledger.claims.claim("q", "another", only="a")
    ledger.ends.release(claim.token, free=True)


def _cancelled(ledger: Ledger, token: str) -> None:
    ledger.generations.cancel("q")


def _ended_and_retried(ledger: Ledger, token: str) -> None:
    [claim] = ledger.claims.claim("q", "another", only="a")
    ledger.ends.finish(claim.token, "blocked", {})
    assert ledger.retries.retry("q", ["a"]) == []


def _locked(ledger: Ledger, token: str) -> None:
    os.makedirs(os.path.join(ledger.root, ".hypervisor", "locks", "a"))


def _locked_where_pre_flight_looks(ledger: Ledger, token: str) -> None:
    os.makedirs(os.path.join(ledger.root, "locks", "a.lock"))


def _locked_beside_its_file(ledger: Ledger, token: str) -> None:
    os.makedirs(os.path.join(ledger.root, "tasks", "a.md.lock"))


def _files_in_work(ledger: Ledger, token: str) -> None:
    assert ledger.claims.claim("q", "another", only="b")


def _set_aside(ledger: Ledger, token: str) -> None:
    ledger.narrowing.narrow("q", ["a"], "b alone")


@pytest.mark.parametrize(
    "happens",
    [
        _taken, _done_by_another, _taken_and_given_back, _cancelled, _ended_and_retried, _locked,
        _files_in_work, _set_aside, _locked_where_pre_flight_looks, _locked_beside_its_file,
    ],
)  # fmt: skip
def test_a_late_report_is_refused_and_writes_nothing_once_something_has_happened(
    ledger: Ledger, later: list[int], happens: Callable[[Ledger, str], None]
) -> None:
    files = ["src/x.py"]
    ledger.generations.open(
        "q",
        [NewItem("a", "tasks/a.md", files=files), NewItem("b", files=files)],
        Options(lease_seconds=LEASE),
    )
    [claim] = ledger.claims.claim("q", "w")
    later[0] += OVER
    assert ledger.ends.expire() == 1
    happens(ledger, claim.token)
    before = content(ledger)
    for verb in (
        lambda: ledger.ends.finish(claim.token, "done", {}),
        lambda: ledger.ends.release(claim.token),
        lambda: ledger.ends.holding(claim.token),
    ):
        with pytest.raises(NotOwner):
            verb()
    assert ledger.claims.heartbeat([claim.token]) == []
    assert content(ledger) == before


def test_an_item_whose_last_lease_ran_out_has_failed_and_takes_no_late_report(
    ledger: Ledger, later: list[int]
) -> None:
    token = _claim(ledger, max_lost=1)
    later[0] += OVER
    ledger.ends.expire()
    before = content(ledger)
    assert ledger.ends.finish_many([(token, "done", {})]) == [None]
    assert content(ledger) == before
    ledger.outbox.written(token)
    ledger.store.change("update item set pending = null")
    assert ledger.retries.retry("q", ["a"]) == []
    assert ledger.ends.finish_many([(token, "done", {})]) == [None], "it was retried since"


def test_any_word_of_a_worker_takes_its_lost_lease_back(ledger: Ledger, later: list[int]) -> None:
    token = _claim(ledger)
    for word in (
        lambda: ledger.claims.heartbeat([token]) == [token],
        lambda: ledger.ends.holding(token).id == "a",
    ):
        later[0] += OVER
        ledger.ends.expire()
        assert (result(ledger, "a").lost, counts(ledger)) == (1, {"ready": 1})
        assert word()
        row = result(ledger, "a")
        assert (row.lost, row.state, row.token) == (0, "claimed", token)
        assert ledger.claims.claim("q", "another") == []
        assert list(ledger.claims.live_tokens()) == [token]
    later[0] += OVER
    ledger.ends.expire()
    assert ledger.ends.release(token, reason="too hard") == "ready"
    assert (result(ledger, "a").lost, result(ledger, "a").releases) == (0, 1)


def test_of_a_late_report_and_another_s_claim_one_wins(root: str, ledger: Ledger) -> None:
    def late(token: str) -> bool:
        with opened(root) as mine:
            return mine.ends.finish_many([(token, "done", {"by": "late"})]) == ["done"]

    def other() -> bool:
        with opened(root) as mine:
            claims = mine.claims.claim("q", "another", only="a")
            return bool(claims) and mine.ends.finish(claims[0].token, "done", {}) == "done"

    for _ in range(12):
        ledger.generations.open("q", [NewItem("a")])
        [claim] = ledger.claims.claim("q", "w", lease_seconds=0.001)
        both = [Child(late, claim.token), Child(other)]
        assert sorted(child.result() for child in both) == [False, True]
        assert counts(ledger) == {"done": 1}


def test_a_word_renews_what_the_same_call_has_got(ledger: Ledger, later: list[int]) -> None:
    ledger.generations.open("q", items(6), Options(lease_seconds=LEASE))
    first, *rest = ledger.claims.claim("q", "w", 4)
    [other] = ledger.claims.claim("q", "w")
    later[0] += OVER // 2
    ledger.ends.finish(first.token, "done", {})
    later[0] += OVER // 2
    assert ledger.ends.expire() == 1
    assert other.token not in ledger.claims.live_tokens(), "a name that they share renews nothing"
    assert set(ledger.claims.live_tokens()) == {claim.token for claim in rest}
    later[0] += OVER // 3
    assert ledger.claims.heartbeat([rest[0].token]) == [rest[0].token]
    later[0] += OVER // 2
    assert ledger.ends.expire() == 0


@pytest.mark.parametrize(
    ("who", "other"),
    [
        ({"session": "s", "agent": "a1"}, {"session": "s", "agent": "a2"}),
        ({"session": "s", "agent": "a1"}, {"session": "t", "agent": "a1"}),
        ({"process": "boot:7:100"}, {"process": "boot:7:101"}),
        ({"process": "boot:7:100"}, {}),
    ],
)
def test_a_word_renews_what_the_same_agent_or_process_has_and_nothing_of_the_same_name(
    ledger: Ledger, later: list[int], who: dict[str, str], other: dict[str, str]
) -> None:
    ledger.generations.open("q", items(3), Options(lease_seconds=LEASE))
    claims = [ledger.claims.claim("q", "w", **one)[0] for one in (who, who, other)]
    later[0] += OVER // 2
    assert ledger.claims.heartbeat([claims[0].token])
    later[0] += OVER // 2
    assert ledger.ends.expire() == 1
    assert set(ledger.claims.live_tokens()) == {claims[0].token, claims[1].token}


def test_a_word_gets_nobody_over_the_time_for_an_item(ledger: Ledger, later: list[int]) -> None:
    bounds = {"item_ms": round(LEASE * 1000)}
    ledger.generations.open("q", items(2), Options(lease_seconds=LEASE, bounds=bounds))
    first, second = ledger.claims.claim("q", "w", 2)
    later[0] += OVER // 2
    ledger.claims.heartbeat([first.token])
    later[0] += OVER // 2
    assert ledger.ends.finish_many([(second.token, "done", {})]) == [None]
    assert ledger.ends.expire() == 2
    assert {row.attempts for row in ledger.queries.results("q")} == {1}


def test_living_workers_on_a_slow_machine_fail_no_item(root: str, ledger: Ledger) -> None:
    ledger.generations.open("q", items(24), Options(lease_seconds=0.2))

    def work() -> int:
        accepted = 0
        with opened(root) as mine:
            while not mine.queues.drained("q"):
                for claim in mine.claims.claim("q", "w", 3):
                    time.sleep(0.15)
                    accepted += mine.ends.finish_many([(claim.token, "done", {})]) == ["done"]
                time.sleep(0.01)
        return accepted

    accepted = sum(child.result() for child in [Child(work) for _ in range(4)])
    assert (counts(ledger), accepted) == ({"done": 24}, 24)
