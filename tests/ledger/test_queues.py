"""Dependencies, generations, and that an item is open in one queue only."""

from __future__ import annotations

from typing import Any

import pytest

from hypervisor.ledger import Ledger, NewItem, Options
from hypervisor.ledger.options import KEPT
from hypervisor.system.errors import NotOwner, UsageError
from ledger.support import counts, items, let_expire, result


def _graph(ledger: Ledger, after: dict[str, str], queue: str = "q", **options: Any) -> Any:
    return ledger.generations.open(
        queue, [NewItem(id, after=list(needs)) for id, needs in after.items()], Options(**options)
    )


def _end(ledger: Ledger, item_id: str, outcome: str, queue: str = "q") -> None:
    [claim] = ledger.claims.claim(queue, "w", only=item_id)
    ledger.ends.finish(claim.token, outcome, {})


def _ready(ledger: Ledger, queue: str = "q") -> str:
    return "".join(row.id for row in ledger.queries.results(queue) if row.state == "ready")


@pytest.mark.parametrize("outcome", ["done", "skipped"])
def test_an_item_becomes_ready_when_all_that_it_waits_for_is_done_or_skipped(
    ledger: Ledger, outcome: str
) -> None:
    _graph(ledger, {"c": "ab", "a": "", "b": "a"})
    assert _ready(ledger) == "a"
    assert result(ledger, "c").cause == "waits for a, b"
    _end(ledger, "a", outcome)
    assert _ready(ledger) == "b"
    _end(ledger, "b", outcome)
    assert _ready(ledger) == "c"
    assert result(ledger, "c").cause is None
    assert not ledger.queues.drained("q")


@pytest.mark.parametrize("outcome", ["blocked", "failed"])
def test_what_waits_for_a_failed_or_blocked_item_goes_on_waiting_and_the_queue_drains(
    ledger: Ledger, outcome: str
) -> None:
    _graph(ledger, {"a": "", "b": "a"}, max_attempts=1)
    _end(ledger, "a", outcome)
    assert counts(ledger) == {outcome: 1, "waiting": 1}
    assert ledger.queues.drained("q")
    assert result(ledger, "b").cause == "waits for a"


def test_what_waits_for_a_dead_item_goes_on_waiting(ledger: Ledger) -> None:
    _graph(ledger, {"a": "", "b": "a"}, max_lost=1)
    ledger.claims.claim("q", "w", lease_seconds=0.001)
    let_expire(ledger)
    assert counts(ledger) == {"failed": 1, "waiting": 1}


@pytest.mark.parametrize("after", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "?"}])
def test_a_cycle_or_an_unknown_dependency_waits_and_the_queue_counts_as_drained(
    ledger: Ledger, after: dict[str, str]
) -> None:
    _graph(ledger, after)
    assert ledger.claims.claim("q", "w") == []
    assert ledger.queues.drained("q")
    assert counts(ledger) == {"waiting": len(after)}


def test_a_dependency_named_twice_counts_once(ledger: Ledger) -> None:
    _graph(ledger, {"a": "", "b": "aa"})
    _end(ledger, "a", "done")
    assert _ready(ledger) == "b"


def test_an_item_waits_for_one_that_is_open_in_another_queue(ledger: Ledger) -> None:
    _graph(ledger, {"a": ""}, "first")
    opened = _graph(ledger, {"a": "", "b": "a"}, "second")
    assert opened.elsewhere == [("a", "first")]
    assert _ready(ledger, "second") == ""
    _end(ledger, "a", "done", "first")
    assert _ready(ledger, "second") == "b"


def test_cancelling_what_another_queue_waits_for_lets_that_go_on(ledger: Ledger) -> None:
    _graph(ledger, {"a": ""}, "first")
    _graph(ledger, {"b": "a"}, "second")
    ledger.generations.cancel("first")
    assert _ready(ledger, "second") == "b"


def test_opening_twice_adds_nothing_twice(ledger: Ledger) -> None:
    first = ledger.generations.open("q", items(3))
    again = ledger.generations.open("q", [*items(4), *items(4)])
    assert (first.added, first.present) == (3, 0)
    assert (again.added, again.present, again.generation) == (1, 7, 1)
    assert counts(ledger) == {"ready": 4}


def test_opening_again_takes_over_what_changed_about_items_nobody_holds(ledger: Ledger) -> None:
    ledger.generations.open(
        "q", [NewItem("held", fingerprint="1"), NewItem("free", fingerprint="1")]
    )
    ledger.claims.claim("q", "w")
    ledger.generations.open(
        "q", [NewItem(id, fingerprint="2", payload={"n": 2}) for id in ("held", "free")]
    )
    assert result(ledger, "held").fingerprint == "1"
    [claim] = ledger.claims.claim("q", "w")
    assert (claim.id, claim.fingerprint, claim.payload) == ("free", "2", {"n": 2})


