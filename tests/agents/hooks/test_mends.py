"""A command that a hook tells an agent or a user to run does there what it says."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest

from agents.hooks.conftest import Session, text_of
from hypervisor.ledger import Ledger
from mends.typed import words_of
from worker.support import states, write_task

Run = Callable[..., subprocess.CompletedProcess[str]]


def holds_when_it_stops(session: Session) -> str:
    session.takes("a1")
    return str(session.stops("a1")["reason"])


def takes_too_much(session: Session) -> str:
    session.ledger.terms.set_bounds("q", item_calls=1)
    session.takes("a1")
    for _ in range(3):
        told = text_of(session.event("PostToolUse", agent="a1", tool_name="Read", tool_input={}))
        if told:
            return told
    raise AssertionError("nothing was said")


def limited_for_good(session: Session) -> str:
    session.takes("a1")
    session.event(
        "StopFailure",
        agent="a1",
        error="invalid_request",
        last_assistant_message="API Error: 400 This organization has been disabled.",
    )
    return text_of(session.turn_ends())


def stalls(session: Session) -> str:
    session.reports(session.takes("a1"))
    session.stops("a1")
    return text_of(session.turn_ends())


def all_are_missing(session: Session) -> str:
    session.reports(session.takes("a1"))
    session.stops("a1")
    for number in range(1, 6):
        (session.root / f"tasks/t-{number}.md").unlink()
    told = text_of(session.turn_ends())
    for number in range(1, 6):
        write_task(session.root, f"t-{number}")
    return told


WAITS = "agents/hooks/session.py: hypervisor wait {}"
PLANS = "views/news.py: hypervisor plan {}"
# See tests/mends.
TYPED = [
    (holds_when_it_stops, "agents/reconcile.py: hypervisor release {}", 0, "", "ready"),
    (takes_too_much, "agents/reconcile.py: hypervisor next {}", 0, "claim ", "ready"),
    (limited_for_good, "ledger/budget.py: hypervisor resume {}", 0, "", "ready"),
    (stalls, PLANS, 0, "Start ", "done"),
    (all_are_missing, PLANS, 0, "Start ", "done"),
    (all_are_missing, "views/news.py: hypervisor summary {}", 0, "5 not attempted", "done"),
]


@pytest.mark.parametrize(("situation", "printed", "code", "said", "first"), TYPED)
def test_a_command_that_a_hook_prints_does_what_it_says(
    session: Session,
    run_forked: Run,
    situation: Callable[[Session], str],
    printed: str,
    code: int,
    said: str,
    first: str,
) -> None:
    told = run_forked(*words_of(printed, situation(session))[1:])
    assert told.returncode == code, told
    assert said in told.stdout
    assert states(session.root)["t-0"] == first
    with Ledger.open(str(session.root)) as ledger:
        assert ledger.queues.get("q").state == "open"


def test_a_run_without_a_person_waits_with_the_printed_command_until_all_is_told(
    headless: Session, run_forked: Run
) -> None:
    claim = headless.takes("a1")
    waits = words_of(WAITS, text_of(headless.turn_ends("a1")))[1:]
    headless.reports(claim)
    headless.stops("a1")
    begun = time.monotonic()
    told = run_forked(*waits)
    assert time.monotonic() - begun < 5
    assert "1 of 6 items ended" in told.stdout
    assert "Start " in run_forked(*words_of(PLANS, told.stdout)[1:]).stdout
