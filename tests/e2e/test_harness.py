"""The harness itself, on the pinned clients, with throw-away plugins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from e2e.answers import Answer, bash, error, slow, spawn, stop_task, text, wait_command
from e2e.conversation import MAIN, Conversation
from e2e.model import Model, Script
from e2e.network import Network
from e2e.plugins import Recorder, lost_notices, write_plugin
from e2e.workspace import Workspace

pytestmark = pytest.mark.e2e

WORKER = """---
name: worker
description: A worker of a test.
model: haiku
background: true
---
You are a worker.
"""
GO = """---
description: Starts the workers.
allowed-tools: %s
---
Start the workers. $ARGUMENTS
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    return write_plugin(
        tmp_path / "tiny",
        agents={"worker": WORKER},
        commands={"go": GO % "Bash, Agent"},
        skills={"tiny": "---\nname: tiny\n" + (GO % "Bash(tinytool:*), Agent")[4:]},
        bin={"tinytool": '#!/bin/sh\necho "tinytool says $*"\n'},
    )


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "recorder")


def main_starts(count: int) -> Script:
    """A main model that starts so many workers, then ends each turn with a text."""

    def main(conversation: Conversation) -> Answer:
        if not conversation.used("Agent"):
            return [spawn("tiny:worker", f"You are WORKER-{n}.") for n in range(1, count + 1)]
        return text(f"heard of {len(conversation.notices)}")

    return main


def one_call(command: str = "echo hello from a worker") -> Script:
    """A worker model that runs one command and reports."""

    def worker(conversation: Conversation) -> Answer:
        return text("worker done") if conversation.used("Bash") else bash(command)

    return worker


def test_three_background_workers_report_and_the_tokens_are_exact(
    workspace: Workspace, model: Model, plugin: Path, recorder: Recorder
) -> None:
    model.main, model.worker = main_starts(3), one_call()
    run = workspace.run("/tiny:go", plugins=[plugin, recorder.plugin])

    assert run.rc == 0, run.stderr
    assert run.text == "heard of 3"
    assert sorted(model.of(MAIN)[-1].conversation.notices) == sorted(model.agents)
    assert {len(model.of(agent)) for agent in model.agents} == {2}
    assert len(model.agents) == 3
    assert "hello from a worker" in model.of(model.agents[0])[-1].conversation.last_result
    assert run.tokens == model.tokens()
    transcripts = {t.agent: t.tokens for t in workspace.transcripts()}
    assert transcripts == {agent: model.tokens(agent) for agent in [MAIN, *model.agents]}
    assert len(recorder.of("SubagentStop")) == 3
    assert set(model.other) <= {"HEAD /"}  # 2.1.197 looks whether the service is there


