"""The statements that the verbs really run use indexes: a claim costs the same at any size."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from hypervisor.ledger import Ledger, NewItem
from ledger.support import items, verbs_of_workers

pytestmark = pytest.mark.embedded

Caught = Callable[[Callable[[], object]], dict[str, list[str]]]


@pytest.fixture
def plans(ledger: Ledger) -> Caught:
    """`plans(verb)`: the plan of each statement that the verb runs."""
    ledger.generations.open("q", [*items(50), NewItem("last", "p", after=["task-00000"])])

    def caught(verb: Callable[[], object]) -> dict[str, list[str]]:
        statements: list[str] = []
        connection = ledger.store.connection
        connection.set_trace_callback(statements.append)
        try:
            verb()
        finally:
            connection.set_trace_callback(None)
        told = {}
        for statement in statements:
            if re.match(r"(select|update|delete)\b", statement, re.IGNORECASE):
                rows = ledger.store.rows(f"explain query plan {statement}").fetchall()
                told[statement] = [row["detail"] for row in rows]
        assert told
        return told

    return caught


def _uses(plans: dict[str, list[str]], index: str, words: str) -> bool:
    return any(
        f"INDEX {index} " in step and words in step for steps in plans.values() for step in steps
    )


def _scans(plans: dict[str, list[str]]) -> list[str]:
    return [
        f"{statement}: {step}"
        for statement, steps in plans.items()
        for step in steps
        if re.match(r"SCAN (?!CONSTANT)|USE TEMP B-TREE", step)
    ]


def test_the_verbs_of_workers_scan_nothing(ledger: Ledger, plans: Caught) -> None:
    assert _scans(plans(lambda: verbs_of_workers(ledger))) == []


def test_a_claim_finds_the_next_item_by_the_partial_index(ledger: Ledger, plans: Caught) -> None:
    told = plans(lambda: ledger.claims.claim("q", "w"))
    assert _uses(told, "item_turn", "(queue=? AND turn>? AND turn<?)"), "the next ready item"
    assert _uses(told, "item_turn", "(queue=? AND turn<?)"), "leases that ran out"


def test_the_files_that_the_next_items_name_are_found_by_the_partial_index(
    ledger: Ledger, plans: Caught
) -> None:
    number = ledger.queues.get("q").no
    told = plans(lambda: ledger.queries.named_ahead(number, 10))
    assert _uses(told, "item_turn", "(queue=? AND turn>?)") and _scans(told) == []


def test_leases_that_ran_out_are_found_by_the_partial_index(ledger: Ledger, plans: Caught) -> None:
    assert _uses(plans(ledger.ends.expire), "item_turn", "(queue=? AND turn<?)")


def test_what_is_open_or_pending_is_found_by_the_partial_indexes(
    ledger: Ledger, plans: Caught
) -> None:
    assert _uses(plans(ledger.items.all_open), "item_turn", "(queue=? AND turn>?)")
    assert _uses(plans(ledger.claims.live_tokens), "item_turn", "(queue=? AND turn<?)")
    assert _uses(plans(lambda: ledger.queues.drained("q")), "item_turn", "(queue=? AND turn<?)")
    assert _uses(plans(ledger.outbox.pending), "item_pending", "(queue=?)")


def test_the_index_of_open_items_holds_open_items_only(ledger: Ledger) -> None:
    sql = ledger.store.row("select sql from sqlite_master where name = 'item_turn'")[0]
    assert sql.endswith("on item (queue, turn) where turn is not null")
    ledger.generations.open("q", [NewItem("a"), NewItem("b", after=["a"]), NewItem("c")])
    for outcome in ("done", "failed", "blocked"):
        for claim in ledger.claims.claim("q", "w"):
            ledger.ends.finish(claim.token, outcome, {})
    ledger.generations.cancel("q")
    wrong = ledger.store.rows(
        "select id, state, turn from item where (turn is not null) <> (finish_no is null) "
        "or (turn < 0) <> (state = 'claimed') or (finish_no is null) <> "
        "(state in ('waiting', 'ready', 'claimed'))"
    ).fetchall()
    assert [tuple(row) for row in wrong] == []


def test_what_ended_since_is_found_by_the_index_of_ends(ledger: Ledger, plans: Caught) -> None:
    told = plans(lambda: ledger.followers.ended_since(1, 5))
    assert _uses(told, "item_ended", "(queue=? AND state=? AND finish_no>? AND finish_no<?)")


def test_a_session_that_follows_a_queue_already_looks_at_no_item(
    ledger: Ledger, plans: Caught
) -> None:
    ledger.followers.follow("s", "q")
    told = plans(lambda: ledger.followers.follow("s", "q"))
    assert not [statement for statement in told if re.search(r"\bitem\b", statement)]


def test_sessions_at_work_are_found_by_the_index_of_live_claims(
    ledger: Ledger, plans: Caught
) -> None:
    assert _uses(plans(ledger.sessions.at_work), "item_turn", "(queue=? AND turn<?)")
