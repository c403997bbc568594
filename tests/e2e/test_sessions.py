"""Sessions that end in mid-batch, sessions that go on, and sessions beside each other."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

import pytest

from e2e.answers import Answer, bash, spawn, text, wait_command
from e2e.conversation import Conversation
from e2e.model import Model
from e2e.queue_scripts import REPOSITORY, by_the_book, lay_out, summary
from e2e.workspace import Workspace

pytestmark = pytest.mark.e2e


def claims(project: Path) -> list[tuple[str, str, str, str]]:
    """Return (queue, item, how the claim ended, session) of every claim, in order."""
    with sqlite3.connect(project / ".hypervisor/ledger.db") as ledger:
        return ledger.execute(
            "select q.name, i.id, c.outcome, c.session from claim c join item i on i.no = c.item "
            "join queue q on q.no = i.queue order by c.no"
        ).fetchall()


@pytest.mark.newest_client
@pytest.mark.parametrize(
    "how",
    [pytest.param(signal.SIGKILL, id="killed", marks=pytest.mark.thorough),
     pytest.param(signal.SIGTERM, id="ended")],
)  # fmt: skip
def test_a_batch_that_its_session_left_goes_on_in_the_next_one(
    workspace: Workspace, model: Model, home: str, how: signal.Signals
) -> None:
    tasks = lay_out(workspace.project / "tasks", 6)
    steady = by_the_book("left")

    def leave(c: Conversation) -> Answer:
        if not c.used("Bash"):
            return bash("hypervisor open left tasks")
        if not c.used("Agent"):
            return [spawn("hypervisor:worker", "queue left") for _ in range(2)]
        return text("they work")

    def stuck(c: Conversation) -> Answer:
        if len(c.used("Bash")) < 2:
            return steady(c)
        return bash(f"touch stuck-{c.agent}; {wait_command(300)}")

    model.main, model.worker = leave, stuck
    env = {"HYPERVISOR_HOME": home}
    first = workspace.headless("/hypervisor tasks", plugins=[REPOSITORY], env=env)
    model.wait(lambda _: len(list(workspace.project.glob("stuck-*"))) == 2)
    first.kill(how)
    workspace.send(signal.SIGKILL)

    def go_on(c: Conversation) -> Answer:
        steps = ("status", "resume left", "plan left")
        if len(c.used("Bash")) < len(steps):
            return bash(f"hypervisor {steps[len(c.used('Bash'))]}")
        if not c.used("Agent"):
            return [spawn("hypervisor:worker", "queue left") for _ in range(2)]
        if "hypervisor wait" in c.last and "has drained" not in c.last:
            return bash("hypervisor wait left --timeout 20")
        return text("heard: " + c.last[-300:])

    model.main, model.worker = go_on, steady
    second = workspace.run("/hypervisor:resume left", plugins=[REPOSITORY], env=env, mode="default")
    assert second.rc == 0, second.stderr
    told = summary(workspace.project, "left", home=home)
    assert told["counts"]["success"] == 6, told
    assert {(w["attempts"], w["deaths"]) for w in told["workers"]} == {(0, 0)}
    outcomes = [(item, outcome) for _, item, outcome, _ in claims(workspace.project)]
    assert len(outcomes) == 8
    assert sorted(item for item, outcome in outcomes if outcome == "done") == [
        path.stem for path in tasks
    ]
    assert sum(outcome in ("freed", "gone") for _, outcome in outcomes) == 2
    began = next(r for r in model.requests if r.conversation.session == second.session)
    assert "hypervisor: queue left: 4 of 6 items left" in began.conversation.text
    assert "4 items left" in "\n".join(model.of("")[-1].conversation.results)


@pytest.mark.newest_client
def test_two_sessions_on_overlapping_folders_share_no_item(
    workspace: Workspace, model: Model, home: str
) -> None:
    for number, folder in enumerate("abc"):
        for path in lay_out(workspace.project / folder, 4):
            body = path.read_text().replace("demo-000", f"demo-{folder}")
            path.write_text(body)
            path.rename(path.with_name(f"{number}-{path.name}"))
    queues = {"one": "a b", "two": "b c"}

    def main(c: Conversation) -> Answer:
        queue = "one" if "begin with one" in c.text else "two"
        if not c.used("Bash"):
            return bash(f"hypervisor open {queue} {queues[queue]}")
        if not c.used("Agent"):
            return [spawn("hypervisor:worker", f"queue {queue}") for _ in range(2)]
        return text("they work")

    def worker(c: Conversation) -> Answer:
        return by_the_book("one" if "queue one" in c.first else "two")(c)

    model.main, model.worker = main, worker
    env = {"HYPERVISOR_HOME": home}
    runs = [
        workspace.headless(f"/hypervisor begin with {queue}", plugins=[REPOSITORY], env=env)
        for queue in queues
    ]
    sessions = [run.wait().session for run in runs]
    made = claims(workspace.project)
    assert len({item for _, item, _, _ in made}) == len(made) == 12
    assert {outcome for _, _, outcome, _ in made} == {"done"}
    assert {session for *_, session in made} == set(sessions)
