"""Narrowing: what is set aside is handed out to nobody, counts as waiting, and comes back."""

from __future__ import annotations

import pytest

from hypervisor.ledger import Ledger, NewItem
from hypervisor.ledger.schema import ASIDE
from hypervisor.system.errors import UsageError
from ledger.support import counts, let_expire, result


def _open(ledger: Ledger, ids: str = "abcd") -> None:
    ledger.generations.open("q", [NewItem(one) for one in ids])


def _claim(ledger: Ledger, n: int = 9) -> str:
    return "".join(claim.id for claim in ledger.claims.claim("q", "w", n))


def _aside(ledger: Ledger) -> list[str]:
    return ledger.narrowing.aside(ledger.queues.get("q").no)


def test_what_is_set_aside_is_not_handed_out_and_comes_back_in_its_place(ledger: Ledger) -> None:
    _open(ledger)
    told = ledger.narrowing.narrow("q", {"a", "c"}, "x=1")
    assert (told.left, told.aside, told.at_work, told.back) == (["b", "d"], ["a", "c"], [], [])
    assert counts(ledger) == {"ready": 2, "waiting": 2}
    assert _aside(ledger) == ["a", "c"]
    assert ledger.narrowing.condition(ledger.queues.get("q").no) == "x=1"
    assert _claim(ledger, 1) == "b"
    told = ledger.narrowing.narrow("q", (), "all")
    assert told.back == ["a", "c"]
    assert _aside(ledger) == []
    assert _claim(ledger) == "acd"


def test_another_condition_takes_the_place_of_the_one_before(ledger: Ledger) -> None:
    _open(ledger)
    ledger.narrowing.narrow("q", {"a", "b"}, "x=1")
    told = ledger.narrowing.narrow("q", {"b", "c", "d"}, "x=2")
    assert (told.back, _aside(ledger)) == (["a"], ["b", "c", "d"])
    assert _claim(ledger) == "a"


def test_a_queue_of_nothing_but_what_is_set_aside_is_at_rest(ledger: Ledger) -> None:
    _open(ledger, "a")
    ledger.narrowing.narrow("q", {"a"}, "x=1")
    assert ledger.queues.drained("q") and _claim(ledger) == ""
    assert ledger.items.all_open() == {"a": "q"}, "no other queue takes it"
    ledger.narrowing.narrow("q", (), "all")
    assert _claim(ledger) == "a"


def test_what_is_set_aside_waits_for_its_dependencies_as_well(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem("a"), NewItem("b", after=["a"])])
    ledger.narrowing.narrow("q", {"b"}, "x=1")
    [claim] = ledger.claims.claim("q", "w")
    ledger.ends.finish(claim.token, "done", {})
    assert counts(ledger) == {"done": 1, "waiting": 1}
    assert ledger.queries.waits_for(result(ledger, "b").no) == []
    ledger.narrowing.narrow("q", (), "all")
    assert _claim(ledger) == "b"
    ledger.generations.open("r", [NewItem("c"), NewItem("d", after=["c"])])
    ledger.narrowing.narrow("r", {"d"}, "x=1")
    ledger.narrowing.narrow("r", (), "all")
    assert counts(ledger, "r") == {"ready": 1, "waiting": 1}, "it waits for c still"


def test_what_a_worker_has_goes_on_and_is_set_aside_if_it_comes_back(ledger: Ledger) -> None:
    _open(ledger, "ab")
    [claim] = ledger.claims.claim("q", "w")
    told = ledger.narrowing.narrow("q", {"a"}, "x=1")
    assert (told.at_work, told.aside, counts(ledger)) == (["a"], [], {"claimed": 1, "ready": 1})
    ledger.ends.finish(claim.token, "failed", {"reason": "no"})
    assert _aside(ledger) == ["a"]
    assert _claim(ledger) == "b"
    ledger.narrowing.narrow("q", (), "all")
    [claim] = ledger.claims.claim("q", "w", lease_seconds=0.001)
    ledger.narrowing.narrow("q", {"a"}, "x=1")
    let_expire(ledger)
    assert _aside(ledger) == ["a"]
    assert _claim(ledger) == ""


def test_what_a_worker_has_can_still_be_done_and_is_set_aside_no_longer(ledger: Ledger) -> None:
    _open(ledger, "a")
    [claim] = ledger.claims.claim("q", "w")
    ledger.narrowing.narrow("q", {"a"}, "x=1")
    assert ledger.ends.finish(claim.token, "blocked", {"reason": "no"}) == "blocked"
    assert _aside(ledger) == []
    assert ledger.retries.retry("q", ["a"]) == []
    assert _claim(ledger) == "a", "who tries it again wants it"


def test_what_is_opened_again_by_name_comes_back(ledger: Ledger) -> None:
    _open(ledger)
    ledger.narrowing.narrow("q", {"a", "b"}, "x=1")
    ledger.generations.open("q", [NewItem("a"), NewItem("c")])
    assert _aside(ledger) == ["b"]
    assert _claim(ledger) == "acd"


def test_what_is_brought_back_is_agreed_to_anew(ledger: Ledger) -> None:
    _open(ledger)
    number = ledger.queues.get("q").no
    ledger.terms.agree("q")
    ledger.narrowing.narrow("q", {"a"}, "x=1")
    assert ledger.terms.has_agreed(number)
    ledger.narrowing.narrow("q", (), "all")
    assert not ledger.terms.has_agreed(number)


def test_no_item_brings_back_what_is_set_aside_whatever_it_is_called(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem(ASIDE), NewItem("b")])
    ledger.narrowing.narrow("q", {"b"}, "x=1")
    [claim] = ledger.claims.claim("q", "w")
    ledger.ends.finish(claim.token, "done", {})
    assert _claim(ledger) == ""
    ledger.narrowing.narrow("q", (), "all")
    assert _claim(ledger) == "b"


def test_a_queue_that_has_ended_is_not_narrowed(ledger: Ledger) -> None:
    _open(ledger)
    ledger.generations.cancel("q")
    with pytest.raises(UsageError, match="was cancelled; open it again instead"):
        ledger.narrowing.narrow("q", {"a"}, "x=1")


def test_a_claim_says_why_an_earlier_attempt_ended(ledger: Ledger) -> None:
    _open(ledger, "a")
    [claim] = ledger.claims.claim("q", "w")
    assert claim.before is None
    ledger.ends.finish(claim.token, "failed", {"reason": "tests fail"})
    [claim] = ledger.claims.claim("q", "w")
    assert claim.before == "tests fail"
    ledger.ends.release(claim.token, free=True)
    [claim] = ledger.claims.claim("q", "w")
    assert claim.before == "tests fail", "what costs nothing is no attempt"
    ledger.ends.finish(claim.token, "blocked", {"reason": "which port?"})
    ledger.retries.retry("q", ["a"])
    [claim] = ledger.claims.claim("q", "w", lease_seconds=0.001)
    assert claim.before == "which port?"
    let_expire(ledger)
    [claim] = ledger.claims.claim("q", "w")
    assert claim.before == "its lease ran out without a heartbeat"
    ledger.ends.finish(claim.token, "done", {})
    assert result(ledger, "a").cause is None
