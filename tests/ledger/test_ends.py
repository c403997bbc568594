"""How claims end, what that costs the item, and whom a token lets write."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from hypervisor.ledger import Ledger, NewItem, Options
from hypervisor.ledger.check import Check
from hypervisor.system.errors import HypervisorError, NotOwner, UsageError
from ledger.support import Child, content, counts, items, opened, result


def _one(ledger: Ledger, **options: Any) -> Any:
    ledger.generations.open("q", [NewItem("a", "tasks/a.md", title="A")], Options(**options))
    return ledger.claims.claim("q", "w")[0]


def test_a_claim_carries_what_its_item_and_queue_say(ledger: Ledger) -> None:
    item = NewItem("ä/1", "tasks/a.md", payload={"row": [1, "ü"]}, title="T", fingerprint="f")
    ledger.generations.open(
        "q", [item], Options(instructions="do it", verify="make test", lease_seconds=90)
    )
    [claim] = ledger.claims.claim("q", "w", 5)
    expected = {
        "attempt": 1,
        "deaths": 0,
        "fingerprint": "f",
        "id": "ä/1",
        "instructions": "do it",
        "lease_seconds": 90.0,
        "path": "tasks/a.md",
        "payload": {"row": [1, "ü"]},
        "plan": None,
        "queue": "q",
        "title": "T",
    }
    assert {name: getattr(claim, name) for name in expected} == expected
    assert claim.checks == [Check("check", "make test", [], [])]
    assert claim.token.startswith("1-") and len(claim.token) == 6


def test_items_are_handed_out_in_the_order_in_which_they_were_opened(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem(name) for name in "cab"])
    ledger.generations.open("q", [NewItem(name) for name in "zd"])
    assert [claim.id for claim in ledger.claims.claim("q", "w", 4)] == list("cabz")
    assert [claim.id for claim in ledger.claims.claim("q", "w", 4)] == ["d"]


@pytest.mark.parametrize("n", [0, -3])
def test_a_claim_of_no_items_changes_nothing(ledger: Ledger, n: int) -> None:
    ledger.generations.open("q", items(3))
    before = content(ledger)
    assert ledger.claims.claim("q", "w", n) == []
    assert content(ledger) == before


@pytest.mark.parametrize("outcome", ["done", "blocked", "failed", "skipped"])
def test_the_same_end_said_again_is_accepted_and_keeps_the_first_report(
    ledger: Ledger, outcome: str
) -> None:
    token = _one(ledger, max_attempts=1).token
    assert ledger.ends.finish(token, outcome, {"n": 1}) == outcome
    before = content(ledger)
    assert ledger.ends.finish(token, outcome, {"n": 2}) == outcome
    assert content(ledger) == before
    assert result(ledger, "a").report == {"n": 1}


@pytest.mark.parametrize("outcome", ["done", "blocked", "failed", "skipped"])
def test_another_end_after_the_first_is_refused_and_writes_nothing(
    ledger: Ledger, outcome: str
) -> None:
    token = _one(ledger, max_attempts=1).token
    ledger.ends.finish(token, outcome, {"n": 1})
    before = content(ledger)
    for other in {"done", "blocked", "failed", "skipped"} - {outcome}:
        with pytest.raises(NotOwner, match=f"was reported {outcome}") as error:
            ledger.ends.finish(token, other, {})
        assert error.value.exit_code == 4
    with pytest.raises(NotOwner):
        ledger.ends.release(token)
    assert ledger.claims.heartbeat([token]) == []
    assert ledger.claims.store_plans({token: "plan"}) == []
    assert content(ledger) == before


def test_a_failed_end_said_again_is_accepted_while_another_works_on_the_item(
    ledger: Ledger,
) -> None:
    token = _one(ledger).token
    assert ledger.ends.finish(token, "failed", {"n": 1}) == "ready"
    [again] = ledger.claims.claim("q", "w2")
    assert ledger.ends.finish(token, "failed", {"n": 1}) == "claimed"
    assert result(ledger, "a").attempts == 1
    with pytest.raises(NotOwner):
        ledger.ends.finish(token, "done", {})
    assert ledger.ends.finish(again.token, "done", {}) == "done"


@pytest.mark.parametrize(
    "token",
    ["", "-", "1", "1-", "-abcd", "x-abcd", "1-abcd", "2-%s", "01-%s", "9" * 30 + "-%s", "١-%s"],
)
def test_a_mistyped_token_names_no_claim(ledger: Ledger, token: str) -> None:
    good = _one(ledger).token
    letters = good.split("-")[1]
    assert letters != "abcd"
    wrong = token.replace("%s", letters)
    before = content(ledger)
    for verb in (
        lambda: ledger.ends.finish(wrong, "done", {}),
        lambda: ledger.ends.release(wrong),
        lambda: ledger.ends.holding(wrong),
    ):
        with pytest.raises(NotOwner):
            verb()
    assert content(ledger) == before
    assert ledger.claims.heartbeat([wrong, good]) == [good], (
        "one odd token must not stop the others"
    )
    assert ledger.claims.store_plans({wrong: "p", good: "p"}) == [good]
    assert ledger.ends.finish_many([(wrong, "done", {}), (good, "done", {})]) == [None, "done"]


def test_an_outcome_that_is_none_is_refused_before_anything_is_written(ledger: Ledger) -> None:
    token = _one(ledger).token
    before = content(ledger)
    with pytest.raises(ValueError, match="cancelled"):
        ledger.ends.finish_many([(token, "done", {}), (token, "cancelled", {})])
    assert content(ledger) == before


def test_an_item_whose_workers_die_three_times_fails_with_the_cause(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem("a", "tasks/a.md")])
    for deaths in range(3):
        assert result(ledger, "a").deaths == deaths
        [claim] = ledger.claims.claim("q", "w")
        ledger.ends.end(claim.token, "died", "killed")
    row = result(ledger, "a")
    assert (row.state, row.deaths, row.attempts) == ("failed", 3, 0)
    assert row.cause == "3 workers died while they held it; the last: killed"
    assert [pending.id for pending in ledger.outbox.pending()] == ["a"], (
        "it is told in the file too"
    )
    assert ledger.claims.claim("q", "w") == [] and ledger.queues.drained("q")


def test_an_item_given_back_three_times_fails_with_the_last_reason(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem("a")])
    for state in ("ready", "ready", "failed"):
        [claim] = ledger.claims.claim("q", "w")
        assert ledger.ends.release(claim.token, reason="too hard") == state
    assert result(ledger, "a").cause == "3 workers gave it back; the last: too hard"


def test_three_failed_attempts_end_the_item_with_the_last_report(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem("a")])
    for attempt, state in enumerate(("ready", "ready", "failed"), 1):
        [claim] = ledger.claims.claim("q", "w")
        assert claim.attempt == attempt
        assert ledger.ends.finish(claim.token, "failed", {"reason": f"no {attempt}"}) == state
    row = result(ledger, "a")
    assert (row.attempts, row.report, row.cause) == (3, {"reason": "no 3"}, None)


def test_ends_without_a_report_use_an_attempt_each(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem("a")], Options(max_attempts=2))
    for state in ("ready", "failed"):
        [claim] = ledger.claims.claim("q", "w")
        assert ledger.ends.end(claim.token, "unreported") == state
    assert result(ledger, "a").cause == "2 workers stopped without a report"


def test_free_ends_cost_nothing_and_keep_the_items_place(ledger: Ledger) -> None:
    ledger.generations.open("q", items(2))
    for _ in range(10):
        [claim] = ledger.claims.claim("q", "w")
        assert claim.id == "task-00000"
        assert ledger.ends.release(claim.token, free=True) == "ready"
    row = result(ledger, "task-00000")
    assert (row.attempts, row.deaths, row.releases) == (0, 0, 0)


def test_an_item_that_cost_something_goes_behind_all_others(ledger: Ledger) -> None:
    ledger.generations.open("q", items(3))
    ledger.ends.release(ledger.claims.claim("q", "w")[0].token)
    assert [claim.id[-1] for claim in ledger.claims.claim("q", "w", 3)] == ["1", "2", "0"]


def test_ending_a_worker_ends_all_that_it_holds_and_nothing_else(ledger: Ledger) -> None:
    ledger.generations.open("q", items(5))
    ledger.claims.claim("q", "gone", 2)
    [kept] = ledger.claims.claim("q", "other")
    assert ledger.ends.end_worker("gone", "died", "killed") == ["task-00000", "task-00001"]
    assert counts(ledger) == {"ready": 4, "claimed": 1}
    assert ledger.claims.heartbeat([kept.token]) == [kept.token]


def test_a_heartbeat_keeps_a_claim_over_its_lease(ledger: Ledger) -> None:
    ledger.generations.open("q", items(2))
    [kept] = ledger.claims.claim("q", "w", lease_seconds=0.4)
    [lost] = ledger.claims.claim("q", "w", lease_seconds=0.4)
    for _ in range(6):
        time.sleep(0.1)
        assert ledger.claims.heartbeat([kept.token]) == [kept.token]
    assert ledger.ends.expire() == 1
    assert ledger.ends.finish(kept.token, "done", {}) == "done"
    assert ledger.claims.claim("q", "another")[0].id == lost.id
    with pytest.raises(NotOwner, match="ran out of its lease"):
        ledger.ends.finish(lost.token, "done", {})


def _stop_with_a_claim(root: str) -> list[str]:
    with opened(root) as ledger:
        [claim] = ledger.claims.claim("q", "sleeper", lease_seconds=0.5)
        ledger.claims.store_plans({claim.token: "mine"})
        os.kill(os.getpid(), signal.SIGSTOP)
        told = []
        for verb in (
            lambda: ledger.ends.finish(claim.token, "done", {"late": True}),
            lambda: ledger.ends.release(claim.token),
            lambda: ledger.ends.end(claim.token, "died"),
            lambda: ledger.ends.holding(claim.token),
        ):
            try:
                told.append(str(verb()))
            except NotOwner as error:
                told.append(f"NotOwner {error.exit_code}")
        told.append(str(ledger.claims.heartbeat([claim.token])))
        told.append(str(ledger.claims.store_plans({claim.token: "late"})))
        told.append(str(ledger.ends.finish_many([(claim.token, "done", {})])))
        return told


def test_a_worker_whose_item_is_another_s_by_now_can_write_nothing_when_it_goes_on(
    root: str, ledger: Ledger
) -> None:
    ledger.generations.open("q", items(1))
    child = Child(_stop_with_a_claim, root)
    os.waitpid(child.pid, os.WUNTRACED)
    time.sleep(0.55)
    [claim] = ledger.claims.claim("q", "w")
    assert claim.plan == "mine", "the next worker sees what the late one had planned"
    before = content(ledger)
    os.kill(child.pid, signal.SIGCONT)
    assert child.result() == ["NotOwner 4"] * 4 + ["[]", "[]", "[None]"]
    assert content(ledger) == before
    assert ledger.ends.finish(claim.token, "done", {"late": False}) == "done"
    assert result(ledger, "task-00000").report == {"late": False}


def test_what_a_lost_claim_is_told_names_the_cause_and_the_next_command(ledger: Ledger) -> None:
    token = _one(ledger).token
    ledger.ends.release(token)
    with pytest.raises(NotOwner) as error:
        ledger.ends.finish(token, "done", {})
    assert str(error.value) == (
        f"you no longer own this: claim {token} was given back, and its item is ready; "
        "nothing was written; continue with: hypervisor next q --id a"
    )


def test_a_report_that_is_pending_stays_so_until_it_is_written(ledger: Ledger) -> None:
    token = _one(ledger).token
    ledger.ends.finish(token, "done", {"summary": "s"}, pending=True)
    [row] = ledger.outbox.pending()
    assert (row.id, row.token, row.worker, row.pending) == ("a", token, "w", "report")
    ledger.outbox.unwritten(token, "read-only")
    ledger.outbox.written("1-zzzz")
    assert [row.pending for row in ledger.outbox.pending()] == ["read-only"]
    ledger.outbox.written(token)
    ledger.outbox.unwritten(token, "too late")
    assert ledger.outbox.pending() == []


def test_a_paused_queue_hands_out_nothing_but_takes_reports(ledger: Ledger) -> None:
    ledger.generations.open("q", items(2))
    [claim] = ledger.claims.claim("q", "w")
    ledger.pauses.pause("q", "lunch")
    ledger.pauses.pause("q", "lunch")
    assert ledger.claims.claim("q", "w") == []
    assert ledger.ends.finish(claim.token, "done", {}) == "done"
    assert not ledger.queues.drained("q")
    ledger.pauses.resume("q")
    assert len(ledger.claims.claim("q", "w")) == 1


def test_a_cancelled_queue_ends_its_items_and_refuses_late_reports(ledger: Ledger) -> None:
    ledger.generations.open("q", [*items(3), NewItem("last", after=["task-00000"])])
    done, held = ledger.claims.claim("q", "w", 2)
    ledger.ends.finish(done.token, "done", {})
    assert ledger.generations.cancel("q", "enough") == 3
    assert counts(ledger) == {"done": 1, "cancelled": 3}
    before = content(ledger)
    with pytest.raises(NotOwner, match="ended when the queue was cancelled"):
        ledger.ends.finish(held.token, "done", {})
    assert content(ledger) == before
    assert ledger.claims.claim("q", "w") == []
    assert os.listdir(os.path.join(ledger.root, ".hypervisor", "locks")) == []
    with pytest.raises(UsageError, match="is cancelled"):
        ledger.pauses.resume("q")


def test_tokens_grow_and_none_is_used_twice(ledger: Ledger) -> None:
    ledger.generations.open("q", items(20), Options(max_releases=99))
    seen: list[str] = []
    for _ in range(10):
        claims = ledger.claims.claim("q", "w", 3)
        seen += [claim.token for claim in claims]
        for claim in claims:
            ledger.ends.release(claim.token)
    numbers = [int(token.split("-")[0]) for token in seen]
    assert numbers == sorted(set(numbers)) and len(numbers) == 30
    assert len({token.split("-")[1] for token in seen}) > 25


def test_results_since_tells_each_end_once_and_in_order(ledger: Ledger) -> None:
    ledger.generations.open("q", items(9))
    told, last = [], 1
    for claim in ledger.claims.claim("q", "w", 6):
        ledger.ends.finish(claim.token, "done", {"of": claim.id})
        for row in ledger.queries.results("q", since=last):
            told.append(row.report["of"])
            last = row.finish_no
    assert told == [f"task-0000{number}" for number in range(6)]
    ledger.generations.cancel("q")
    assert [row.state for row in ledger.queries.results("q", since=last)] == ["cancelled"] * 3


def test_an_id_that_the_store_cannot_hold_is_refused_with_the_ledger_untouched(
    ledger: Ledger,
) -> None:
    ledger.generations.open("q", items(1))
    before = content(ledger)
    with pytest.raises(HypervisorError, match=r"not UTF-8"):
        ledger.generations.open("q", [NewItem("fine"), NewItem("bad\udcff")])
    assert content(ledger) == before
    assert ledger.claims.claim("q", "w")


def test_a_report_with_bytes_that_are_no_text_is_accepted(ledger: Ledger) -> None:
    token = _one(ledger).token
    assert ledger.ends.finish(token, "done", {"summary": "caf\udcc3 é \0 ok"}) == "done"
    assert result(ledger, "a").report == {"summary": "caf\ufffd é \0 ok"}


def test_many_items_are_retried_in_steps_between_which_others_write(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem(f"i{n}") for n in range(450)], Options(max_attempts=1))
    claims = ledger.claims.claim("q", "w", 450)
    for claim in claims:
        ledger.ends.finish(claim.token, "failed", {"reason": "no"})
    steps: list[int] = []
    change, write = ledger.store.change, ledger.store.write

    def counted(sql: str, values: Any = ()) -> int:
        steps[-1] += sql.startswith("update item set state")
        return change(sql, values)

    def begun(durable: bool = False) -> Any:
        steps.append(0)
        return write(durable)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger.store, "change", counted)
        patch.setattr(ledger.store, "write", begun)
        assert ledger.retries.retry("q", [claim.id for claim in claims]) == []
    assert sum(steps) == 450 and max(steps) <= 100
    assert counts(ledger) == {"ready": 450}
    assert [claim.id for claim in ledger.claims.claim("q", "w", 3)] == ["i0", "i1", "i2"]


def test_what_is_open_in_another_queue_is_not_retried(ledger: Ledger) -> None:
    claim = _one(ledger, max_attempts=1)
    ledger.ends.finish(claim.token, "failed", {"reason": "no"})
    ledger.generations.open("other", [NewItem("a")])
    assert ledger.retries.retry("q", ["a"]) == [("a", "it is open in queue other")]
