"""Pools of the real `claude -p`, alone and beside other hands on one queue."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from e2e.answers import Answer, bash, error, slow, text, tool
from e2e.conversation import Conversation
from e2e.gemini_model import GeminiModel
from e2e.model import Model
from e2e.pools import PoolMachine, by_the_prompt
from e2e.queue_scripts import claim_of, done, hypervisor, to_the_end
from e2e.ways import unended
from hypervisor.agents import transcripts
from hypervisor.config import prices

pytestmark = pytest.mark.e2e


@pytest.mark.often
@pytest.mark.newest_client
def test_claude_processes_drain_a_queue_and_tokens_are_exact(
    claude: PoolMachine, model: Model
) -> None:
    tasks = claude.tasks(6)
    claude.open()
    model.main = to_the_end
    ran = claude.work("claude", "--workers", "2", "--items-per-agent", "2")
    assert ran.returncode == 0, ran.stdout + ran.stderr + claude.logs(".err")
    told = claude.summary()
    assert told["counts"]["success"] == 6
    assert (told["total_tokens"], told["tokens_exact"]) == (model.tokens().total, True)
    assert all(sum(worker["tokens"].values()) for worker in told["workers"])
    shares = Counter(worker["worker"] for worker in told["workers"])
    assert max(shares.values()) == 2
    bills = [event["total_cost_usd"] for event in claude.events() if event["type"] == "result"]
    assert told["total_usd"] == pytest.approx(sum(bills), abs=2e-6) and sum(bills) > 0
    parts = sum(worker["usd"] for worker in told["workers"]) + told["overhead_usd"]
    assert parts == pytest.approx(told["total_usd"], abs=1e-5)
    # By list prices the transcripts cost the same.
    used = [transcripts.read(str(claude.project / kept))[0] for kept in told["transcripts"]]
    priced = [prices.usd(*request[1:]) for one in used for request in one.requests]
    assert sum(usd or 0 for usd in priced) == pytest.approx(told["total_usd"], rel=0.01)
    heard = "".join(r.conversation.text for r in model.requests)
    assert "your share is done: stop here" in heard
    for path in tasks:
        assert path.read_text().count("## Completion report") == 1


@pytest.mark.newest_client
def test_of_answers_a_fifth_of_which_is_malformed_at_first_none_invalid_is_accepted(
    claude: PoolMachine, model: Model
) -> None:
    root, schema = claude.project, '{"properties": {"n": {"type": "integer"}}, "required": ["n"]}'
    (root / "rows.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(200)))
    (root / "i.md").write_text("Give the row's id as n.\n")
    (root / "s.json").write_text(schema)
    words = ("rows.csv", "--id", "id", "--instructions", "i.md", "--answer", "s.json")
    assert hypervisor(root, "open", "q", *words, home=claude.home).returncode == 0

    def answering(c: Conversation) -> Answer:
        if not c.tool_uses:
            return bash("hypervisor next q")
        claim = claim_of(c)
        if claim is None and "the item is still yours" not in c.last:
            return text("ended my items")
        if claim is None:
            command = str(c.tool_uses[-1].input["command"])
            return bash(command.replace("about ", ""))
        token, item = claim
        told = "about " if int(item) % 5 == 0 else ""
        answer = f'{{"n": {told}{item}}}'
        return bash(
            f"hypervisor done {token} --next --answer - <<'END'\n```json\n{answer}\n```\nEND"
        )

    model.main = answering
    ran = claude.work("claude", "--workers", "2", "--items-per-agent", "50")
    assert ran.returncode == 0, ran.stdout + ran.stderr + claude.logs(".err")
    table = hypervisor(root, "results", "q", home=claude.home).stdout.splitlines()
    assert [line.split(",")[:3] for line in table[1:]] == [
        [str(n), str(n), "success"] for n in range(200)
    ]
    heard = "".join(r.conversation.text for r in model.requests)
    assert "answer: not JSON" in heard and "answer: schema as before" in heard


@pytest.mark.newest_client
def test_items_that_fail_climb_the_ladder_and_nobody_starves(
    claude: PoolMachine, model: Model
) -> None:
    claude.tasks(2)
    claude.open("--ladder", "haiku,sonnet,opus")

    def tries(c: Conversation) -> Answer:
        if not c.tool_uses:
            return bash("hypervisor next q")
        claim = claim_of(c)
        if not claim:
            return text("ended my items")
        token, item = claim
        if item == "demo-0001" and "sonnet" in c.model:
            return done(*claim)
        return bash(f"hypervisor fail {token} --next --reason hard")

    model.main = tries
    ran = claude.work("claude", "--workers", "2", "--items-per-agent", "3")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    told = claude.summary()
    ends = {one["task_id"]: (one["status"], one["attempts"]) for one in told["workers"]}
    assert ends == {"demo-0001": ("success", 1), "demo-0002": ("failed", 3)}
    models = {one["model"].split("-")[1]: (one["items"], one["done"]) for one in told["models"]}
    assert models == {"haiku": (0, 0), "sonnet": (1, 1), "opus": (1, 0)}


@pytest.mark.newest_client
def test_claude_s_bounds_hold_and_nothing_of_the_user_s_settings_has_a_part(
    claude: PoolMachine, model: Model, tmp_path: Path
) -> None:
    claude.tasks(1)
    claude.open("--allow-command", "./check.sh")
    root = claude.project
    (root / "check.sh").write_text("#!/bin/sh\necho it passes\n")
    (root / "check.sh").chmod(0o755)
    for folder, name in ((root, "project"), (claude.user, "user")):
        hook = {"type": "command", "command": f"touch {tmp_path}/{name}-hook"}
        settings = {
            "permissions": {"allow": ["Bash(touch:*)", "WebFetch"]},
            "hooks": {"SessionStart": [{"hooks": [hook]}]},
        }
        (folder / ".claude").mkdir(exist_ok=True)
        (folder / ".claude/settings.json").write_text(json.dumps(settings))
    (root / "notes").symlink_to(".claude/settings.json")
    (root / "conf").symlink_to(".claude", target_is_directory=True)
    secret = tmp_path / "secret.txt"
    secret.write_text("sesame\n")
    (root / "leads-out").symlink_to(secret)
    before = sorted(root.rglob("*"))
    refused = [
        tool("Read", {"file_path": str(secret)}),
        tool("Read", {"file_path": str(root / "leads-out")}),
        tool("Read", {"file_path": str(root / ".." / secret.parent.name / "secret.txt")}),
        tool("Grep", {"pattern": "sesam", "path": str(tmp_path), "output_mode": "content"}),
        tool("Glob", {"pattern": "secret*", "path": str(tmp_path)}),
        tool("Glob", {"pattern": f"{tmp_path}/secret*"}),
        bash(f"cat {secret}"),
        bash(f"ls {tmp_path}"),
        bash("cat leads-out"),
        tool("Write", {"file_path": str(root / "notes"), "content": "x"}),
        tool("Write", {"file_path": str(root / "conf/settings.local.json"), "content": "x"}),
        bash("git push"),
        bash("curl http://example.org"),
        bash("touch t"),
        bash("./check.sh && touch t"),
        bash("hypervisor undo q"),
        bash("hypervisor next q $(touch t)"),
        bash("hypervisor next q > .claude/settings.local.json"),
        bash("hypervisor next q > CLAUDE.md"),
        tool("Write", {"file_path": str(tmp_path / "outside"), "content": "x"}),
        tool("WebFetch", {"url": "http://example.org/", "prompt": "x"}),
        tool("Agent", {"description": "x", "prompt": "x", "subagent_type": "general-purpose"}),
    ]
    for name in (".claude/settings.local.json", ".gemini/settings.json", "CLAUDE.md", "GEMINI.md",
                 "sub/AGENTS.md", ".mcp.json", ".git/hooks/x", "hypervisor.toml",
                 ".hypervisor/x", ".vscode/tasks.json", ".husky/pre-commit", ".envrc", ".npmrc",
                 "sub/.gitattributes", ".cursor/rules/x.mdc"):  # fmt: skip
        refused.append(tool("Write", {"file_path": str(root / name), "content": "x"}))
    granted = bash("./check.sh")
    settings_before = (root / ".claude/settings.json").read_text()
    inside = [
        tool("Read", {"file_path": str(root / "check.sh")}),
        tool("Grep", {"pattern": "it passes", "output_mode": "content"}),
        tool("Glob", {"pattern": "check*"}),
    ]

    def script(c: Conversation) -> Answer:
        if not c.tool_uses:
            return [*refused, *inside, granted]
        if len(c.tool_uses) == len(refused) + len(inside) + 1:
            return bash("hypervisor next q")
        claim = claim_of(c)
        return to_the_end(c) if claim else text("ended")

    model.main = script
    ran = claude.work("claude")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    answers = model.requests[1].conversation.results
    assert "it passes" in answers[-1]
    told = "".join(answers[: len(refused)])
    assert "it passes" not in told and "sesame" not in told and "secret.txt\n" not in told
    # The client runs those beside each other.
    found = answers[len(refused) : -1]
    assert sum("it passes" in answer for answer in found) == 2 and "check.sh" in found
    assert (root / ".claude/settings.json").read_text() == settings_before
    made = set(root.rglob("*")) - set(before)
    assert not [path for path in made if ".hypervisor" not in path.parts], made
    assert sorted(tmp_path.glob("*-hook")) == [] and not (tmp_path / "outside").exists()


@pytest.mark.newest_client
def test_claude_s_ends_cost_what_they_should(claude: PoolMachine, model: Model) -> None:
    claude.tasks(3)
    claude.open()
    tried: dict[str, int] = {}
    broken: dict[str, str] = {}

    def script(c: Conversation) -> Answer:
        claim = claim_of(c)
        if claim:
            tried[claim[1]] = tried.get(claim[1], 0) + 1
            first = tried[claim[1]] == 1
            # The client itself may try again: the whole session meets the error.
            if claim[1] == "demo-0001" and c.session == broken.setdefault("by", c.session):
                return error(400)
            if claim[1] == "demo-0002" and first:
                return text("It looks fine to me")
            if claim[1] == "demo-0003" and first:
                return bash("ls")
        if c.tool_uses and c.tool_uses[-1].input.get("command") == "ls":
            return bash("ls")
        return to_the_end(c)

    model.main = script
    ran = claude.work("claude", "--max-turns", "8")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = {worker["task_id"]: worker for worker in claude.summary()["workers"]}
    costs = [(worker["deaths"], worker["attempts"]) for worker in told.values()]
    assert costs == [(1, 0), (0, 1), (1, 0)]
    claude.tasks(1)
    claude.open()
    model.main = lambda c: error(401, "invalid x-api-key")
    ran = claude.work("claude", env={"CLAUDE_CODE_MAX_RETRIES": "0"})
    assert ran.returncode == 1 and "nothing more was started" in ran.stdout, ran.stdout
    model.main = lambda c: error(429, "limit", retry_after="0")
    ran = claude.work("claude", env={"CLAUDE_CODE_MAX_RETRIES": "0"})
    assert "paused; continue with" in ran.stdout, ran.stdout + ran.stderr
    assert unended(claude.summary()["counts"]) == 1


@pytest.mark.newest_client
def test_claude_gemini_and_a_command_work_on_one_queue_at_the_same_time(
    claude: PoolMachine, model: Model, gemini_model: GeminiModel
) -> None:
    tasks = claude.tasks(18)
    claude.open()
    model.main = to_the_end
    prompt = by_the_prompt()
    gemini_model.main = lambda c: slow(0.5, prompt(c))
    pools = [claude.start("gemini")]
    gemini_model.wait(lambda m: len(m.requests) > 1)
    pools += [
        claude.start("claude"),
        claude.start("command", "--", "sh", "-c", "sleep 0.7; echo did $HYPERVISOR_ID"),
    ]
    for pool in pools:
        out, err = pool.communicate(timeout=170)
        assert pool.returncode in (0, 1), out + err
    told = claude.summary()
    assert told["counts"]["success"] == 18
    hands = {worker["worker"].split("-")[0] for worker in told["workers"]}
    assert hands == {"claude", "gemini", "command"}
    for path in tasks:
        body = path.read_text()
        assert body.count("## Completion report") == 1 and f"did {path.stem}" in body
    assert told["running"] == 0
