"""Many processes at once: each item has exactly one winner."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from hypervisor.ledger import Ledger, NewItem
from ledger.support import Child, content, counts, is_intact, items, locks_of


def _drain(root: str, queue: str, worker: str, batch: int) -> list[tuple[str, str]]:
    won = []
    with Ledger.open(root) as ledger:
        while claims := ledger.claims.claim(queue, worker, batch):
            won += [(claim.id, claim.token) for claim in claims]
            ended = ledger.ends.finish_many(
                [(claim.token, "done", {"summary": worker}) for claim in claims]
            )
            assert ended == ["done"] * len(claims)
    return won


@pytest.mark.thorough
def test_each_of_5000_items_has_one_winner_among_64_processes(root: str) -> None:
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", items(5000))
    children = [
        Child(_drain, root, "q", f"w{number}", (1, 7, 20, 50)[number % 4]) for number in range(64)
    ]
    won = [
        (*pair, f"w{number}") for number, child in enumerate(children) for pair in child.result()
    ]
    with Ledger.open(root) as ledger:
        assert counts(ledger) == {"done": 5000}
        assert is_intact(ledger)
        told = {row.id: (row.token, row.report["summary"]) for row in ledger.queries.results("q")}
        assert sorted(won) == sorted((id, *rest) for id, rest in told.items())
        count, tokens, last = ledger.store.row(
            "select count(*), count(distinct token), max(no) from claim"
        )
        assert (count, tokens) == (5000, 5000)
        assert last == 5000 or ledger.store.engine.shared, "a sequence leaves gaps"
    assert locks_of(root) == []


def _open_in_parts(root: str, queue: str, seed: int) -> dict[str, Any]:
    parts = [items(250, start) for start in range(0, 5000, 250)]
    random.Random(seed).shuffle(parts)
    added, elsewhere = 0, 0
    with Ledger.open(root, create=True) as ledger:
        for part in parts:
            opened = ledger.generations.open(queue, part)
            added += opened.added
            elsewhere += len(opened.elsewhere)
    return {"added": added, "elsewhere": elsewhere}


@pytest.mark.thorough
def test_no_id_is_in_two_of_8_queues_opened_at_once_over_the_same_5000_ids(root: str) -> None:
    openers = [Child(_open_in_parts, root, f"q{number}", number) for number in range(8)]
    told = [child.result() for child in openers]
    assert sum(opened["added"] for opened in told) == 5000
    assert all(opened["added"] + opened["elsewhere"] == 5000 for opened in told)
    children = [Child(_drain, root, f"q{number % 8}", f"w{number}", 50) for number in range(64)]
    won = Counter(item_id for child in children for item_id, _ in child.result())
    assert won == Counter(item.id for item in items(5000))
    assert locks_of(root) == []


def _first_open(root: str, number: int) -> str:
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", [NewItem(f"from-{number}")])
        return ledger.ledger_id + ledger.project


def test_eight_first_opens_of_a_new_ledger_at_once_make_one(tmp_path: Any, engine: str) -> None:
    for attempt in range(8):
        root = str(tmp_path / str(attempt))
        (tmp_path / str(attempt)).mkdir()
        children = [Child(_first_open, root, number) for number in range(8)]
        assert len({child.result() for child in children}) == 1
        with Ledger.open(root) as ledger:
            assert counts(ledger) == {"ready": 8}
            assert is_intact(ledger)


def _hand_over(root: str, worker: str) -> list[str]:
    """The loop of `done --next`: end one item and claim the next in one commit."""
    done = []
    with Ledger.open(root) as ledger:
        claims = ledger.claims.claim("q", worker)
        while claims:
            done.append(claims[0].id)
            end = (claims[0].token, "done", {"summary": worker})
            states, claims = ledger.claims.finish_and_claim([end], "q", worker)
            assert states == ["done"]
    return done


def test_ending_one_item_and_claiming_the_next_at_once_loses_and_repeats_none(root: str) -> None:
    with Ledger.open(root, create=True) as ledger:
        ledger.generations.open("q", items(400))
    children = [Child(_hand_over, root, f"w{number}") for number in range(8)]
    won = [item_id for child in children for item_id in child.result()]
    assert sorted(won) == [item.id for item in items(400)]
    assert locks_of(root) == []


def test_a_lost_token_hands_out_nothing_new(ledger: Ledger) -> None:
    ledger.generations.open("q", items(3))
    [claim] = ledger.claims.claim("q", "w")
    ledger.ends.release(claim.token, free=True)
    before = content(ledger)
    assert ledger.claims.finish_and_claim([(claim.token, "done", {})], "q", "w") == ([None], [])
    assert content(ledger) == before


def test_what_was_looked_up_for_a_refused_end_is_handed_out_by_nobody_later(root: str) -> None:
    with Ledger.open(root, create=True) as slow, Ledger.open(root) as quick:
        slow.generations.open("q", items(3))
        [lost] = slow.claims.claim("q", "w1")
        slow.ends.end(lost.token, "freed")
        end = (lost.token, "done", {})
        assert slow.claims.finish_and_claim([end], "q", "w1") == ([None], [])
        [theirs] = quick.claims.claim("q", "w2")
        [ours] = slow.claims.claim("q", "w1")
        assert theirs.id != ours.id
        assert quick.ends.finish_many([(theirs.token, "done", {})]) == ["done"]
