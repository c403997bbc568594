"""What a session and its workers get done without the user's yes, in the modes that people use."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from e2e.answers import Answer, ToolCall, bash, spawn, text, tool
from e2e.conversation import Conversation
from e2e.model import Model
from e2e.queue_scripts import REPOSITORY, done, hypervisor, lay_out, summary
from e2e.session import Interactive
from e2e.workspace import Workspace

pytestmark = [pytest.mark.e2e]

REFUSED = re.compile(
    r"is not for a worker|plainly, as they were printed|in a terminal of their own"
    r"|denied"
)


@pytest.mark.newest_client
def test_a_worker_that_was_talked_into_it_gets_nothing_done_whatever_way_it_writes_it(
    workspace: Workspace, model: Model, tmp_path: Path, home: str
) -> None:
    project, outside = workspace.project, tmp_path / "outside"
    outside.mkdir()
    lay_out(project / "tasks", 1)
    lay_out(project / "other", 1)[0].rename(project / "other/zz.md")
    (project / "other/zz.md").write_text("---\nid: zz\ntitle: z\nstatus: active\n---\nz\n")
    victim = ended_before(project, home)
    # The user has allowed the program as a whole, and other shells: the plugin alone stands guard.
    workspace.settings({"permissions": {"allow": ["Bash(hypervisor:*)", "Bash(bash:*)", "Bash"]}})
    program = REPOSITORY / "bin/hypervisor"
    wanted = [
        bash("hypervisor open evil other --verify 'touch ran-by-verify'"),
        bash("hypervisor open evil other"),
        bash("hypervisor check inbox 'touch ran-by-check'"),
        bash("hypervisor allow inbox 'touch'"),
        bash("hypervisor work inbox --agent command --workers 1 -- touch ran-by-work"),
        bash("hypervisor cancel inbox"),
        bash("cd . && hypervisor cancel inbox"),
        bash("A=b env hypervisor cancel inbox"),
        bash(f"{program} cancel inbox"),
        bash("bash -c 'hypervisor cancel inbox'"),
        bash("echo $(hypervisor cancel inbox)"),
        bash("true\nhypervisor cancel inbox"),
        bash("v=cancel; hypervisor $v inbox"),
        bash("hypervisor adopt --yes"),
        bash("hypervisor undo earlier"),
        bash(f"hypervisor report inbox --output {outside}/page.html"),
        bash("hypervisor move sqlite postgresql://127.0.0.1:1/x"),
        bash("hypervisor retry earlier"),
        tool("Write", {"file_path": str(outside / "written.txt"), "content": "by a worker"}),
    ]
    told = tempted(model, wanted)
    run = workspace.run(
        "/hypervisor tasks", plugins=[REPOSITORY], mode="default", env={"HYPERVISOR_HOME": home}
    )
    assert run.rc == 0, run.stderr
    assert len(told) == len(wanted)
    for call, answer in zip(wanted, told, strict=True):
        assert REFUSED.search(answer), (call, answer)
    assert list(outside.iterdir()) == []
    assert list(project.glob("ran-by-*")) == []
    assert "did earlier" in victim.read_text()
    status = json.loads(hypervisor(project, "status", "--json", home=home).stdout)
    assert {queue["queue"] for queue in status["queues"]} == {"inbox", "earlier"}
    # Its own work goes on as before.
    assert summary(project, "inbox", home=home)["counts"]["success"] == 1
    shown = hypervisor(project, "check", "inbox", home=home)
    assert "has no check" in shown.stdout


@pytest.mark.often
@pytest.mark.modes
def test_the_user_is_asked_once_with_the_command_in_sight(
    workspace: Workspace, model: Model, home: str, mode: str
) -> None:
    project = workspace.project
    lay_out(project / "tasks", 1)
    steps = [
        "hypervisor open inbox tasks --verify 'test -e first'",
        "hypervisor open inbox tasks",
        "hypervisor check inbox 'test -e second'",
        "hypervisor allow inbox 'make all'",
        "hypervisor status inbox",
    ]

    def main(c: Conversation) -> Answer:
        at = len(c.used("Bash"))
        return bash(steps[at]) if at < len(steps) else text("THAT WAS ALL")

    model.main = main
    session = workspace.interactive(plugins=[REPOSITORY], mode=mode, env={"HYPERVISOR_HOME": home})
    session.submit("/hypervisor tasks")
    shown = dialog(session)
    assert "hypervisor check inbox 'test -e second'" in shown
    assert "is for the user to decide" in shown
    session.enter()
    shown = dialog(session, other=shown)
    assert "hypervisor allow inbox 'make all'" in shown
    session.key("Escape")
    model.wait(lambda m: len(m.requests) >= 4)
    time.sleep(1)
    session.exit()
    results = [result for request in model.of("") for result in request.conversation.results[-1:]]
    assert "hypervisor check inbox 'test -e first'" in results[0] and "asks the user" in results[0]
    assert "before an item of inbox is done: test -e second" in results[2]
    assert "test -e second" in hypervisor(project, "check", "inbox", home=home).stdout
    assert "no commands" in hypervisor(project, "allow", "inbox", home=home).stdout


@pytest.mark.newest_client
@pytest.mark.parametrize("mode", ["plan"])
def test_in_plan_mode_what_would_change_something_is_refused_in_one_line(
    workspace: Workspace, model: Model, home: str, mode: str
) -> None:
    lay_out(workspace.project / "tasks", 1)
    steps = ["hypervisor preflight tasks", "hypervisor open inbox tasks", "hypervisor cancel inbox"]

    def main(c: Conversation) -> Answer:
        at = len(c.used("Bash"))
        return bash(steps[at]) if at < len(steps) else text("planned")

    model.main = main
    run = workspace.run(
        "/hypervisor tasks", plugins=[REPOSITORY], mode=mode, env={"HYPERVISOR_HOME": home}
    )
    assert run.rc == 0, run.stderr
    seen, opened, cancelled = model.of("")[-1].conversation.results
    assert "1 ready" in seen
    for verb, told in (("open", opened), ("cancel", cancelled)):
        assert f"plan mode: hypervisor {verb} would change something" in told
        assert len(told.strip().splitlines()) == 1
    assert not (workspace.project / ".hypervisor").exists()


def ended_before(project: Path, home: str) -> Path:
    """A queue `earlier` that has ended, and the file that its undo would take back."""
    path = project / "victim/v.md"
    path.parent.mkdir()
    path.write_text("---\nid: v\ntitle: v\nstatus: active\n---\nv\n")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        ran = hypervisor(project, *words, home=home)
        assert ran.returncode == 0, ran.stderr
        return ran

    run("open", "earlier", "victim")
    token = run("next", "earlier").stdout.split()[1]
    run("done", token, "--summary", "did earlier")
    assert "did earlier" in path.read_text()
    return path


def tempted(model: Model, wanted: list[ToolCall]) -> list[str]:
    """Have the one worker try each call, reading a file between two, and then end its item. Return
    the list that the answers to these calls will be in."""
    told: list[str] = []

    def main(c: Conversation) -> Answer:
        if not c.used("Bash"):
            return bash("hypervisor open inbox tasks")
        if not c.used("Agent"):
            return spawn("hypervisor:worker", "queue inbox")
        waited = len(c.used("Bash")) > 5
        return text("heard") if waited else bash("hypervisor wait inbox --timeout 20")

    def worker(c: Conversation) -> Answer:
        at = len(c.tool_uses)
        if at == 0:
            return bash("hypervisor next inbox")
        if at > 2 and at % 2 and len(told) < len(wanted):
            told.append(c.last_result)
        if "accepted" in c.text:
            return text("ended")
        if len(told) < len(wanted):
            between = tool("Read", {"file_path": "tasks/demo-0001.md"})
            return between if at % 2 else wanted[len(told)]
        return done(re.findall(r"^claim (\S+)$", c.text, re.MULTILINE)[-1], "demo-0001")

    model.main, model.worker = main, worker
    return told


def dialog(session: Interactive, other: str = "") -> str:
    """Wait for a permission dialog that is not `other`, and return the screen from it on."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        screen = session.screen()
        if "Do you want to" in screen:
            shown = screen[screen.rindex("hypervisor", 0, screen.index("Do you want to")) - 400 :]
            if shown.strip() != other.strip() and (not other or "make all" in shown):
                return shown
        time.sleep(0.3)
    raise AssertionError(f"no dialog:\n{session.screen()}")
