"""Items climb a ladder of models with each failed attempt, and are handed out on their rung."""

from __future__ import annotations

import pytest

from hypervisor.ledger import Ledger, Options, ladder
from hypervisor.system.errors import UsageError
from ledger.support import items

LADDER = Options(ladder="small,middle,claude:large", max_attempts=3)


def takes(ledger: Ledger, model: str | None, n: int = 1) -> list[str]:
    return [one.id for one in ledger.claims.claim("q", "w", n, model=model)]


def fails(ledger: Ledger, model: str) -> str:
    """A worker with this model takes an item and fails it; return its state."""
    [claim] = ledger.claims.claim("q", "w", model=model)
    return ledger.ends.finish(claim.token, "failed", {"reason": "too hard"})


def test_an_item_climbs_one_rung_with_each_failed_attempt_and_past_the_last_has_failed(
    ledger: Ledger,
) -> None:
    ledger.generations.open("q", items(1), LADDER)
    row = ledger.queues.get("q")
    assert ladder.ready(ledger, row) == [1, 0, 0]
    assert fails(ledger, "small") == "ready"
    assert ladder.ready(ledger, row) == [0, 1, 0]
    # Never the reverse, and who names no model stands on the lowest rung.
    assert takes(ledger, "small") == takes(ledger, None) == []
    assert ledger.claims.claim("q", "w", only="item-0", model="small") == []
    assert fails(ledger, "middle") == "ready"
    assert fails(ledger, "large") == "failed"
    assert [one.rung for one in ledger.queries.claims_on(1)] == [0, 1, 2]
    assert [one.model for one in ledger.queries.claims_on(1)] == ["small", "middle", "large"]


def test_who_stands_higher_takes_lower_items_once_there_is_none_of_its_own(ledger: Ledger) -> None:
    ledger.generations.open("q", items(4), LADDER)
    fails(ledger, "small")
    [climbed] = [one.id for one in ledger.items.open_rows("q") if one.attempts]
    first, second = takes(ledger, "middle", 2)
    assert first == climbed != second
    assert len(takes(ledger, "claude:large")) == 1


def test_what_is_no_ladder_and_no_rung_is_refused(ledger: Ledger) -> None:
    for odd in ("", "a,,b", "a b", "a;b", ",".join("abcdefghijk")):
        with pytest.raises(UsageError):
            ladder.rungs(odd)
    ledger.generations.open("q", items(1), LADDER)
    with pytest.raises(UsageError, match="huge is not on the queue's ladder"):
        takes(ledger, "huge")
    with pytest.raises(UsageError, match="another --ladder"):
        ledger.generations.open("q", items(2), Options(ladder="small"))


@pytest.mark.parametrize("twice", ["a,a", "a,b,a", "a,claude:a", "claude:a,a", "codex:a,codex:a"])
def test_a_model_stands_on_one_rung(twice: str) -> None:
    with pytest.raises(UsageError, match="the ladder has a twice"):
        ladder.rungs(twice)
    # Two clients may call different models the same.
    assert [one.client for one in ladder.rungs("claude:a,codex:a")] == ["claude", "codex"]


def test_a_rung_that_names_its_client_is_that_client_s_alone() -> None:
    told = "claude:a,codex:a,b"
    assert ladder.of_client(told, "claude", "a").word == "claude:a"
    assert ladder.of_client(told, "codex", "codex:a").word == "codex:a"
    assert ladder.of_client(told, "codex", "b").word == "b"
    for client, model in (("gemini", "a"), ("claude", "codex:a"), ("claude", "c")):
        with pytest.raises(UsageError):
            ladder.of_client(told, client, model)
