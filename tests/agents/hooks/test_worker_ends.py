"""Workers that hand back, that take too long, and that a person stops."""

from __future__ import annotations

import json

import pytest

from agents.hooks.conftest import SESSION, Session, text_of
from hypervisor import worker
from hypervisor.cli import main
from hypervisor.ledger import Claim

ALL_STOPPED = '2 background agents were stopped by the user: "worker 0", "worker 1".'


def hands_back(session: Session, agent: str, message: str = "all is fine") -> str | None:
    """A worker calls the tool that ends it; return why it may not, if it may not."""
    answer = session.event(
        "SubagentHandback",
        agent=agent,
        hook_event_name="PreToolUse",
        tool_name="SubagentHandback",
        tool_input={"message": message},
        tool_use_id="toolu_1",
    )
    if answer is None:
        return None
    told = answer["hookSpecificOutput"]
    assert (told["hookEventName"], told["permissionDecision"]) == ("PreToolUse", "deny")
    return str(told["permissionDecisionReason"])


def spawned(session: Session, agent: str, prompt: str = "queue q") -> None:
    """The session has started a worker."""
    session.event(
        "PostToolUse",
        tool_name="Agent",
        tool_input={"prompt": prompt, "subagent_type": "hypervisor:worker"},
        tool_response={"agentId": agent, "isAsync": True, "status": "async_launched"},
    )


def marked(session: Session, agent: str, **mark: bool) -> None:
    """The client writes down how an agent has ended."""
    meta = session.transcript_of(agent).with_suffix(".meta.json")
    meta.write_text(json.dumps({"agentType": "hypervisor:worker", "spawnDepth": 1, **mark}))


def unknown_claim(session: Session) -> Claim:
    """A worker is stopped in the middle of `hypervisor next`: no event tells who has claimed."""
    return worker.take(session.ledger, "q", "w")[0]


def is_free(session: Session, claim: Claim) -> bool:
    """True if the item of `claim` is ready again, at no cost."""
    row = session.item(claim)
    costs = row["attempts"], row["deaths"], row["releases"]
    return row["state"] == "ready" and costs == (0, 0, 0)


def plan_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    main(["plan", "q", *words])
    return capsys.readouterr().out


# --- hand-back


def test_a_worker_that_hands_back_with_an_item_is_sent_back_to_report_it(session: Session) -> None:
    claim = session.takes("a1")
    reason = hands_back(session, "a1")
    assert reason is not None and claim.token in reason and "hypervisor release" in reason
    session.reports(claim)
    assert hands_back(session, "a1") is None
    assert session.stops("a1") is None
    row = session.item(claim)
    assert (row["state"], row["attempts"], row["deaths"]) == ("done", 0, 0)


def test_it_is_asked_once_per_item_and_then_the_end_counts_as_one_without_a_report(
    session: Session,
) -> None:
    claim = session.takes("a1")
    assert hands_back(session, "a1") is not None
    assert hands_back(session, "a1", "I give up") is None
    assert session.stops("a1") is None
    row = session.item(claim)
    assert (row["state"], row["attempts"], row["deaths"]) == ("ready", 1, 0)
    body = (session.root / "tasks" / f"{claim.id}.md").read_text()
    assert "- Result: not confirmed" in body and "> I give up" in body


def test_others_hand_back_as_they_please(session: Session) -> None:
    session.takes("a1")
    assert hands_back(session, "a2") is None
    assert hands_back(session, "") is None


# --- what a worker may take for an item


def test_a_worker_in_a_loop_loses_its_item_after_so_many_calls_and_is_told(
    session: Session,
) -> None:
    session.ledger.terms.set_bounds("q", item_calls=5)
    claim = session.takes("a1")
    told = [
        session.event(
            "PostToolUse" if number % 2 else "PostToolUseFailure",
            agent="a1",
            tool_name="Bash",
            tool_input={"command": "true"},
            tool_response={"stdout": ""},
        )
        for number in range(6)
    ]
    assert [text_of(answer) != "" for answer in told] == [False] * 4 + [True, False]
    assert "no longer own" in text_of(told[4]) and "hypervisor next q" in text_of(told[4])
    assert told[4]["hookSpecificOutput"]["hookEventName"] == "PostToolUseFailure"  # type: ignore[index]
    row = session.item(claim)
    assert (row["state"], row["attempts"], row["deaths"]) == ("ready", 1, 0)
    assert "5 tool calls" in row["cause"]
    assert session.stops("a1") is None
    assert session.item(claim)["attempts"] == 1