def test_opening_again_takes_over_changed_dependencies(ledger: Ledger) -> None:
    _graph(ledger, {"a": "", "b": "a", "c": ""})
    _graph(ledger, {"a": "", "b": "", "c": "a"})
    assert _ready(ledger) == "ab"
    _end(ledger, "a", "done")
    assert _ready(ledger) == "bc"


def test_an_item_that_is_open_in_one_queue_is_left_out_of_another(ledger: Ledger) -> None:
    _graph(ledger, {"ready": "", "held": "", "waits": "x", "done": ""}, "first")
    ledger.claims.claim("first", "w", only="held")
    _end(ledger, "done", "done", "first")
    opened = _graph(ledger, {"ready": "", "held": "", "waits": "", "done": "", "new": ""}, "second")
    assert opened.elsewhere == [(id, "first") for id in ("ready", "held", "waits")]
    assert _ready(ledger, "second") == "donenew"
    assert ledger.items.all_open() == {
        "ready": "first",
        "held": "first",
        "waits": "first",
        "done": "second",
        "new": "second",
    }


def test_a_queue_that_drained_is_opened_anew_as_its_next_generation(ledger: Ledger) -> None:
    ledger.generations.open("q", items(2), Options(instructions="old"))
    for claim in ledger.claims.claim("q", "w", 2):
        ledger.ends.finish(claim.token, "done", {})
    opened = ledger.generations.open("q", items(1), Options(instructions="new"))
    assert (opened.generation, opened.added) == (2, 1)
    assert counts(ledger) == {"ready": 1}
    assert [row.generation for row in ledger.queues.all()] == [2]


def test_a_cancelled_queue_is_opened_anew(ledger: Ledger) -> None:
    ledger.generations.open("q", items(2))
    ledger.generations.cancel("q")
    assert ledger.generations.open("q", items(2)).generation == 2
    assert counts(ledger) == {"ready": 2}


def test_other_instructions_are_a_version_for_what_is_claimed_from_then_on(ledger: Ledger) -> None:
    ledger.generations.open("q", items(4), Options(instructions="one"))
    number = ledger.queues.get("q").no
    [first] = ledger.claims.claim("q", "w")
    ledger.generations.open("q", items(4), Options(instructions="two"))
    [second] = ledger.claims.claim("q", "w")
    # Another process has changed them meanwhile.
    with ledger.store.write():
        ledger.store.change("update queue set instructions = 'three', version = 3")
    [third] = ledger.claims.claim("q", "w")
    assert [one.instructions for one in (first, second, third)] == ["one", "two", "three"]
    kept = [ledger.queries.claim_of(one.token) for one in (first, second, third)]
    assert [one and one.version for one in kept] == [None, 2, 3]
    assert [ledger.terms.instructions(number, version) for version in (None, 2)] == ["one", "two"]
    assert ledger.terms.set_instructions("q", "three") == 3
    with pytest.raises(UsageError, match="is at work with instructions"):
        ledger.generations.open("q", items(5))


def _changed(ledger: Ledger) -> tuple[Any, Any]:
    """A queue whose list has changed while the items `keep` and `drop` were held."""
    wanted = ("keep", "free", "drop", "gone", "done")
    ledger.generations.open("q", [NewItem(id) for id in wanted], Options(source="1"))
    _end(ledger, "done", "done")
    [keep] = ledger.claims.claim("q", "w", only="keep")
    [drop] = ledger.claims.claim("q", "w", only="drop")
    opened = ledger.generations.open(
        "q", [NewItem(id) for id in ("keep", "free", "new")], Options(source="2")
    )
    assert (opened.generation, opened.added, opened.present) == (2, 1, 2)
    return keep, drop


def test_the_same_source_is_the_same_generation_even_when_all_is_done(ledger: Ledger) -> None:
    ledger.generations.open("q", items(1), Options(source="1"))
    _end(ledger, "task-00000", "done")
    assert ledger.generations.open("q", items(1), Options(source="1")).generation == 1
    assert counts(ledger) == {"done": 1}


def test_live_claims_move_along_to_the_next_generation(ledger: Ledger) -> None:
    keep, drop = _changed(ledger)
    assert counts(ledger) == {"claimed": 1, "ready": 2}
    assert ledger.claims.heartbeat([keep.token, drop.token]) == [keep.token, drop.token]
    assert ledger.ends.finish(keep.token, "done", {}) == "done"
    assert ledger.ends.finish(drop.token, "done", {}) == "done", "work in hand may be reported"
    assert counts(ledger) == {"done": 1, "ready": 2}
    old = ledger.store.row("select no from queue where generation = 1")[0]
    told = dict(ledger.store.rows("select id, state from item where queue = ?", (old,)).fetchall())
    assert told == {"drop": "done", "gone": "cancelled", "done": "done"}