@pytest.mark.newest_client
def test_dropped_notices_reach_neither_the_model_nor_the_plugins_own_hook(
    workspace: Workspace, model: Model, plugin: Path, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    own = write_plugin(
        tmp_path / "own",
        hooks={"UserPromptSubmit": 'sh "${CLAUDE_PLUGIN_ROOT}/bin/see"'},
        bin={"see": f"cat >>'{seen}'; echo >>'{seen}'"},
    )
    model.main, model.worker = main_starts(3), one_call()
    run = workspace.run("/tiny:go", plugins=lost_notices(model, [plugin, own], tmp_path))

    assert run.rc == 0, run.stderr
    assert len(model.of(MAIN)) == 2  # no notice has started a turn
    assert seen.read_text().count("UserPromptSubmit") == 1  # the user's prompt alone


@pytest.mark.newest_client
def test_dropped_notices_do_not_reach_a_model_in_mid_turn(
    workspace: Workspace, model: Model, plugin: Path, tmp_path: Path
) -> None:
    both_have_worked = f"until [ -e one ] && [ -e two ]; do {wait_command(0.1)}; done"

    def main(conversation: Conversation) -> Answer:
        if conversation.used("Agent") and not conversation.used("Bash"):
            return bash(f"{both_have_worked}; {wait_command(2)}")
        return main_starts(2)(conversation)

    model.main, model.worker = main, one_call("mkdir one || mkdir two")
    run = workspace.run("/tiny:go", plugins=lost_notices(model, [plugin], tmp_path))

    assert run.text == "heard of 0"
    assert len(model.lost) == (2 if workspace.client.version == "2.1.197" else 0)


@pytest.mark.newest_client
def test_a_workers_api_error_is_seen_by_stop_failure_and_told(
    workspace: Workspace, model: Model, plugin: Path, recorder: Recorder
) -> None:
    def worker(conversation: Conversation) -> Answer:
        if "WORKER-2" in conversation.first and conversation.used("Bash"):
            return error(400)
        return one_call()(conversation)

    model.main, model.worker = main_starts(2), worker
    run = workspace.run("/tiny:go", plugins=[plugin, recorder.plugin])

    failed = list({r.agent for r in model.requests if r.tokens is None})  # 2.1.330 asks again
    assert run.rc == 0 and len(failed) == 1
    assert [call.agent for call in recorder.of("StopFailure")] == failed
    assert failed[0] not in [call.agent for call in recorder.of("SubagentStop")]
    assert "API Error: 400" in model.of(MAIN)[-1].conversation.text
    assert run.tokens == model.tokens()


@pytest.mark.newest_client
def test_a_stopped_worker_ends_without_a_stop_hook(
    workspace: Workspace, model: Model, plugin: Path, recorder: Recorder
) -> None:
    def main(conversation: Conversation) -> Answer:
        if conversation.spawned and not conversation.used("TaskStop"):
            return slow(0.5, stop_task(conversation.spawned[0]))
        return main_starts(1)(conversation)

    model.main, model.worker = main, one_call(wait_command(30))
    run = workspace.run("/tiny:go", plugins=[plugin, recorder.plugin])

    assert run.rc == 0, run.stderr
    assert recorder.of("SubagentStop") == []
    assert "<status>killed</status>" in model.of(MAIN)[-1].conversation.text


@pytest.mark.newest_client
def test_workers_inherit_a_narrow_grant_of_the_skill(
    workspace: Workspace, model: Model, plugin: Path
) -> None:
    def worker(conversation: Conversation) -> Answer:
        calls = [bash("tinytool next"), bash("echo no >denied.txt")]
        turn = len(conversation.used("Bash"))
        return calls[turn] if turn < len(calls) else text("worker done")

    model.main, model.worker = main_starts(1), worker
    run = workspace.run("/tiny go", plugins=[plugin], mode="default")

    granted, denied = model.of(model.agents[0])[-1].conversation.results
    assert run.rc == 0, run.stderr
    assert granted.startswith("tinytool says next")
    assert "Permission to use Bash has been denied" in denied
    assert not (workspace.project / "denied.txt").exists()


@pytest.mark.newest_client
def test_an_interactive_session_answers_and_wakes_at_a_notice(
    workspace: Workspace, model: Model, plugin: Path, recorder: Recorder
) -> None:
    model.main, model.worker = main_starts(1), one_call(wait_command(1))
    session = workspace.interactive(plugins=[plugin, recorder.plugin])
    session.submit("/tiny:go")
    session.wait_for("heard of 0")
    session.wait_for("heard of 1")
    session.exit()

    assert recorder.of("SessionEnd")[0].payload["reason"] == "prompt_input_exit"
    assert [t.tokens for t in workspace.transcripts() if t.agent] == [
        model.tokens(agent) for agent in model.agents
    ]


@pytest.mark.newest_client
def test_a_killed_session_leaves_nothing_running(
    workspace: Workspace, model: Model, plugin: Path
) -> None:
    model.main, model.worker = main_starts(1), one_call("touch started; " + wait_command(60))
    run = workspace.headless("/tiny:go", plugins=[plugin])
    model.wait(lambda model: (workspace.project / "started").exists())
    run.kill()

    assert run.wait().rc == -9
    assert workspace.processes()  # the worker's command outlives the client
    workspace.close()
    assert not workspace.processes()


@pytest.mark.newest_client
def test_a_plugin_installs_from_a_copy_without_git_at_a_path_with_spaces(
    workspace: Workspace, model: Model, tmp_path: Path
) -> None:
    repository = write_plugin(tmp_path / "repo", name="tiny", commands={"go": GO % "Bash"})
    (repository / ".git").mkdir()
    (repository / ".claude-plugin/marketplace.json").write_text(
        '{"name": "shop", "owner": {"name": "tests"}, "metadata": {"description": "tests"},'
        ' "plugins": [{"name": "tiny", "source": "./", "description": "for a test"}]}'
    )
    copy = workspace.install(repository)
    run = workspace.run("/tiny:go now")

    assert " " in str(copy) and not (copy / ".git").exists()
    assert "tiny:go" in run.init["slash_commands"]
    assert "Start the workers. now" in model.requests[0].conversation.last


@pytest.mark.often
@pytest.mark.newest_client
def test_the_client_reaches_the_model_and_nothing_else(
    workspace: Workspace, model: Model, network: Network
) -> None:
    if not network.private:
        pytest.skip("network namespaces are not permitted here")
    model.main = one_call("cat /proc/net/dev | tail -n +3")
    workspace.run("look at the network")

    devices = model.requests[-1].conversation.last_result.splitlines()
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]


@pytest.mark.often
def test_what_a_script_raises_is_raised_in_the_test(network: Network) -> None:
    model = Model(network)
    model.main = lambda conversation: 1 / 0
    ask = f"from urllib.request import urlopen; urlopen('{model.url}/v1/messages', b'{{}}')"
    subprocess.run([*network.prefix, sys.executable, "-c", ask], capture_output=True)
    with pytest.raises(ZeroDivisionError):
        model.check()
    model.close()
