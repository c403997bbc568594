"""What is remembered of accepted work, on each engine."""

from __future__ import annotations

import time

from hypervisor.ledger import Ledger, NewItem, Options
from ledger.support import counts


def _row(item_id: str, **cells: str) -> NewItem:
    return NewItem(item_id, "rows.csv", payload=cells)


def _do(ledger: Ledger, queue: str = "q") -> None:
    for claim in ledger.claims.claim(queue, "w", 9):
        ledger.ends.finish(claim.token, "done", {})


def test_rows_that_were_done_are_left_out_by_queue_source_id_and_content(ledger: Ledger) -> None:
    ledger.generations.open("q", [_row("a", x="1", y="2"), _row("b", x="1")])
    _do(ledger)
    again = [_row("a", y="2", x="1"), _row("b", x="2"), NewItem("a2", "rows.csv", payload={})]
    opened = ledger.generations.open("q", again)
    assert (opened.generation, opened.added, opened.accepted) == (2, 2, 1)
    assert ledger.generations.open("other", [_row("a", x="1", y="2")]).added == 1


def test_what_is_forgotten_of_a_queue_leaves_the_memory_of_what_was_done(ledger: Ledger) -> None:
    ledger.generations.open("q", [_row("a", x="1")])
    _do(ledger)
    ledger.generations.open("other", [_row("z", x="1")])
    _do(ledger, "other")
    for _ in range(2):
        assert ledger.generations.open("q", [_row("a", x="1")]).accepted == 1
        ledger.forgetting.forget(time.time() + 1)
    assert ledger.generations.open("q", [_row("a", x="1")], Options(again=True)).added == 1


def test_an_open_that_adds_nothing_leaves_the_last_generation(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem("a"), NewItem("b", after=["a"])])
    [a] = ledger.claims.claim("q", "w", 9)
    ledger.ends.finish(a.token, "blocked", {"reason": "r"})
    opened = ledger.generations.open("q", [NewItem("b")])
    assert (opened.generation, opened.added, opened.present) == (1, 0, 1)
    assert counts(ledger) == {"blocked": 1, "ready": 1}, "it waits for nothing any more"
    ledger.generations.open("other", [NewItem("c")])
    opened = ledger.generations.open("q", [NewItem("c")])
    assert (opened.generation, opened.elsewhere) == (1, [("c", "other")])


def test_what_was_pulled_and_given_back_goes_to_the_queue_that_wants_it(ledger: Ledger) -> None:
    pull = Options(purpose="pull")
    ledger.generations.open("pull", [NewItem("a"), NewItem("b")], pull)
    [a] = ledger.claims.claim("pull", "w", only="a")
    [b] = ledger.claims.claim("pull", "w", only="b")
    ledger.ends.release(a.token, reason="no time")
    assert ledger.items.all_open() == {"b": "pull"}
    opened = ledger.generations.open("q", [NewItem("a"), NewItem("a"), NewItem("b")])
    assert (opened.added, opened.present, opened.elsewhere) == (1, 1, [("b", "pull")])
    [claim] = ledger.claims.claim("q", "w", 9)
    assert (claim.id, claim.before) == ("a", "no time")
    assert counts(ledger, "pull") == {"claimed": 1}
    assert ledger.ends.finish(b.token, "done", {}) == "done"


def test_a_file_is_in_one_open_queue_by_its_path(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem("tasks/a.md", "tasks/a.md", fingerprint="f")])
    renamed = NewItem("t-1", "tasks/a.md", fingerprint="g")
    assert ledger.generations.open("other", [renamed]).elsewhere == [("t-1", "q")]
    rows = [_row("a", x="1"), _row("b", x="1")]
    assert ledger.generations.open("rows", rows).added == 2
    assert ledger.generations.open("more", [_row("c", x="1")]).added == 1
