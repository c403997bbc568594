"""Limits of the service in a session: what is paused until when, and that it goes on by itself."""

from __future__ import annotations

import json
import os
import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from agents.hooks.conftest import SESSION, Session, text_of
from agents.hooks.test_monitor import Watch, watches
from hypervisor.agents import reconcile
from hypervisor.cli import main
from hypervisor.ledger import Ledger

__all__ = ["watches"]

SAID = "You've hit your session limit · resets {:%-I:%M%p} (UTC)"
NAMED = (
    "Agent terminated early due to an API error: {} (error type rate_limit, HTTP 429, model sent "
    "to the API: claude-haiku-4-5)"
)


IN_TWO_HOURS = "in (?:2 h|1 h 59 min)"


def ends_in_two_hours() -> tuple[str, float]:
    """Return what the client says of a limit, and when it really ends."""
    at = float(int(time.time()) + 7200)
    return SAID.format(datetime.fromtimestamp(at, UTC)), at


def writes(session: Session, agent: str, said: str, at: float | None) -> None:
    """The client notes a worker's error: the newer ones with the second at which the limit ends."""
    row: dict[str, Any] = {
        "type": "assistant",
        "message": {"model": "<synthetic>", "content": [{"type": "text", "text": said}]},
        "error": "rate_limit",
        "apiErrorStatus": 429,
        "timestamp": datetime.now(UTC).isoformat(),
    }
    if at is not None:
        row["quotaLimits"] = {"status": "rejected", "resetsAt": at}
    session.transcript_of(agent).write_text(json.dumps(row))


def stands(session: Session) -> tuple[str, float | None]:
    row = session.ledger.queues.get("q")
    return row.state, row.resume_at


@pytest.mark.parametrize("way", ["StopFailure", "notice", "old notice", "Stop", "mark"])
@pytest.mark.parametrize("newer", [True, False])
def test_a_limit_pauses_until_its_reset_whatever_tells_of_it(
    session: Session, way: str, newer: bool
) -> None:
    claim = session.takes("a1")
    said, at = ends_in_two_hours()
    writes(session, "a1", said, at if newer else None)
    if way == "StopFailure":
        session.event("StopFailure", agent="a1", error="rate_limit", last_assistant_message=said)
    elif way == "notice":
        session.notice("a1", "failed", NAMED.format(said))
    elif way == "old notice":
        session.notice("a1", "completed", "finished")
    elif way == "Stop":
        session.turn_ends()
    else:
        # No hook is called at all: the client's mark beside the transcript is left.
        meta = session.transcript_of("a1").with_suffix(".meta.json")
        meta.write_text('{"finished": true}')
        long_ago = session.item(claim)["first_claimed_at"] - 60
        with session.ledger.store.write():
            session.ledger.store.change("update claim set claimed_at = ?", (long_ago,))
        os.utime(meta, (time.time() - 5, time.time() - 5))
        reconcile.finished(session.ledger, SESSION)
    item = session.item(claim)
    assert (item["state"], item["attempts"], item["deaths"]) == ("ready", 0, 0)
    state, until = stands(session)
    # The words tell the minute, cut off.
    assert state == "paused" and until in (at, at - at % 60)


def test_news_of_a_limit_that_has_ended_pauses_nothing(session: Session) -> None:
    claim = session.takes("a1")
    said = "You've hit your session limit"
    writes(session, "a1", said, time.time() + 0.5)
    time.sleep(0.6)
    session.notice("a1", "failed", NAMED.format(said))
    assert stands(session) == ("open", None)
    assert session.item(claim)["deaths"] == 0 and session.item(claim)["state"] == "ready"


def test_words_of_a_limit_in_another_error_pause_nothing(session: Session) -> None:
    claim = session.takes("a1")
    said = "API Error: 400 prompt is too long: usage limit reached|1900000000 quota 429"
    session.event("StopFailure", agent="a1", error="invalid_request", last_assistant_message=said)
    assert stands(session) == ("open", None)
    assert session.item(claim)["deaths"] == 1


def test_an_organisation_s_limit_waits_for_a_person(session: Session) -> None:
    claim = session.takes("a1")
    session.event(
        "StopFailure",
        agent="a1",
        error="invalid_request",
        last_assistant_message="API Error: 400 This organization has been disabled.",
    )
    assert stands(session) == ("paused", None)
    assert session.item(claim)["deaths"] == 0
    told = text_of(session.turn_ends())
    assert "continue with: hypervisor resume q" in told and "organization has been disabled" in told


