"""What the plugin adds to a model's context, out of the real client's requests.

    python bench/context.py [--client 2.1.332] [--items 10]

Tokens are bytes of text divided by 4. "session" is what every session with the plugin carries
(names and descriptions of skills, agents and commands); "skill" is what comes when the skill is
used; "spawn" is a worker's own first text beyond an agent that is told nothing; "item" is what one
item adds to its worker beside the work itself: the calls of hypervisor, and what they print.
Goals: session and skill together under 1,500, an item at most one call and 400 tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO / "tests"), str(REPO / "src")]

from e2e import clients  # noqa: E402
from e2e.answers import text  # noqa: E402
from e2e.model import Model  # noqa: E402
from e2e.network import Network  # noqa: E402
from e2e.queue_scripts import by_the_book, fan_out, lay_out  # noqa: E402
from e2e.workspace import Workspace  # noqa: E402

SESSION_GOAL, ITEM_GOAL = 1500, 400


def size(body: dict[str, object]) -> int:
    """Return how many tokens a request's prompt, messages and tools are."""
    parts = [body.get(key) for key in ("system", "messages", "tools")]
    return len(json.dumps(parts, ensure_ascii=False).encode()) // 4


def main() -> int:
    """Print the figures; 1 if one of them misses its goal."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--client", default=clients.VERSIONS[-1])
    parser.add_argument("--items", type=int, default=10)
    args = parser.parse_args()
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = os.environ.get("HYPERVISOR_HOME") or os.path.join(cache, "hypervisor")
    env = {"HYPERVISOR_HOME": home}
    network = Network()
    model = Model(network)
    try:
        with tempfile.TemporaryDirectory() as folder:
            work = Workspace(Path(folder) / "m", clients.client(args.client), model, network)
            told = measure(work, model, args.items, env)
            work.close()
    finally:
        model.close()
        network.close()
    for name, value in told.items():
        print(f"{name:28} {value:8.1f}")
    ok = (
        told["session"] + told["skill"] < SESSION_GOAL
        and told["calls per item"] <= 1 + 1 / args.items
        and told["item"] <= ITEM_GOAL
    )
    print(f"goals (session and skill < {SESSION_GOAL}, item <= {ITEM_GOAL} in one call): {ok}")
    return 0 if ok else 1


def measure(work: Workspace, model: Model, items: int, env: dict[str, str]) -> dict[str, float]:
    """Run a session without the plugin, one with it, and a batch of one worker."""
    model.main = lambda conversation: text("hello")
    work.run("hello there", env=env)
    bare = size(model.requests[-1].conversation.body)
    work.run("hello there", plugins=[REPO], env=env)
    loaded = size(model.requests[-1].conversation.body)
    work.run("/hypervisor tasks", plugins=[REPO], env=env)
    used = size(model.requests[-1].conversation.body)
    lay_out(work.project / "tasks", items)
    model.main, model.worker = fan_out("bench", "tasks", 1), by_the_book("bench")
    work.run("/hypervisor tasks", plugins=[REPO], env=env)
    requests = [r.conversation for r in model.of(model.agents[-1])]
    grown = size(requests[-1].body) - size(requests[0].body)
    agent = (REPO / "agents" / "worker.md").read_bytes().split(b"---", 2)[2]
    return {
        "session": loaded - bare,
        "skill": used - loaded,
        "spawn": len(agent) / 4,
        "item": grown / items,
        "calls per item": len(requests[-1].used("Bash")) / items,
    }


if __name__ == "__main__":
    sys.exit(main())
