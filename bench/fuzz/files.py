"""Targets: what reads the files of others. Each has odd ones read."""

from __future__ import annotations

import contextlib
import json
import os
import random
from pathlib import Path

import odd
from program import GOOD, command

_TRANSCRIPTS: tuple[list[dict[str, object]], ...] = (
    [
        {"type": "user", "message": {"content": [
            {"type": "tool_result", "content": [{"type": "text", "text": "claim 1-abcd"}]},
        ]}},
        {"type": "assistant", "requestId": "r", "message": {
            "id": "m", "model": "x", "stop_reason": "end_turn", "content": [{"text": "y"}],
            "usage": {"input_tokens": 1, "output_tokens": 3, "cache_read_input_tokens": 2},
        }},
    ],
    [
        {"sessionId": "s", "projectHash": "p", "kind": "main"},
        {
            "id": "m", "type": "gemini", "content": "",
            "tokens": {"input": 9, "output": 6, "cached": 5, "thoughts": 4, "total": 20},
            "toolCalls": [{
                "name": "mcp_task_manager_claim_next_task", "status": "success",
                "result": [{"functionResponse": {"response": {"output": '{"task": {"id": "a"}}'}}}],
            }, {"name": "mcp_task_manager_complete_task", "status": "success", "result": []}],
        },
    ],
)  # fmt: skip


def tasks(root: Path, rng: random.Random) -> None:
    """A task file among good ones: looked at, opened, triaged, undone."""
    from hypervisor.config.settings import load
    from hypervisor.intake.preflight import check
    from hypervisor.intake.sources import expand

    (root / "good.md").write_text(GOOD)
    odd.put(root / "a.md", rng)
    settings = load(str(root))
    found = expand(["."], root=str(root), cwd=str(root), settings=settings)
    checked = check(found, root=str(root), settings=settings)
    json.dumps(checked.to_json())
    checked.lines()
    everything = [*checked.ready, *checked.held, *checked.skipped]
    assert "good.md" in {entry.path for entry in everything}, "the good file is lost"
    if rng.random() < 0.2:
        command("open", "q", ".")
        command("triage", ".")
        command("undo", "q")


def edits(root: Path, rng: random.Random) -> None:
    """A task file that is edited field by field, and one that is made anew."""
    from hypervisor.agents.mcp.writing import create, update
    from hypervisor.intake.index import TaskIndex
    from hypervisor.system.errors import HypervisorError

    odd.put(root / "a.md", rng)
    index = TaskIndex(str(root))
    index.refresh()
    name = rng.choice(("title", "status", "tags", "parent", "project", "due"))
    fields = {name: odd.line(rng)}
    body = odd.line(rng, odd.LARGEST) if rng.random() < 0.5 else ""
    for entry in list(index.entries()):
        with contextlib.suppress(HypervisorError):
            update(str(root), entry.path, entry.id or "", fields, index.settings, body=body)
    with contextlib.suppress(HypervisorError):
        create(index, {"title": "New", "type": "task"} | fields, body)


def settings(root: Path, rng: random.Random) -> None:
    """The project's settings, and now and then the user's."""
    (root / "good.md").write_text(GOOD)
    odd.put(root / "hypervisor.toml", rng)
    if rng.random() < 0.3:
        own = Path(os.environ["XDG_CONFIG_HOME"], "hypervisor", "config.toml")
        own.parent.mkdir(parents=True, exist_ok=True)
        odd.put(own, rng)
    command("preflight", ".", "--json")
    if rng.random() < 0.1:
        command("unlock", "good")


def rows(root: Path, rng: random.Random) -> None:
    """Tables, JSON lines and lists."""
    name = rng.choice(("r.csv", "r.tsv", "r.jsonl", "r.ndjson", "queue.txt", "x.list", "y.txt"))
    odd.put(root / name, rng)
    (root / "do.txt").write_text("Do it.")
    verb = ("open", "q") if rng.random() < 0.2 else ("preflight",)
    more = rng.choice(([], ["--id", "id"], ["--where", "title=a"]))
    command(*verb, name, "a.md", "--instructions", "do.txt", *more)


def transcripts(root: Path, rng: random.Random) -> None:
    """What a client wrote of its agents."""
    from hypervisor.agents import transcripts as written
    from hypervisor.agents.claude.client import ClaudeStream
    from hypervisor.agents.gemini.client import GeminiStream

    path = root / "t.jsonl"
    if rng.random() < 0.3:
        odd.put(path, rng)
    else:
        lines = [odd.json_text(rng, one) for one in rng.choice(_TRANSCRIPTS) for _ in range(3)]
        odd.put(path, rng, "\n".join(lines).encode("utf-8", "surrogatepass"))
        for stream in (ClaudeStream(), GeminiStream()):
            for line in lines:
                stream.feed(line)
            stream.end(1)
    with contextlib.suppress(OSError):
        written.read(str(path))
    written.writer_of(str(path)).last_error(str(path))


def calls(root: Path, rng: random.Random) -> None:
    """Calls of the MCP server's tools, in an order and with arguments that make no sense."""
    from hypervisor.agents.mcp.claims import Dispatch
    from hypervisor.agents.mcp.tools import Tools
    from hypervisor.intake.index import TaskIndex

    (root / "good.md").write_text(GOOD)
    odd.put(root / "a.md", rng)
    index = TaskIndex(str(root))
    tools = Tools(index, Dispatch(index, None))

    def word() -> str:
        return rng.choice(("a", "good", "a.md", "", odd.line(rng)))

    kinds = (
        lambda: tools.claim_next_task(word(), rng.choice(("", word()))),
        lambda: tools.complete_task(word(), rng.random() < 0.5, word(), word(), word(), word()),
        lambda: tools.block_task(word(), word(), word(), word(), word(), word()),
        lambda: tools.release_task(word(), word()),
        lambda: tools.get_task(word()),
        lambda: tools.get_children(word()),
        lambda: tools.update_task(
            word(), word(), status=word(), body=word(), replace_body=True, force=True
        ),
        lambda: tools.create_task(word(), parent=word(), body=word()),
        lambda: tools.list_tasks(limit=rng.randrange(-1, 3), status=word()),
        lambda: tools.get_ready_tasks(word(), word(), 2),
        lambda: tools.get_blocked_tasks(word(), 2),
        lambda: tools.get_index_stats(True),
    )
    for _ in range(6):
        json.dumps(tools.answer(rng.choice(kinds)))
    tools.dispatch.give_back_all()