def test_a_service_that_stays_overloaded_is_asked_less_and_less(session: Session) -> None:
    waits = []
    for _ in range(3):
        session.takes("a1")
        session.event(
            "StopFailure", agent="a1", error="overloaded", last_assistant_message="API Error: 529"
        )
        waits.append(round((stands(session)[1] or 0) - time.time()))
        session.ledger.pauses.resume("q")
    assert waits == pytest.approx([60, 120, 240], abs=5)


def test_the_plan_and_the_status_say_until_when_and_who_goes_on(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    session.takes("a1")
    said, at = ends_in_two_hours()
    writes(session, "a1", said, at)
    session.event("StopFailure", agent="a1", error="rate_limit", last_assistant_message=said)
    # With the day, where it is another one by then.
    clock = "(?:[0-9-]{10} )?" + time.strftime("%H:%M", time.localtime(at))
    assert re.search(rf"is paused until {clock} \({IN_TWO_HOURS}\)", text_of(session.turn_ends()))
    assert main(["plan", "q"]) == 0
    told = capsys.readouterr().out
    assert re.search(
        rf"until {clock} \({IN_TWO_HOURS}\): rate limit: You've hit your session limit", told
    )
    assert "hypervisor work q --agent claude" in told
    assert main(["next", "q"]) == 0
    assert re.search(f"stop here; it continues by itself at {clock}", capsys.readouterr().out)
    main(["status", "q"])
    assert "its session or pool continues" in capsys.readouterr().out
    session.event("SessionEnd", reason="other")
    with session.ledger.store.write():
        session.ledger.store.change("delete from session")
    main(["status", "q"])
    told = capsys.readouterr().out
    assert re.search(
        rf"at {clock} \({IN_TWO_HOURS}\), but nobody is waiting for that\n    hypervisor work q",
        told,
    )


def limit_for(session: Session, seconds: float) -> None:
    """A worker that holds an item meets a limit that ends so soon."""
    session.takes("a1")
    writes(session, "a1", "You've hit your session limit", time.time() + seconds)
    session.event(
        "StopFailure",
        agent="a1",
        error="rate_limit",
        last_assistant_message="You've hit your session limit",
    )


def test_the_watch_has_the_session_go_on_at_the_reset_and_says_it_once(
    session: Session, watches: list[Watch], capsys: pytest.CaptureFixture[str]
) -> None:
    limit_for(session, 4)
    assert "is paused until" in text_of(session.turn_ends())
    end = time.monotonic() + 20
    while not any(watch.lines(0) for watch in watches) and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(3)
    lines = [line for watch in watches for line in watch.lines(0)]
    assert lines == [
        "hypervisor: queue q goes on: its limit has reset, 6 left and nobody at work; "
        "run now: hypervisor plan q; 5 ready, 1 to be tried again"
    ]
    heard = text_of(session.event("UserPromptSubmit", prompt=f"<event>{lines[0]}</event>"))
    assert "run now: hypervisor plan q" in heard
    assert main(["plan", "q"]) == 0
    assert "Start one worker" in capsys.readouterr().out
    time.sleep(3)
    # It has been told, and has planned: nobody urges it.
    assert len([line for watch in watches for line in watch.lines(0)]) == 1
    assert session.takes("a2")


def test_a_yes_that_was_given_before_the_limit_holds_after_it(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    (session.root / "hypervisor.toml").write_text("[limits]\nask_above = 2\n")
    session.reports(session.takes("a0"))
    main(["plan", "q"])
    assert "Ask the user" in capsys.readouterr().out
    session.event("UserPromptSubmit", prompt="yes")
    main(["plan", "q", "--go-on"])
    limit_for(session, 1000)
    with session.ledger.store.write():
        session.ledger.store.change("update queue set resume_at = ?", (time.time() - 1,))
    main(["plan", "q"])
    told = capsys.readouterr().out
    assert "Start 2 workers" in told and "Ask the user" not in told
    assert "How much of the usage limits is left can't be known here" in told


def test_a_wait_lasts_over_a_pause_that_ends_soon(
    headless: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ledger.open(str(headless.root)) as ledger:
        ledger.pauses.limit("q", "overloaded: 529", time.time() + 2)
    begin = time.monotonic()
    main(["wait", "q", "--timeout", "30"])
    assert 1 < time.monotonic() - begin < 25
    assert "goes on: its limit has reset" in capsys.readouterr().out
    with Ledger.open(str(headless.root)) as ledger:
        ledger.pauses.limit("q", "rate limit: x", time.time() + 5000)
    main(["wait", "q", "--timeout", "30"])
    assert "is paused until" in capsys.readouterr().out
