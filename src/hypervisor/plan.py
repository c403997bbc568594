"""What to do next with a queue in a session: try one item, or start workers, at what cost."""

from __future__ import annotations

from typing import Any

from hypervisor.agents import rights
from hypervisor.caller import Caller
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
    told: dict[str, Any] = {"queue": queue, "left": left, "counts": counts}
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
    yes = agreed or sum(counts.values()) <= (row["yes_up_to"] or 0)
    return told | {
        "step": "workers" if workers and counts["ready"] else "wait",
        "workers": workers,
        "ask": left > settings.limits.ask_above and not yes,
        "tokens": None if cost["tokens"] is None else round(cost["tokens"] * left),
        "seconds": None if seconds is None else round(seconds * left / wanted),
    }


def has_agreed(ledger: Ledger, queue: str, client: Caller) -> bool:
    """True if the user has agreed to go on with `queue`, as far as one can know.

    A person in a terminal says it by the call itself. A session may only pass it on: that its user
    has been asked, and has answered, is known by its hooks. Where they are not heard, one that has
    a user is believed.
    """
    if client.session is None:
        return True
    if ledger.has_agreed(client.session, ledger.queue_row(queue)):
        return True
    known = ledger.session(client.session)
    heard = known is not None and known["heard_at"] is not None
    return not heard and not client.headless


def lines(told: dict[str, Any], *, headless: bool = False, branch: bool = False) -> list[str]:
    """Return a plan as words for the agent that carries it out.

    A `headless` session ends with its turn, so it waits in the foreground instead. With `branch`
    its workers are those that have a worktree of their own.
    """
    kind = " of type hypervisor:worker-isolated" if branch else ""
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
            "Stop: the workers lacked the permissions that this plugin's hooks and its skill give.",
            f"The user goes on with: /hypervisor:resume {name}",
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
    if told["ask"] and headless:
        total = sum(told["counts"].values())
        return [
            *shown,
            "Nobody can be asked here, so nothing more is spent. Tell these figures and end your",
            f"turn. The user goes on with: /hypervisor:resume {name}",
            f"or says yes beforehand: /hypervisor SOURCE --yes-up-to {total}",
        ]
    if told["ask"]:
        return [
            *shown,
            "Ask the user now, in this turn, with AskUserQuestion: these figures, and the answers",
            f"Yes and No. After a yes: hypervisor plan {name} --go-on{again}",
            "Without that tool, tell the figures and end your turn; a yes may come later.",
        ]
    shown += [
        f"Start {told['workers']} workers{kind} in the background, in one message, each with the "
        f"prompt: queue {name}",
        f"{rest.capitalize()}." + ("" if headless else " Never poll: you will be told."),
    ]
    return shown
