"""Limits of a service: a queue is paused until they end, and goes on by itself."""

from __future__ import annotations

import time

import pytest

from hypervisor.ledger import Ledger, NewItem, Options

TOLD = "rate limit: You've hit your session limit"


@pytest.fixture
def queue(ledger: Ledger) -> int:
    items = [NewItem(f"task-{number}") for number in range(3)]
    ledger.generations.open("q", items, Options(lease_seconds=900))
    number: int = ledger.queues.get("q").no
    return number


def stands(ledger: Ledger) -> tuple[str, str, float | None]:
    row = ledger.queues.get("q")
    return row.state, row.reason or "", row.resume_at


@pytest.mark.parametrize("look", ["claim", "expire", "reopen", "finish_and_claim"])
def test_whoever_looks_after_the_reset_finds_the_queue_open(
    ledger: Ledger, queue: int, look: str
) -> None:
    token = ledger.claims.claim("q", "w")[0].token
    ledger.pauses.limit("q", TOLD, time.time() + 0.6)
    assert ledger.claims.claim("q", "w") == []
    ledger.pauses.reopen()
    assert ledger.ends.expire() == 0 and stands(ledger)[0] == "paused"
    time.sleep(0.7)
    if look == "claim":
        assert len(ledger.claims.claim("q", "w")) == 1
    elif look == "finish_and_claim":
        assert len(ledger.claims.finish_and_claim([(token, "done", {})], "q", "w")[1]) == 1
    elif look == "expire":
        ledger.ends.expire()
    else:
        ledger.pauses.reopen()
    assert stands(ledger) == ("open", "", None)
    kinds = [(row.kind, row.detail) for row in ledger.queries.events_after([queue], 0)]
    assert kinds[-2:] == [("paused", TOLD), ("open", "the limit has reset")]


def test_the_later_of_two_limits_counts(ledger: Ledger, queue: int) -> None:
    soon, late = time.time() + 100, time.time() + 200
    assert ledger.pauses.limit("q", TOLD, None)
    assert ledger.pauses.limit("q", TOLD, soon)
    assert ledger.pauses.limit("q", "overloaded: x", late)
    assert stands(ledger) == ("paused", "overloaded: x", late)
    assert not ledger.pauses.limit("q", TOLD, soon)
    assert not ledger.pauses.limit("q", TOLD, None)
    assert stands(ledger) == ("paused", "overloaded: x", late)


def test_a_person_s_pause_outweighs_a_limit_whichever_comes_first(
    ledger: Ledger, queue: int
) -> None:
    past = time.time() - 1
    ledger.pauses.limit("q", TOLD, past)
    ledger.pauses.pause("q", "lunch")
    assert not ledger.pauses.limit("q", TOLD, past)
    assert not ledger.pauses.limit("q", TOLD, None)
    ledger.ends.expire()
    assert ledger.claims.claim("q", "w") == []
    assert stands(ledger) == ("paused", "lunch", None)
    ledger.pauses.resume("q")
    assert len(ledger.claims.claim("q", "w")) == 1
    ledger.generations.cancel("q")
    assert not ledger.pauses.limit("q", TOLD, past)
    assert stands(ledger)[0] == "cancelled"


def test_a_limit_that_a_person_has_overruled_pauses_once(ledger: Ledger, queue: int) -> None:
    at = time.time() + 100
    assert ledger.pauses.limit("q", TOLD, at, once=True)
    ledger.pauses.resume("q")
    assert not ledger.pauses.limit("q", TOLD, at, once=True)
    assert stands(ledger) == ("open", "", None)
    assert ledger.pauses.limit("q", f"{TOLD} again", at, once=True)


def test_a_reset_is_known_until_somebody_claims(ledger: Ledger, queue: int) -> None:
    assert ledger.pauses.reset_at(queue) is None
    ledger.pauses.limit("q", TOLD, time.time() - 1)
    assert ledger.pauses.reset_at(queue) is None
    ledger.pauses.reopen()
    assert abs((ledger.pauses.reset_at(queue) or 0) - time.time()) < 60
    ledger.claims.claim("q", "w")
    assert ledger.pauses.reset_at(queue) is None
    ledger.pauses.pause("q", "lunch")
    ledger.pauses.resume("q")
    assert ledger.pauses.reset_at(queue) is None


def test_a_lease_that_runs_out_while_the_service_refuses_costs_nothing(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem("a"), NewItem("b")], Options(lease_seconds=0.2))
    ledger.claims.claim("q", "w")
    ledger.pauses.limit("q", TOLD, time.time() + 100)
    time.sleep(0.3)
    assert ledger.ends.expire() == 1
    ledger.pauses.resume("q")
    ledger.claims.claim("q", "w", only="b")
    time.sleep(0.3)
    ledger.ends.expire()
    lost = {row.id: row.lost for row in ledger.queries.results("q")}
    assert lost == {"a": 0, "b": 1}


def test_overloads_are_counted_from_the_last_report_on(ledger: Ledger, queue: int) -> None:
    for _ in range(2):
        ledger.pauses.limit("q", "overloaded: 529", time.time() - 1)
        ledger.pauses.reopen()
    ledger.pauses.limit("q", TOLD, time.time() - 1)
    ledger.pauses.reopen()
    assert ledger.pauses.overloads(queue) == 2
    ledger.ends.finish(ledger.claims.claim("q", "w")[0].token, "done", {})
    assert ledger.pauses.overloads(queue) == 0


def test_a_yes_holds_until_items_are_added(ledger: Ledger, queue: int) -> None:
    assert not ledger.terms.has_agreed(queue)
    ledger.terms.agree("q")
    assert ledger.terms.has_agreed(queue)
    ledger.pauses.limit("q", TOLD, time.time() - 1)
    ledger.pauses.reopen()
    assert ledger.terms.has_agreed(queue)
    ledger.generations.open("q", [NewItem("more")], Options(lease_seconds=900))
    assert not ledger.terms.has_agreed(queue)


def test_a_queue_that_is_opened_anew_keeps_the_end_of_its_pause(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem("a")], Options(source="one"))
    at = time.time() + 100
    ledger.pauses.limit("q", TOLD, at)
    ledger.generations.open("q", [NewItem("a"), NewItem("b")], Options(source="two"))
    assert stands(ledger) == ("paused", TOLD, at)
