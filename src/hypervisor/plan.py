"""What to do next with a queue in a session: try one item, or start workers, at what cost."""

from __future__ import annotations

from typing import Any

from hypervisor.agents import rights
from hypervisor.agents.tools import AGENT
from hypervisor.config.settings import Settings
from hypervisor.ledger import Ledger

_PER_WORKER = 3
# What the skill itself grants, for the turn in which the user calls it. Ledgers of the first
# release hold another rule for the same.
_OWN_RULES = frozenset((*rights.rules(rights.WORKER_VERBS), "Bash(hypervisor:*)"))


def plan(ledger: Ledger, queue: str, settings: Settings, *, agreed: bool = False) -> dict[str, Any]:
    """Return the next step for `queue`; `agreed` says that the user has been asked.

    `step` is "finished", "paused", "permissions", "wait", "canary" or "workers". With "workers",
    `workers` is how many to start, `ask` whether the user is to be asked before, and `tokens` and
    `seconds` are what is left times what the ended items cost (None where that is not known).
    """
    row = ledger.queue_row(queue)
    counts = ledger.stats(queue)
    left = counts["ready"] + counts["waiting"]
    tools = ledger.tools(queue)
    told: dict[str, Any] = {"queue": queue, "left": left, "counts": counts, "tools": list(tools)}
    if row["state"] == "paused":
        return told | {"step": "paused", "reason": row["reason"]}
    if not counts["ready"] and not counts["claimed"]:
        return told | {"step": "finished"}
    rules = ledger.permissions(queue)
    if rules:
        return told | {"step": "permissions", "rules": rules}
    cost = ledger.cost_of_ended(queue)
    if cost["items"] == 0:
        return told | {"step": "wait" if counts["claimed"] else "canary"}
    limit = settings.limits.workers
    wanted = max(1, min(limit, -(-left // _PER_WORKER)))
    workers = max(0, wanted - counts["claimed"])
    seconds = cost["seconds"]
    return told | {
        "step": "workers" if workers and counts["ready"] else "wait",
        "workers": workers,
        "ask": left > settings.limits.ask_above and not agreed,
        "tokens": None if cost["tokens"] is None else round(cost["tokens"] * left),
        "seconds": None if seconds is None else round(seconds * left / wanted),
    }


def lines(told: dict[str, Any], *, headless: bool = False, branch: bool = False) -> list[str]:
    """Return a plan as words for the agent that carries it out.

    A `headless` session ends with its turn, so it waits in the foreground instead. With `branch`
    its workers are those that have a worktree of their own.
    """
    kind = " of type hypervisor:worker-isolated" if branch else ""
    if told["tools"]:
        kind = f" of type {AGENT}"
    again = " --branch" if branch else ""
    rest = f"then run: hypervisor wait {told['queue']}" if headless else "then end your turn"
    name, left = told["queue"], told["left"]
    if told["step"] == "finished":
        first = f"hypervisor integrate {name}, then " if branch else ""
        return [f"queue {name} has nothing left to hand out: {first}hypervisor summary {name}"]
    if told["step"] == "paused":
        return [f"queue {name} is paused; when its cause is over: hypervisor resume {name}"]
    if told["step"] == "permissions" and _OWN_RULES.issuperset(told["rules"]):
        return [
            "Stop: the workers lacked the skill's permissions, which end with the turn in which",
            f"the user called it. The user goes on with: /hypervisor:resume {name}",
        ]
    if told["step"] == "permissions":
        rules = ", ".join(f'"{rule}"' for rule in told["rules"])
        return [
            "Stop: a worker lacked permissions. Before anything more is spent, the user adds to",
            f'.claude/settings.json: {{"permissions": {{"allow": [{rules}]}}}}',
            f"or answers that workers go on without. Then: hypervisor plan {name} --go-on",
        ]
    if told["step"] == "wait":
        return [f"{told['counts']['claimed']} items are being worked on; {rest}"]
    if told["step"] == "canary":
        return [
            f"Try one item first. Start one worker{kind} in the background with the prompt: "
            f"queue {name}, one item only",
            f"Then run in this same turn: hypervisor wait {name}",
            f"and, when no worker is alive any more: hypervisor plan {name}{again}",
        ]
    tokens, seconds = told["tokens"], told["seconds"]
    cost = f"about {tokens:,} tokens" if tokens is not None else "an unknown number of tokens"
    time = f", about {max(1, round(seconds / 60))} min" if seconds is not None else ""
    shown = [f"{left} items left: {cost}{time} with {told['workers']} workers."]
    if told["ask"]:
        return [
            *shown,
            "Ask the user before you go on: tell these figures, and that the answer for yes is",
            f"/hypervisor:resume {name}",
            "which also renews the permissions of the workers. End your turn.",
        ]
    shown += [
        f"Start {told['workers']} workers{kind} in the background, in one message, each with the "
        f"prompt: queue {name}",
        f"{rest.capitalize()}." + ("" if headless else " Never poll: you will be told."),
    ]
    return shown
