"""Ways in which a session is disturbed in mid-batch, in manual mode, on the client's own screen:
nothing is lost, nothing is done twice, no dialog comes, and the user is told.

An unrelated prompt, a kill and a stop of all agents are in test_modes.py.
"""

from __future__ import annotations

import json
import signal
import time

import pytest

from e2e.answers import Answer, slow, text
from e2e.conversation import Conversation
from e2e.model import Model
from e2e.queue_scripts import QUEUE, REPOSITORY, ByPlan, by_the_book, edits
from e2e.ways import MANUAL, Sitting, Way
from e2e.workspace import Workspace

pytestmark = [pytest.mark.e2e, pytest.mark.newest_client]

BOOK = by_the_book(QUEUE)


@pytest.fixture
def way() -> Way:
    return Way(MANUAL, screen=True)


@pytest.fixture
def batch(sitting: Sitting) -> Sitting:
    """Five items; their workers edit them, and take their time."""
    sitting.lay_out(5)
    work = edits()
    sitting.model.worker = lambda c: slow(0.4, work(c))
    return sitting


def in_the_middle(batch: Sitting) -> None:
    """Wait until the first item is done, and the workers of the others hold one each."""
    batch.until(lambda: batch.done() >= 1 and batch.held() == 2)


def assert_all_is_well(batch: Sitting) -> None:
    """Everything is done once, with all rights, and told to the session; it cost nothing."""
    batch.assert_each_is_done_once()
    assert all("Renamed." in path.read_text() for path in batch.tasks)
    assert "drained, 5 items: 5 done" in batch.main.summary


def test_esc_ends_turns_of_the_session_and_not_its_batch(batch: Sitting) -> None:
    batch.begin()
    # It waits for the first item in the foreground.
    batch.until(lambda: batch.held() == 1 and "hypervisor wait" in asked_last(batch))
    batch.screen.key("Escape")
    batch.screen.wait_for("Interrupted")
    in_the_middle(batch)
    # And once more, in the turn of an unrelated question.
    going_on = batch.model.main
    batch.model.main = lambda c: slow(60, text("late")) if "AND WHAT" in c.last else going_on(c)
    batch.say("AND WHAT IS two and two?")
    batch.until(lambda: "AND WHAT" in batch.model.of("")[-1].conversation.last)
    time.sleep(0.5)
    batch.screen.key("Escape")
    # The client puts the question back into its input line.
    batch.screen.wait_for("❯ AND WHAT IS two and two\\?$")
    batch.screen.key("C-u")
    batch.model.main = going_on
    batch.until(batch.summed_up)
    batch.end()
    assert_all_is_well(batch)


def asked_last(batch: Sitting) -> str:
    return str(batch.model.of("")[-1].answer)


@pytest.mark.parametrize("command", ["/compact", "/clear"])
def test_a_new_context_of_the_session_takes_no_right_away_and_is_told(
    batch: Sitting, command: str
) -> None:
    batch.main = ByPlan(asides={"summary of the conversation": "<summary>a batch</summary>"})
    batch.model.main = batch.main
    batch.begin()
    in_the_middle(batch)
    before = len(batch.model.of(""))
    batch.say(command)
    batch.until(batch.summed_up)
    batch.end()
    assert_all_is_well(batch)
    # It is a new context indeed: what came behind it knows nothing of the opening.
    told = [request.conversation.text for request in batch.model.of("")[before:]]
    assert "items added" not in told[-1], told[-1][-2000:]
    assert f"queue {QUEUE} has drained" in told[-1]


def test_a_closed_terminal_and_the_same_conversation_continued(batch: Sitting) -> None:
    batch.begin()
    in_the_middle(batch)
    batch.screen.close_terminal()
    batch.until(lambda: not batch.workspace.processes())
    done = batch.done()
    assert done < 5
    goes_on = ByPlan("status", f"resume {QUEUE}", f"plan {QUEUE} --go-on")
    batch.main = batch.model.main = goes_on
    batch.begin(f"/hypervisor:resume {QUEUE}", args=["--continue"])
    batch.until(batch.summed_up)
    batch.end()
    assert_all_is_well(batch)
    # It is the same conversation, and was told where the batch stood.
    assert "items added" in batch.model.of("")[-1].conversation.text
    assert f"queue {QUEUE}: {5 - done} of 5 items left" in batch.heard()
    assert len({claimed.session for claimed in batch.claims()}) == 1


def test_a_sleep_past_the_lease(batch: Sitting) -> None:
    batch.lay_out(5, lease="10s")
    batch.begin()
    in_the_middle(batch)
    batch.workspace.send(signal.SIGSTOP)
    time.sleep(12)
    batch.workspace.send(signal.SIGCONT)
    batch.until(batch.summed_up)
    batch.end()
    # Who comes first after the waking says if a lease has run out: the watch, or the worker's word.
    lost = [claimed.item for claimed in batch.claims() if claimed.outcome == "expired"]
    assert len(set(lost)) == len(lost) <= 2
    assert_all_is_well(batch)


@pytest.mark.parametrize("how", ["update", "disable"])
def test_the_plugin_is_changed_under_a_session(batch: Sitting, how: str) -> None:
    copy = batch.workspace.install(REPOSITORY)
    batch.begin(plugins=())
    in_the_middle(batch)
    name = "hypervisor@hypervisor"
    if how == "update":
        for manifest in (copy / ".claude-plugin/plugin.json", copy / "plugin.json"):
            told = json.loads(manifest.read_text())
            manifest.write_text(json.dumps({**told, "version": "99.0.0"}))
        change(batch.workspace, "marketplace", "update", "hypervisor")
    change(batch.workspace, how, name)
    assert batch.done() < 5, "it came too late"
    batch.until(batch.summed_up)
    batch.end()
    assert_all_is_well(batch)
    listed = batch.workspace.cli("plugin", "list").stdout
    assert ("99.0.0" if how == "update" else "disabled") in listed, listed


def change(workspace: Workspace, *words: str) -> None:
    ran = workspace.cli("plugin", *words)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_second_session_on_the_same_batch(
    batch: Sitting, workspace: Workspace, model: Model, home: str, way: Way
) -> None:
    worker = model.worker
    other = Sitting(workspace, model, home, way)
    other.tasks, model.worker = batch.tasks, worker
    sessions: list[str] = []

    def main(c: Conversation) -> Answer:
        if c.session not in sessions:
            sessions.append(c.session)
        return (batch.main if c.session == sessions[0] else other.main)(c)

    model.main = main
    batch.begin()
    in_the_middle(batch)
    other.begin()
    other.until(lambda: len(sessions) == 2 and other.done() == 5)
    batch.until(batch.summed_up)
    # It has been told how the batch stood, and what became of it.
    other.until(lambda: "5 done" in other.main.summary or said(model, sessions[1]))
    batch.end()
    other.end()
    assert_all_is_well(batch)


def said(model: Model, session: str) -> bool:
    """Whether a session has been told that the queue has drained."""
    told = [r.conversation.text for r in model.of("") if r.conversation.session == session]
    return f"queue {QUEUE} has drained" in told[-1]