def test_calls_are_counted_for_each_item_anew_and_not_for_the_session_itself(
    session: Session,
) -> None:
    session.ledger.terms.set_bounds("q", item_calls=3)
    for _ in range(3):
        claim = session.takes("a1")
        session.ran("a1", "true", "")
        session.reports(claim)
    mine = session.takes("")
    for _ in range(9):
        session.ran("", "true", "")
    assert session.ledger.queues.stats("q")["done"] == 3
    assert session.item(mine)["state"] == "claimed"


def test_the_last_attempt_that_takes_too_much_ends_the_item_with_the_cause_in_its_file(
    session: Session,
) -> None:
    session.ledger.terms.set_bounds("q", item_calls=1)
    with session.ledger.store.write():
        session.ledger.store.change("update queue set max_attempts = 1")
    claim = session.takes("a1")
    session.ran("a1", "true", "")
    assert session.item(claim)["state"] == "failed"
    assert "tool calls" in (session.root / "tasks" / f"{claim.id}.md").read_text()


def test_renewing_a_lease_does_not_get_a_worker_over_the_time_for_an_item(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    session.ledger.terms.set_bounds("q", item_ms=60_000)
    claim = session.takes("a1")
    assert claim.lease_seconds == 60
    row = session.ledger.store.row("select * from claim where token = ?", (claim.token,))
    with session.ledger.store.write():
        # 50 seconds later.
        session.ledger.store.change("update claim set ends_by = ends_by - 50000000")
    assert main(["heartbeat", claim.token]) == 0
    left = session.item(claim)["turn"] + (1 << 62) - session.ledger.store.engine.lease_clock()
    assert left <= 10_000_000
    with session.ledger.store.write():
        session.ledger.store.change("update claim set ends_by = ends_by - 10000000")
        session.ledger.store.change("update item set turn = turn - 10000000 where turn < 0")
    answer = session.event(
        "PostToolUse", agent="a1", tool_name="Read", tool_input={}, tool_response={}
    )
    assert "1 min that" in text_of(answer)
    assert row["agent"] == "a1"
    told = session.item(claim)
    assert (told["state"], told["attempts"], told["deaths"]) == ("ready", 1, 0)
    capsys.readouterr()
    assert main(["done", claim.token, "--summary", "late"]) == 4


# --- a person's stop


def test_all_agents_stopped_at_once_are_free_at_no_cost_and_the_session_starts_no_others(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    session.reports(session.takes("a0"))
    session.stops("a0", "ended one")
    held, unknown = session.takes("a1"), unknown_claim(session)
    spawned(session, "a2")
    for agent in ("a1", "a2"):
        marked(session, agent, stoppedByUser=True)
    told = text_of(session.event("UserPromptSubmit", prompt=ALL_STOPPED))
    assert "the user stopped its workers. Start no new ones" in told
    assert is_free(session, held) and is_free(session, unknown)
    assert session.turn_ends() is None  # it has heard
    out = plan_of(capsys)
    assert "Stop" in out and "Start none" in out and "/hypervisor:resume q" in out
    assert "Start 2" not in out and "Start 2" not in plan_of(capsys, "--go-on")
    session.event("UserPromptSubmit", prompt="/hypervisor:resume q")
    assert "Start 2 workers" in plan_of(capsys, "--go-on")
    assert "Start 2 workers" in plan_of(capsys)


def test_a_stop_of_which_nothing_tells_but_the_end_of_a_turn_is_one_too(session: Session) -> None:
    held, unknown = session.takes("a1"), unknown_claim(session)
    marked(session, "a1", stoppedByUser=True)
    assert "the user stopped" in text_of(session.turn_ends())
    assert is_free(session, held) and is_free(session, unknown)


def test_who_waits_or_watches_notices_a_stop_with_no_event_at_all(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    held = session.takes("a1")
    marked(session, "a1", stoppedByUser=True)
    assert main(["wait", "q", "--timeout", "20"]) == 5
    assert "the user stopped" in capsys.readouterr().out
    assert is_free(session, held)


@pytest.mark.parametrize("how", ["was stopped by user", "was stopped by Claude"])
def test_one_worker_that_is_stopped_costs_nothing_and_the_others_go_on(
    session: Session, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped, alive = session.takes("a1"), session.takes("a2")
    session.notice("a1", "killed", how)
    assert is_free(session, stopped)
    assert session.item(alive)["state"] == "claimed"
    assert "Start" not in plan_of(capsys)
    session.reports(alive)
    session.stops("a2")
    assert "Start none" in plan_of(capsys)
    assert main(["resume", "q"]) == 0
    assert "Start none" not in plan_of(capsys)


def test_a_claim_of_nobody_is_kept_while_a_worker_runs_that_may_be_its_own(
    session: Session,
) -> None:
    unknown = unknown_claim(session)
    session.turn_ends("a1")
    assert session.item(unknown)["state"] == "claimed"
    session.turn_ends()
    assert is_free(session, unknown)


def test_what_the_session_holds_itself_is_not_freed_at_the_end_of_its_turn(
    session: Session,
) -> None:
    mine = session.takes("")
    session.turn_ends()
    assert session.item(mine)["state"] == "claimed"


def test_a_worker_that_ends_without_a_word_is_still_a_death(session: Session) -> None:
    claim = session.takes("a1")
    marked(session, "a1", finished=True)
    session.turn_ends()
    assert (session.item(claim)["state"], session.item(claim)["deaths"]) == ("ready", 1)


def test_words_of_the_user_that_look_like_a_stop_end_nobody(session: Session) -> None:
    claim = session.takes("a1")
    session.event("UserPromptSubmit", prompt=ALL_STOPPED)
    assert session.item(claim)["state"] == "claimed"


# --- other ways in which a session is disturbed


def test_esc_in_a_wait_ends_no_worker_and_the_next_prompt_tells_what_has_ended(
    session: Session,
) -> None:
    # The client cuts the call off, and no event comes: neither of the tool nor of the turn.
    first, second = session.takes("a1"), session.takes("a2")
    session.reports(first)
    assert session.item(second)["state"] == "claimed"
    heard = text_of(session.event("UserPromptSubmit", prompt="what has become of it?"))
    assert first.id in heard and "1 of 6 items ended" in heard
    session.reports(second)
    assert session.ledger.queues.stats("q")["done"] == 2


def test_after_clear_the_new_session_has_the_workers_the_stop_and_the_news(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = session.takes("a1")
    session.event("SessionEnd", reason="clear")
    new = "99999999-2222-3333-4444-555555555555"
    session.event("SessionStart", source="clear", session_id=new)
    assert [row.token for row in session.ledger.sessions.held_by(new, "a1")] == [held.token]
    again = session.event(
        "SubagentStop",
        agent="a1",
        session_id=new,
        stop_hook_active=False,
        last_assistant_message="",
    )
    assert again is not None and again["decision"] == "block"
    marked(session, "a1", stoppedByUser=True)
    answer = session.event("UserPromptSubmit", prompt=ALL_STOPPED, session_id=new)
    assert "the user stopped its workers" in text_of(answer)
    assert is_free(session, held)
    assert session.ledger.followers.followed(SESSION) == []


def test_a_second_session_neither_ends_nor_stops_what_the_first_one_has_at_work(
    session: Session,
) -> None:
    held, unknown = session.takes("a1"), unknown_claim(session)
    other = "88888888-2222-3333-4444-555555555555"
    session.event("SessionStart", source="startup", session_id=other)
    session.event("UserPromptSubmit", prompt=ALL_STOPPED, session_id=other)
    tasks: list[object] = []
    session.event("Stop", stop_hook_active=False, background_tasks=tasks, session_id=other)
    session.event("SessionEnd", reason="prompt_input_exit", session_id=other)
    for claim in (held, unknown):
        assert session.item(claim)["state"] == "claimed"
    assert session.ledger.queues.get("q").stopped_at is None
    session.reports(held)
