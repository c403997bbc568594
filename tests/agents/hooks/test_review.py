"""A verdict that the user clicks in the client's question counts; what others say does not."""

from __future__ import annotations

import pytest

from agents.hooks.conftest import SESSION, Session
from hypervisor.cli import main
from hypervisor.ledger import Ledger


def clicks(session: Session, question: str, answer: str, *, agent: str = "") -> None:
    session.event(
        "PostToolUse",
        agent=agent,
        tool_name="AskUserQuestion",
        tool_input={"questions": []},
        tool_response={"questions": [], "answers": {question: answer}},
    )


def test_a_click_gives_the_verdict_that_it_says_on_the_item_that_it_names_once(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        session.reports(session.takes("a1"))
    reject = ["review", "q", "t-1", "--reject", "--note"]
    assert main(["review", "q", "t-0", "--accept"]) == 2
    clicks(session, "hypervisor review q t-0: is this right?", "Accept", agent="a1")
    assert main(["review", "q", "t-0", "--accept"]) == 2
    clicks(session, "`hypervisor review q t-0`: is this right?", "Accept")
    assert main(["review", "q", "t-1", "--accept"]) == 2
    assert main(["review", "q", "t-0", "--reject", "--note", "no"]) == 2
    assert main(["review", "q", "t-0", "--accept"]) == 0
    clicks(session, "hypervisor review q t-1: is this right?", "The colour is wrong")
    assert main([*reject, "it is bad"]) == 2
    assert main([*reject, "the colour is wrong"]) == 0
    clicks(session, "hypervisor review q t-2: is this right?", "Reject")
    assert main(["review", "q", "t-2", "--reject", "--note", "as the user said"]) == 0
    assert session.ledger.reviews.clicks(SESSION) == {}
    assert session.ledger.reviews.verdicts(session.ledger.queues.get("q").no) == {
        "accepted": 1, "rejected": 2,
    }  # fmt: skip


def test_a_verdict_is_no_yes_to_what_the_work_costs(session: Session) -> None:
    queue = session.ledger.queues.get("q")
    session.ledger.followers.follow(SESSION, "q")
    session.ledger.followers.note_asked(SESSION, queue.no)
    clicks(session, "hypervisor review q t-0: is this right?", "Accept")
    assert not session.ledger.followers.has_answered(SESSION, queue)
    clicks(session, "Go on?", "Yes")
    assert session.ledger.followers.has_answered(SESSION, queue)


def test_a_session_that_another_user_answers_has_no_verdict(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.reports(session.takes("a1"))
    clicks(session, "hypervisor review q t-0: is this right?", "Accept")
    monkeypatch.setenv("CLAUDE_CODE_SESSION_ID", "another")
    assert main(["review", "q", "t-0", "--accept"]) == 2
    with Ledger.open(str(session.root)) as ledger:
        assert ledger.reviews.verdicts(ledger.queues.get("q").no)["accepted"] == 0
