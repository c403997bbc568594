"""Pools of the real Codex CLI on a queue."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from agents.pool.support import eventually
from e2e.answers import Answer, error, slow, text, tool
from e2e.codex_model import CodexModel, used_up
from e2e.gemini_model import GeminiConversation
from e2e.pools import PoolMachine, by_the_prompt, call, claimed
from e2e.queue_scripts import hypervisor
from e2e.ways import unended
from hypervisor.system import killing

pytestmark = pytest.mark.e2e

KEY = "dummy-key-of-a-test"


@pytest.mark.parametrize(("workers", "items"), [(1, 24), (3, 8), (8, 3)])
def test_codex_processes_drain_24_tasks_each_once_and_tokens_are_exact(
    workers: int, items: int, codex: PoolMachine, codex_model: CodexModel
) -> None:
    tasks = codex.tasks(24)
    codex.open()
    codex_model.main = by_the_prompt(caller="codex")
    ran = codex.work("codex", "--workers", str(workers), "--items-per-agent", str(items))
    assert ran.returncode == 0, ran.stdout + ran.stderr + codex.logs() + codex.logs(".err")
    told = codex.summary()
    assert told["counts"]["success"] == 24, told
    for path in tasks:
        body = path.read_text()
        assert body.count("## Completion report") == 1 and f"did {path.stem}" in body
    completed = [use for r in codex_model.requests for use in r.conversation.tool_uses[-1:]
                 if use.name.endswith("complete_task")]  # fmt: skip
    assert sorted(use.input["id"] for use in completed) == [path.stem for path in tasks]
    assert (told["total_tokens"], told["tokens_exact"]) == (codex_model.tokens().total, True)
    per_item = [sum(worker["tokens"].values()) for worker in told["workers"]]
    assert all(per_item) and sum(per_item) + told["overhead_tokens"] == told["total_tokens"]
    # Nobody's key is kept anywhere, and nothing of the agents is left.
    kept = [path for path in codex.project.rglob("*") if path.is_file()]
    assert not [path for path in kept if KEY.encode() in path.read_bytes()]
    assert list(codex.tmp.glob("hypervisor-pool-*")) == []


@pytest.mark.often
def test_codex_is_held_by_its_sandbox_and_hears_nothing_of_the_project_s_own_configuration(
    codex: PoolMachine, codex_model: CodexModel
) -> None:
    project, planted = codex.project, codex.root / "planted"
    git(project, "init", "-q")
    git(project.parent, "init", "-q", "--bare", "there.git")
    git(project, "remote", "add", "there", str(project.parent / "there.git"))
    started = f'command = "/bin/touch"\nargs = ["{planted}"]\n'
    write(
        project, ".codex/config.toml", f'model = "planted"\n[mcp_servers.task_manager]\n{started}'
    )
    write(project, ".codex/hooks.json", "{}")
    write(project, ".agents/skills/planted/SKILL.md", "---\nname: planted\n---\nPLANTED\n")
    write(project, "AGENTS.md", "PLANTED")
    write(project, "inner/CLAUDE.md", "as it was")
    (project / "link").symlink_to("inner/CLAUDE.md")
    write(codex.user, ".codex/auth.json", "SECRET-LOGIN")
    write(codex.user, ".codex/config.toml", f'model = "planted"\n[mcp_servers.users]\n{started}')
    write(codex.user, ".codex/AGENTS.md", "PLANTED")
    tries = [
        "echo PLANTED >>AGENTS.md", "echo x >.codex/config.toml", "echo x >.git/hooks/pre-push",
        "echo x >inner/CLAUDE.md", "echo x >link", "echo x >.hypervisor/x", "mv AGENTS.md other",
        f"echo x >{codex.user}/x", f"echo x >{codex.tmp}/x",
        "git add -A && git commit -qm mine", "git push there HEAD",
        f"cat {codex.user}/.codex/auth.json", "hypervisor next q", "curl -s http://127.0.0.1",
    ]  # fmt: skip
    rest, told = list(tries), list[str]()
    steady = by_the_prompt(caller="codex")

    def script(c: GeminiConversation) -> Answer:
        if len(c.tool_uses) > 1:
            told.append(c.last_result)
        if c.tool_uses and rest:
            command = rest.pop(0)
            return tool("exec_command", {"cmd": f"({command}); echo ENDED $?; env | grep -c KEY"})
        if c.tool_uses and len(told) == len(tries):
            return call("block_task", id="demo-0001", reason=f"refused: {told[10]}"[:300])
        return steady(c)

    codex.tasks(1, "Then `git push` it.")
    codex.open()
    codex_model.main = script
    ran = codex.work("codex", "--items-per-agent", "1")
    assert ran.returncode == 1, ran.stdout + ran.stderr + codex.logs(".err")
    for command, said in zip(tries, told, strict=False):
        assert "ENDED" in said and "ENDED 0" not in said, (command, said)
        assert "SECRET" not in said and said.rstrip().endswith("\n0"), (command, said)
    prompt = codex_model.requests[0].conversation.prompt
    assert "PLANTED" not in prompt and "`.cursorrules`" in prompt
    assert codex_model.requests[0].conversation.body["model"] == "gpt-5.5"
    assert not planted.exists()
    assert (project / "AGENTS.md").read_text() == "PLANTED"
    [item] = codex.summary()["workers"]
    assert (item["status"], item.get("off_limits")) == ("blocked", None), item
    assert "refused: " in item["reason"]


def test_what_codex_did_on_a_branch_is_committed_for_it(
    codex: PoolMachine, codex_model: CodexModel
) -> None:
    codex.tasks(2)
    git(codex.project, "init", "-q")
    git(codex.project, "config", "user.name", "t")
    git(codex.project, "config", "user.email", "t@example.org")
    git(codex.project, "add", "-A")
    git(codex.project, "commit", "-qm", "start")
    codex.open()

    def work(c: GeminiConversation, task: str) -> Answer:
        return tool("exec_command", {"cmd": f"pwd >{task}.txt; touch x; rm x"})

    codex_model.main = by_the_prompt(work, caller="codex")
    ran = codex.work("codex", "--branch")
    assert ran.returncode == 0, ran.stdout + ran.stderr + codex.logs(".err")
    assert unended(codex.summary()["counts"]) == 0
    done = hypervisor(codex.project, "integrate", "q", home=codex.home)
    assert done.returncode == 0, done.stdout + done.stderr
    for task in ("demo-0001", "demo-0002"):
        assert "/.hypervisor/worktrees/" in (codex.project / f"{task}.txt").read_text()


def test_every_other_way_to_end_costs_what_it_should_and_the_item_is_done_by_another(
    codex: PoolMachine, codex_model: CodexModel
) -> None:
    codex.tasks(4)
    codex.open("--allow-command", "npm test")
    ran = codex.work("codex")
    assert ran.returncode == 2 and "can't keep --allow-command 'npm test'" in ran.stderr, ran.stderr
    hypervisor(codex.project, "cancel", "q", home=codex.home)
    codex.open("--again", queue="r")
    codex_model.main = lambda c: error(401, "Incorrect API key provided.")
    ran = codex.work("codex", queue="r")
    assert ran.returncode == 1 and "401 Unauthorized: Incorrect API key" in ran.stdout, ran.stdout
    codex_model.main = lambda c: error(500, "It broke.")
    ran = codex.work("codex", queue="r")
    assert ran.returncode == 1 and "stopped: codex: " in ran.stdout, ran.stdout
    assert unended(codex.summary("r")["counts"]) == 4, "it costs no attempt"
    steady = by_the_prompt(caller="codex")
    tried: dict[str, int] = {}
    until = 0

    def script(c: GeminiConversation) -> Answer:
        nonlocal until
        task = claimed(c)
        if task:
            tried[task] = tried.get(task, 0) + 1
        if tried.get("demo-0001") == 1 and task == "demo-0001":
            until = int(time.time()) + 3
            return used_up(until)
        last = c.tool_uses[-1] if c.tool_uses else None
        looping = last and last.name == "exec_command"
        if (tried.get("demo-0002") == 1 and task == "demo-0002") or looping:
            return tool("exec_command", {"cmd": "true"})
        if tried.get("demo-0003") == 1 and task == "demo-0003":
            return text("I think that is all")
        if tried.get("demo-0004") == 1 and task == "demo-0004":
            return slow(60, text("never"))
        return steady(c)

    codex_model.main = script
    started = codex.start("codex", "--items-per-agent", "4", "--max-turns", "11", queue="r")
    eventually(lambda: "demo-0004" in tried, "the last one is in work", 150)
    [agent] = [
        pid for pid in killing.marked("HYPERVISOR_WORKER", codex.at_work()) if is_client(pid)
    ]
    os.kill(agent, signal.SIGKILL)
    out, err = started.communicate(timeout=120)
    assert started.returncode == 0, out + err
    assert "rate limit: " in err and "goes on at" in err
    told = {worker["task_id"]: worker for worker in codex.summary("r")["workers"]}
    assert {worker["status"] for worker in told.values()} == {"success"}
    costs = {name: (worker["deaths"], worker["attempts"]) for name, worker in told.items()}
    assert costs == {
        "demo-0001": (0, 0),
        "demo-0002": (1, 0),
        "demo-0003": (0, 1),
        "demo-0004": (1, 0),
    }
    assert set(tried.values()) == {2} and time.time() > until
    assert {".agents", ".aws", ".codex", ".git"}.isdisjoint(os.listdir(codex.project))


def is_client(pid: int) -> bool:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return words[0].endswith(b"/codex") and b"exec" in words


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
