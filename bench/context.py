"""What the plugin adds to a model's context, out of the real client's requests.

    python bench/context.py [--client 2.1.332]... [--items 10]

Each supported client is measured in the mode in which its sessions start. Tokens are bytes of text
divided by 4. "session" is what every session with the plugin carries (names and descriptions of
skills, agents and commands), with the client's tool search on, as it is by itself, and off; "skill"
is what comes when the skill is used; "spawn" is a worker's first request beyond that of an agent
with the same tools that is told nothing; "item" is what one item adds to its worker beside the work
itself: the calls of hypervisor, and what they print. "note" is what the client adds to that when
`done` has written its report into a task file that the worker has read.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO / "tests"), str(REPO / "src")]

from e2e import clients
from e2e.answers import Answer, bash, spawn, text, tool
from e2e.conversation import Conversation
from e2e.model import Model
from e2e.network import Network
from e2e.plugins import write_plugin
from e2e.queue_scripts import by_the_book, claim_of, done, fan_out, lay_out
from e2e.workspace import Workspace

GOALS = {
    "session": 400,
    "session, no tool search": 800,
    "skill": 1000,
    "spawn": 350,
    "item": 230,
    "calls per item": 1.1,
}
_CHANGED = re.compile(r"demo-.*(?:on disk|was modified)", re.DOTALL)
_BARE = "---\nname: bare\ndescription: x\nmodel: haiku\nbackground: true\ntools: {}\n---\n.\n"


def size(body: dict[str, object]) -> int:
    """Return how many tokens a request's prompt, messages and tools are."""
    parts = [body.get(key) for key in ("system", "messages", "tools")]
    return len(json.dumps(parts, ensure_ascii=False).encode()) // 4


def main() -> int:
    """Print the figures of each client; 1 if one of them misses its goal."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--client", action="append", help="a version (default: all supported)")
    parser.add_argument("--items", type=int, default=10)
    args = parser.parse_args()
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = os.environ.get("HYPERVISOR_HOME") or os.path.join(cache, "hypervisor")
    print("| client, mode |", " | ".join([*GOALS, "note"]), "|")
    print("|---|" + "---:|" * (len(GOALS) + 1))
    print("| goal |", " | ".join(f"≤ {goal:g}" for goal in GOALS.values()), "| – |")
    missed = []
    for version in args.client or clients.VERSIONS:
        mode = "default" if version == clients.VERSIONS[0] else "auto"
        told = in_workspace(version, mode, args.items, {"HYPERVISOR_HOME": home})
        cells = [f"{told[name]:.1f}".removesuffix(".0") for name in (*GOALS, "note")]
        print(f"| {version}, {mode} |", " | ".join(cells), "|", flush=True)
        missed += [f"{version}: {name}" for name, goal in GOALS.items() if told[name] > goal]
    print(f"\ngoals: {'all met' if not missed else 'missed: ' + ', '.join(missed)}")
    return 1 if missed else 0


def in_workspace(version: str, mode: str, items: int, env: dict[str, str]) -> dict[str, float]:
    """Measure one client in an empty home."""
    network = Network()
    model = Model(network)
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["HYPERVISOR_STATE"] = f"{folder}/state"
            work = Workspace(Path(folder) / "m", clients.client(version), model, network)
            try:
                return measure(work, model, mode, items, env)
            finally:
                work.close()
    finally:
        model.close()
        network.close()


def measure(
    work: Workspace, model: Model, mode: str, items: int, env: dict[str, str]
) -> dict[str, float]:
    """Run sessions without the plugin and with it, and batches of one worker."""

    def asked(prompt: str, *plugins: Path, **more: str) -> int:
        model.main = lambda conversation: text("hello")
        ran = work.run(prompt, plugins=plugins, mode=mode, env={**env, **more})
        assert ran.rc == 0, ran.stderr
        return size(model.requests[-1].conversation.body)

    off = {"ENABLE_TOOL_SEARCH": "false"}
    loaded = asked("hello there", REPO)
    told = {
        "session": loaded - asked("hello there"),
        "session, no tool search": asked("hello there", REPO, **off) - asked("hello there", **off),
        "skill": asked("/hypervisor tasks", REPO) - loaded,
    }
    lay_out(work.project / "tasks", items)
    model.main, model.worker = fan_out("bench", "tasks", 1), by_the_book("bench")
    work.run("/hypervisor tasks", plugins=[REPO], mode=mode, env=env)
    bodies, calls = worker_requests(model)
    grown = size(bodies[-1]) - size(bodies[0])
    told |= {"item": grown / items, "calls per item": calls / items}

    lay_out(work.project / "read", 2)
    model.main, model.worker = fan_out("noted", "read", 1), reading("noted", work.project / "read")
    work.run("/hypervisor read", plugins=[REPO], mode=mode, env=env)
    told["note"] = sum(noted(body) for body in worker_requests(model)[0][-1:])

    worker = (REPO / "agents/worker.md").read_text()
    tools = next(line for line in worker.splitlines() if line.startswith("tools: "))
    bare = write_plugin(
        work.root / "bare", agents={"bare": _BARE.format(tools.removeprefix("tools: "))}
    )
    model.main, model.worker = starts("bare:bare"), lambda conversation: text("ended")
    work.run("start it", plugins=[REPO, bare], mode=mode, env=env)
    told["spawn"] = size(bodies[0]) - size(worker_requests(model)[0][0])
    return told


def worker_requests(model: Model) -> tuple[list[dict[str, object]], int]:
    """Return the bodies of the newest worker's requests, up to the answer to its last call, and how
    often it called the shell. What a client asks for afterwards is not about items."""
    requests = [request.conversation for request in model.of(model.agents[-1])]
    calls = len(requests[-1].tool_uses)
    kept = [request for request in requests if len(request.tool_uses) < calls]
    kept.append(requests[len(kept)])
    return [request.body for request in kept], len(requests[-1].used("Bash"))


def starts(agent: str) -> Callable[[Conversation], Answer]:
    """A session that starts one agent, with a prompt as long as a worker's."""

    def main(conversation: Conversation) -> Answer:
        if conversation.used("Agent"):
            return text("started")
        return spawn(agent, "queue bench", description="worker 0")

    return main


def reading(queue: str, folder: Path) -> Callable[[Conversation], Answer]:
    """A worker that reads the task file before it reports."""
    held: list[tuple[str, str]] = []

    def worker(conversation: Conversation) -> Answer:
        if not conversation.tool_uses:
            return bash(f"hypervisor next {queue}")
        claim = claim_of(conversation)
        if claim is not None:
            held.append(claim)
            return tool("Read", {"file_path": str(folder / f"{claim[1]}.md")})
        if not conversation.last_result.startswith("accepted"):
            return done(*held[-1])
        return text("ended my item")

    return worker


def noted(body: dict[str, object]) -> float:
    """Return how many tokens the client's words on files that have changed are."""
    blocks: list[Any] = []
    messages = body["messages"]
    for message in messages if isinstance(messages, list) else []:
        content = message["content"]
        blocks += content if isinstance(content, list) else [content]
    texts = [one if isinstance(one, str) else one.get("text", "") for one in blocks]
    return sum(len(text.encode()) for text in texts if _CHANGED.search(text)) / 4


if __name__ == "__main__":
    sys.exit(main())
