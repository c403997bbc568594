"""Why a queue hands out nothing: what is known, and no guess."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor import worker
from hypervisor.agents import next_step
from hypervisor.config.settings import load
from hypervisor.ledger import Ledger, NewItem
from hypervisor.system.errors import UsageError
from hypervisor.worker import nothing_ready
from worker.support import open_queue, write_task


@pytest.fixture
def ledger(project: Path) -> Iterator[Ledger]:
    with Ledger.open(str(project), create=True) as opened:
        yield opened


def why(ledger: Ledger, queue: str = "q", **more: str) -> tuple[str, bool]:
    return worker.why_nothing(ledger, queue, **more)


def test_what_is_in_work_is_told_with_its_workers(ledger: Ledger) -> None:
    ledger.generations.open("q", [*(NewItem(name) for name in "abcde"), NewItem("z", after=["a"])])
    ledger.claims.claim("q", "w", 5)
    assert why(ledger) == (
        "nothing ready now; a is with w; b is with w; c is with w and 2 more with others; "
        "1 waits for other items",
        False,
    )
    assert why(ledger, only="z")[0].startswith("z is waiting; nothing ready now; ")
    with pytest.raises(UsageError, match="no item 'y' in queue q"):
        why(ledger, only="y")


def test_a_lock_is_told_by_what_stands_in_it_and_none_is_guessed(
    project: Path, ledger: Ledger
) -> None:
    for name in "abcdef":
        write_task(project, name)
    open_queue(project)
    folder = project / ".hypervisor/locks"
    (folder / "a").symlink_to("somebody@there")
    (folder / "b").mkdir()
    # What a crash of our own left keeps nobody from the item.
    (folder / "c").symlink_to(f"9-aaaa@{ledger.ledger_id}:host:1")
    ledger.claims.claim("q", "w", only="d")
    told = why(ledger, ready=", none taken")[0]
    assert told.startswith("nothing handed out; 3 ready, none taken; d is with w; ")
    assert "; a is locked by somebody@there since " in told
    assert "; b is locked by another tool (.hypervisor/locks/b) since " in told
    assert "c is" not in told and "e is" not in told
    assert why(ledger, only="d")[0].startswith("d is claimed; nothing handed out; 3 ready; ")
    for name in "ef":
        (folder / name).mkdir()
    assert worker.take(ledger, "q", "w", only="c")
    assert why(ledger)[0].endswith("; 1 more is locked")


def test_items_that_wait_at_rest_are_told_with_what_they_wait_for(ledger: Ledger) -> None:
    items = [NewItem("a"), NewItem("b", after=["a"]), NewItem("c", after=["b"])]
    ledger.generations.open("q", items)
    ledger.generations.open("other", [NewItem("far")])
    ledger.generations.open("q2", [NewItem("x"), NewItem("y", after=["far"])])
    [claim] = ledger.claims.claim("q", "w")
    ledger.ends.finish(claim.token, "blocked", {"reason": "no"})
    assert why(ledger) == ("nothing left; 2 wait for a (blocked)", True)
    step = next_step.plan(ledger, "q", load(ledger.root))
    assert (step["step"], step["why"]) == ("finished", "2 wait for a (blocked)")
    assert next_step.lines(step)[0] == (
        "queue q has nothing left to hand out (2 wait for a (blocked)): hypervisor summary q"
    )
    [claim] = ledger.claims.claim("q2", "w")
    ledger.ends.finish(claim.token, "done", {})
    assert why(ledger, "q2") == (
        "nothing left; 1 waits for far, which is ready in queue other",
        True,
    )
    ledger.claims.claim("other", "w")
    row = ledger.queues.get("q2")
    assert nothing_ready.awaited(ledger, row) == "far, which is claimed in queue other"


def test_a_pause_is_told_with_its_cause_and_a_cancelled_queue_as_that(ledger: Ledger) -> None:
    ledger.generations.open("q", [NewItem("a")])
    ledger.pauses.pause("q", "tired")
    assert why(ledger) == (
        "queue paused (tired): stop here; hypervisor resume q continues it",
        False,
    )
    ledger.generations.cancel("q")
    assert why(ledger) == ("nothing left; the queue was cancelled", True)


def test_the_last_of_an_agents_share_is_told_before_all_else(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.generations.open("q", [NewItem("a"), NewItem("b")])
    for name, value in (("POOL", "pool-1"), ("AGENT", "w-1"), ("ITEMS", "0")):
        monkeypatch.setenv(f"HYPERVISOR_{name}", value)
    assert why(ledger) == ("your share is done: stop here", False)
