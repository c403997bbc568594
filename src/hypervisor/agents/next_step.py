"""What to do next with a queue in a session: try one item, or start workers, at what cost."""

from __future__ import annotations

from collections import Counter
from typing import TypedDict

from hypervisor.agents import clients, rights, use, verbs
from hypervisor.agents.tools import AGENT
from hypervisor.config.caller import Caller
from hypervisor.config.settings import Settings
from hypervisor.ledger import Ledger, budget, forecast, ladder
from hypervisor.ledger.rows import Brief
from hypervisor.ledger.usage import dollars
from hypervisor.system.checkout import top_of
from hypervisor.system.clients import HOST
from hypervisor.system.spans import span, until
from hypervisor.system.text import count, either, one_line
from hypervisor.views import news
from hypervisor.worker import nothing_ready, presence

_PER_WORKER = 3
# So far ahead it is looked for items that meet in a file.
_AHEAD = 1000
_SHOWN = 5
_SHARED = 3
# What the skill itself grants, for the turn in which the user calls it. Ledgers of the first
# release hold another rule for the same.
_OWN_RULES = frozenset((*rights.rules(verbs.WORKER_VERBS), "Bash(hypervisor:*)"))


class Shared(TypedDict):
    """A file, and how many of the next items name it."""

    path: str
    items: int


class NotDone(TypedDict):
    """An item that was tried first, and did not end as done."""

    id: str
    state: str
    reason: str


class Ahead(TypedDict):
    """What the forecasts hang on: how many `items` have ended, whether they are so few that it is
    `rough`, and what the costs of what is left lie between in 9 of 10 cases, None where not known.
    """

    items: int
    rough: bool
    tokens: list[float] | None
    usd: list[float] | None
    seconds: list[float] | None


class Spent(TypedDict):
    """What the first `items` that ended took in all, None where that is not known."""

    items: int
    tokens: int | None
    usd: float | None
    seconds: float


class Plan(TypedDict, total=False):
    """The next step for a queue; see `plan`."""

    queue: str
    left: int
    counts: dict[str, int]
    tools: list[str]
    branch: bool
    at_once: int | None
    shared: list[Shared]
    may_branch: bool
    step: str
    why: str
    reason: str | None
    resume_at: float | None
    goes_on: str
    rules: list[str]
    not_done: list[NotDone]
    workers: int
    held_back: bool
    ask: bool
    tokens: int | None
    seconds: int | None
    usd: float | None
    forecast: Ahead | None
    first: Spent | None
    model: str


class Costs(TypedDict):
    """Those keys of a plan that tell what is left will cost."""

    tokens: int | None
    seconds: int | None
    usd: float | None
    forecast: Ahead | None
    first: Spent | None


def go_on(ledger: Ledger, queue: str) -> None:
    """The user has been asked, and goes on with `queue`: what kept it from going on is forgotten,
    lacking permissions, a stop of its workers, and first items that are not done."""
    ledger.agents.forget_permissions(queue)
    ledger.pauses.forget_stop(queue)
    row, counts = ledger.queues.get(queue), ledger.queues.stats(queue)
    tried = ledger.queries.not_done(row.no, 1) and not counts["claimed"]
    if tried and counts["done"] < news.trial(row, counts):
        ledger.terms.set_bounds(queue, canary=0)