@pytest.mark.parametrize("end", ["release", "expire", "failed"])
def test_a_claim_of_a_replaced_list_that_ends_badly_is_not_left_open(
    ledger: Ledger, end: str
) -> None:
    _, drop = _changed(ledger)
    if end == "release":
        assert ledger.ends.release(drop.token) == "cancelled"
    elif end == "failed":
        assert ledger.ends.finish(drop.token, "failed", {"reason": "r"}) == "failed"
    else:
        ledger.store.change("update item set turn = turn - 1125899906842624 where id = 'drop'")
        assert ledger.ends.expire() == 1
    assert "drop" not in ledger.items.all_open()
    assert ledger.generations.open("other", [NewItem("drop")]).added == 1


def test_waiting_items_move_along_and_wait_for_what_they_need_now(ledger: Ledger) -> None:
    _graph(ledger, {"a": "", "b": "a", "c": "ax"}, source="1")
    _graph(ledger, {"a": "", "b": "a", "c": "a"}, source="2")
    assert counts(ledger) == {"ready": 1, "waiting": 2}
    _end(ledger, "a", "done")
    assert _ready(ledger) == "bc"


def test_what_a_new_list_leaves_out_no_longer_holds_others_up(ledger: Ledger) -> None:
    _graph(ledger, {"a": ""}, "first", source="1")
    _graph(ledger, {"b": "a"}, "second")
    _graph(ledger, {"z": ""}, "first", source="2")
    assert _ready(ledger, "second") == "b"


def test_a_pause_outlives_a_change_of_the_list(ledger: Ledger) -> None:
    ledger.generations.open("q", items(2), Options(source="1"))
    ledger.pauses.pause("q", "stop")
    ledger.generations.open("q", items(3), Options(source="2"))
    assert ledger.claims.claim("q", "w") == []
    ledger.pauses.resume("q")
    assert len(ledger.claims.claim("q", "w", 9)) == 3


def test_waiting_items_of_a_drained_queue_are_tried_again_with_what_they_wait_for(
    ledger: Ledger,
) -> None:
    _graph(ledger, {"a": "", "b": "a"}, max_attempts=1)
    _end(ledger, "a", "failed")
    _graph(ledger, {"a": "", "b": "a"})
    assert counts(ledger) == {"ready": 1, "waiting": 1}
    _end(ledger, "a", "done")
    _end(ledger, "b", "done")
    assert counts(ledger) == {"done": 2}


@pytest.mark.parametrize("name", ["", "-x", ".x", "a b", "a;b", "a/b", "$(x)", "ä", "x" * 101])
def test_a_queues_name_is_safe_in_a_command(ledger: Ledger, name: str) -> None:
    with pytest.raises(UsageError):
        ledger.generations.open(name, items(1))
    assert ledger.queues.all() == []


def test_an_unknown_queue_is_answered_with_those_that_there_are(ledger: Ledger) -> None:
    ledger.generations.open("docs", items(1))
    with pytest.raises(UsageError, match="queues here: docs"):
        ledger.claims.claim("dosc", "w")


def test_the_end_of_a_queue_is_told_by_all_eight_states(ledger: Ledger) -> None:
    _graph(ledger, dict.fromkeys("dbfscr", "") | {"w": "r"}, max_attempts=1)
    for item_id, outcome in zip("dbfs", ("done", "blocked", "failed", "skipped"), strict=True):
        _end(ledger, item_id, outcome)
    [claim] = ledger.claims.claim("q", "w", only="c")
    assert ledger.queues.stats("q") == {
        "waiting": 1,
        "ready": 1,
        "claimed": 1,
        "done": 1,
        "blocked": 1,
        "failed": 1,
        "skipped": 1,
        "cancelled": 0,
    }
    ledger.generations.cancel("q")
    assert sum(ledger.queues.stats("q").values()) == 7
    with pytest.raises(NotOwner):
        ledger.ends.finish(claim.token, "done", {})


@pytest.mark.parametrize("column", KEPT)
def test_a_queue_keeps_what_it_was_opened_with_until_that_is_named_otherwise(
    ledger: Ledger, column: str
) -> None:
    first, second = (7, 8) if column == "yes_up_to" else ('["x"]', '["y"]')
    _graph(ledger, {"a": ""}, **{column: first})
    if column != "purpose":
        _graph(ledger, {"b": ""})
    assert getattr(ledger.queues.get("q"), column) == first
    if KEPT[column]:
        with pytest.raises(UsageError, match=f"another {KEPT[column]}"):
            _graph(ledger, {"c": ""}, **{column: second})
    else:
        _graph(ledger, {"c": ""}, **{column: second})
        assert getattr(ledger.queues.get("q"), column) == second