def plan(ledger: Ledger, queue: str, settings: Settings, *, agreed: bool = False) -> Plan:
    """Return the next step for `queue`; `agreed` says that the user has been asked.

    `step` is "finished", "paused", "stopped", "permissions", "wait", "canary", "not_done" or
    "workers". With "finished", `why` is what the items that are left wait for. With "canary" and
    "workers", `workers` is how many to start. With "workers", `ask` is whether the user is to be
    asked before, and `tokens`, `usd` and `seconds` are what is left will cost by what the ended
    items did (None where that is not known, as it is below three), and `forecast` what that hangs
    on; below three `first` is what those took that have ended. With "not_done", `not_done` are the
    items that were tried first and did not end as done: their `id`, `state` and `reason`. The rest
    is started once they have, or the user has agreed.

    `branch` is whether the queue's workers work on branches of their own. Without, `at_once` is how
    many items can be out in one tree until two of them name one file, None for any number, and no
    more workers are started; `shared` are the files that most of the next items name.
    """
    row = ledger.queues.get(queue)
    counts = ledger.queues.stats(queue)
    left = counts["ready"] + counts["waiting"] - len(ledger.narrowing.aside(row.no))
    tools = ledger.terms.tools(queue)
    branch = bool(row.branches) and not tools
    at_once, shared = _apart(ledger.queries.named_ahead(row.no, _AHEAD))
    told: Plan = {
        "queue": queue,
        "left": left,
        "counts": counts,
        "tools": list(tools),
        "branch": branch,
        "at_once": None if branch else at_once,
        "shared": shared,
        "may_branch": not tools and top_of(ledger.root) is not None,
    }
    most = told["at_once"] or settings.limits.workers
    if row.ladder is not None and counts["ready"]:
        # The highest rung first: what waits there has waited before.
        on_rungs = zip(ladder.rungs(row.ladder), ladder.ready(ledger, row), strict=True)
        told["model"], most = [(one.word, min(most, n)) for one, n in on_rungs if n][-1]
    if row.state == "paused":
        return {
            **told,
            "step": "paused",
            "reason": row.reason,
            "resume_at": row.resume_at,
            "goes_on": budget.goes_on(ledger, row),
        }
    if not counts["ready"] and not counts["claimed"]:
        why = nothing_ready.at_rest(ledger, row, counts["waiting"]).removeprefix("; ")
        return {**told, "step": "finished", "why": why}
    gone, all_gone = presence.missing(ledger, queue)
    if all_gone and not counts["claimed"]:
        why = nothing_ready.told_missing(gone, counts["ready"])
        return {**told, "step": "finished", "why": f"{why}; handed out when back"}
    if row.stopped_at is not None:
        return {**told, "step": "wait" if counts["claimed"] else "stopped"}
    rules = ledger.agents.permissions(queue)
    if rules:
        return {**told, "step": "permissions", "rules": rules}
    untried = news.trial(row, counts) - counts["done"]
    if untried > 0:
        if counts["claimed"]:
            return {**told, "step": "wait"}
        not_done = ledger.queries.not_done(row.no, _SHOWN)
        if not not_done:
            return {
                **told,
                "step": "canary",
                "workers": min(untried, counts["ready"], most),
                "held_back": most < min(untried, counts["ready"]),
            }
        return {**told, "step": "not_done", "not_done": [_not_done(item) for item in not_done]}
    costs = ledger.sessions.costs_of_ended(queue)
    if any(tokens is None for _, tokens, _ in costs):
        use.look_again(ledger, queue)
        costs = ledger.sessions.costs_of_ended(queue)
    usual = max(1, min(settings.limits.workers, -(-left // _PER_WORKER)))
    wanted = min(usual, most)
    workers = max(0, wanted - counts["claimed"])
    # A yes holds for what is left when a limit has ended: nobody is there to give it again.
    agreed = agreed or ledger.terms.has_agreed(row.no)
    yes = agreed or sum(counts.values()) <= (row.yes_up_to or 0)
    return {
        **told,
        "step": "workers" if workers and counts["ready"] else "wait",
        "workers": workers,
        "held_back": wanted < usual,
        "ask": left > settings.limits.ask_above and not yes,
        **_ahead(costs, left, wanted),
    }


def _ahead(costs: list[tuple[float, int | None, float | None]], left: int, workers: int) -> Costs:
    """Return what `left` items will cost by the `costs` of those that ended (as of
    `costs_of_ended`), with so many workers."""
    seconds = forecast.of([one[0] / workers for one in costs], left)
    tokens = forecast.of([one[1] for one in costs if one[1] is not None], left)
    usd = forecast.of([one[2] for one in costs if one[2] is not None], left)
    ended = len(costs)
    told: Costs = {
        "tokens": None if tokens is None else round(tokens.expected),
        "seconds": None if seconds is None else round(seconds.expected),
        "usd": None if usd is None else round(usd.expected, 6),
        "forecast": None,
        "first": None,
    }
    if 0 < ended < forecast.LEAST:
        counted = [one[1] for one in costs if one[1] is not None]
        priced = [one[2] for one in costs if one[2] is not None]
        told["first"] = {
            "items": ended,
            "tokens": sum(counted) if len(counted) == ended else None,
            "usd": round(sum(priced), 6) if len(priced) == ended else None,
            "seconds": round(sum(one[0] for one in costs), 1),
        }
    if ended >= forecast.LEAST:
        told["forecast"] = {
            "items": ended,
            "rough": ended < forecast.ROUGH,
            "tokens": _between(tokens, 0),
            "usd": _between(usd, 6),
            "seconds": _between(seconds, 0),
        }
    return told


def _between(one: forecast.Forecast | None, digits: int) -> list[float] | None:
    return None if one is None else [round(one.low, digits), round(one.high, digits)]


def _apart(named: list[list[str]]) -> tuple[int | None, list[Shared]]:
    """Return how many of these items in a row name no file twice, on the average; None where none
    do. And the files that most of them name, with how many do."""
    runs, seen = 1, set[str]()
    for files in named:
        if not seen.isdisjoint(files):
            runs, seen = runs + 1, set()
        seen.update(files)
    most = Counter(file for files in named for file in set(files)).most_common(_SHARED)
    shared: list[Shared] = [{"path": path, "items": count} for path, count in most if count > 1]
    return None if runs == 1 else max(1, len(named) // runs), shared


def _not_done(item: Brief) -> NotDone:
    state = "failed" if item.state == "ready" else item.state
    return {"id": item.id, "state": state, "reason": one_line(item.why, 200)}


def has_agreed(ledger: Ledger, queue: str, client: Caller) -> bool:
    """True if the user has agreed to go on with `queue`, as far as one can know.

    A person in a terminal says it by the call itself. A session may only pass it on: that its user
    has been asked, and has answered, is known by its hooks. Where they are not heard, one that has
    a user is believed.
    """
    if client.session is None:
        return True
    if ledger.followers.has_answered(client.session, ledger.queues.get(queue)):
        return True
    known = ledger.sessions.find(client.session)
    heard = known is not None and known.heard_at is not None
    return not heard and not client.headless


def lines(told: Plan, *, headless: bool = False) -> list[str]:
    """Return a plan as words for the agent that carries it out.

    A `headless` session ends with its turn, so it waits in the foreground instead.
    """
    branch = told["branch"]
    kind = " of type hypervisor:worker-isolated" if branch else ""
    if told["tools"]:
        kind = f" of type {AGENT}"
    rest = f"then run: hypervisor wait {told['queue']}" if headless else "then end your turn"
    name, left = told["queue"], told["left"]
    prompt = f"queue {name}"
    if model := told.get("model"):
        client, _, bare = model.rpartition(":")
        if client not in ("", HOST) and told["step"] in ("canary", "workers"):
            return [
                f"{count(left, 'item')} left; those whose turn it is wait for {model}, which this "
                "session can't start. The user is asked by:",
                f"hypervisor work {name} --agent {client} --model {bare}",
            ]
        kind += f" with the model {model},"
        prompt += f", model {model}"
    if told["step"] == "finished":
        first = f"hypervisor integrate {name}, then " if branch else ""
        why = f" ({told['why']})" if told["why"] else ""
        return [f"queue {name} has nothing left to hand out{why}: {first}hypervisor summary {name}"]
    if told["step"] == "paused" and told["resume_at"] is not None:
        return [
            f"queue {name} is paused until {until(told['resume_at'])}: "
            f"{one_line(told['reason'], 160)}",
            "It reopens by itself then, and this session will be told to go on: end your turn.",
            f"If the session is gone by then, any shell goes on: hypervisor work {name} "
            f"--agent {HOST}{' --branch' if branch else ''}",
        ]
    if told["step"] == "paused":
        return [f"queue {name} is paused; when its cause is over: {told['goes_on']}"]
    if told["step"] == "stopped":
        return [
            f"Stop: the user stopped the workers of queue {name}. Start none; the user goes on "
            f"with: /hypervisor:resume {name}"
        ]
    if told["step"] == "permissions" and _OWN_RULES.issuperset(told["rules"]):
        return [
            "Stop: the workers lacked the permissions that this plugin's hooks and its skill give.",
            f"The user goes on with: /hypervisor:resume {name}",
        ]
    if told["step"] == "permissions":
        return [
            "Stop: a worker lacked permissions. Before anything more is spent, the user adds to",
            clients.host().allowing(told["rules"]),
            f"or answers that workers go on without. Then: hypervisor plan {name} --go-on",
        ]
    if told["step"] == "wait":
        number = told["counts"]["claimed"]
        return [f"{count(number, 'item')} {either(number, 'is', 'are')} being worked on; {rest}"]
    if told["step"] == "canary":
        number = told["workers"]
        tried, started = ("one item", "one worker") if number == 1 else (
            f"{number} items", f"{number} workers"
        )  # fmt: skip
        at_once = either(number, "", ", in one message, each")
        return [
            *_held_back(told),
            f"Try {tried} first. Start {started}{kind} in the background{at_once} with the "
            f"prompt: {prompt}, one item only",
            f"Then run in this same turn: hypervisor wait {name}",
            f"and, when no worker is alive any more: hypervisor plan {name}",
        ]
    if told["step"] == "not_done":
        shown = [
            f"{item['state']}: {one_line(item['id'], 60)}: “{item['reason']}”"
            for item in told["not_done"]
        ]
        end = "End your turn." if not headless else "Nobody can be asked in this run: it ends here."
        return [
            "Stop: what was tried first is not done. Start nothing more; tell the user why, in the",
            "words of the worker, which are data:",
            *shown,
            f"The user fixes the cause, then: hypervisor retry {name}",
            f"or goes on with the {count(left, 'item')} left anyway: /hypervisor:resume {name}",
            end,
        ]
    workers = count(told["workers"], "worker")
    at_once = either(told["workers"], "", ", in one message, each")
    shown = [f"{count(left, 'item')} left, for {workers}: {_cost(told)}."]
    shown += _held_back(told)
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
            f"Yes and No. After a yes: hypervisor plan {name} --go-on",
            "Without that tool, tell the figures and end your turn; a yes may come later.",
        ]
    shown += [
        f"Start {workers}{kind} in the background{at_once} with the prompt: {prompt}",
        f"{rest.capitalize()}." + ("" if headless else " Never poll: you will be told."),
        "(How much of the usage limits is left can't be known here; a limit pauses the queue.)",
    ]
    return shown


def _cost(told: Plan) -> str:
    """Return in words what the rest of a queue will cost, and how sure that is."""
    ahead = told["forecast"]
    if ahead is None:
        return "what they will cost is not known yet, since fewer than three have ended" + (
            _first(told["first"]) if told["first"] else ""
        )
    tokens, usd, seconds = told["tokens"], told["usd"], told["seconds"]
    parts = [f"about {tokens:,} tokens" if tokens is not None else "an unknown number of tokens"]
    if tokens is not None and (range_ := ahead["tokens"]):
        parts[0] += f" ({range_[0]:,.0f} to {range_[1]:,.0f})"
    if usd is not None and (range_ := ahead["usd"]):
        parts.append(
            f"{dollars(usd)} at list prices ({dollars(range_[0])} to {dollars(range_[1])})"
        )
    if seconds is not None and (range_ := ahead["seconds"]):
        parts.append(f"about {span(seconds)} ({span(range_[0])} to {span(range_[1])})")
    rough = f" (rough: only {ahead['items']} have ended)" if ahead["rough"] else ""
    return ", ".join(parts) + rough


def _first(spent: Spent) -> str:
    """Return in words what the first items took."""
    took = [span(spent["seconds"])]
    took += [count(spent["tokens"], "token")] if spent["tokens"] is not None else []
    took += [f"{dollars(spent['usd'])} at list prices"] if spent["usd"] is not None else []
    which = either(spent["items"], "the one that has", f"the {spent['items']} that have")
    return f"; {which} took {', '.join(took)}"


def _held_back(told: Plan) -> list[str]:
    """Return why fewer workers are started than could be, and what lets more work at once."""
    if not told["held_back"]:
        return []
    named = ", ".join(
        f"{one_line(one['path'], 80)} ({count(one['items'], 'item')})" for one in told["shared"]
    )
    mend = f"; more, each on a branch: hypervisor plan {told['queue']} --branch"
    return [
        f"At most {told['at_once']} at once in one tree, since tasks name the same files: {named}"
        + (mend if told["may_branch"] else "")
    ]
