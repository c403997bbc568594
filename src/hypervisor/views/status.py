"""Where a queue stands: its counts, its pace, who works on it, and what wants a look.

One picture for all who show it: `status` in text and as JSON, and the live view. The shape is
described by `schemas/status.schema.json`; what is not known is None, never 0.
"""

from __future__ import annotations

import time

from hypervisor.ledger import budget, outcomes, proofs, schema
from hypervisor.ledger.findings import spent_on
from hypervisor.ledger.outcomes import ODD
from hypervisor.ledger.usage import tokens_of
from hypervisor.system import hook_errors
from hypervisor.system.clients import HOST
from hypervisor.system.notes import VARIABLE, home
from hypervisor.system.spans import moment, narrow, until
from hypervisor.system.state import LEDGER, shown
from hypervisor.system.text import count, either, one_line, prose
from hypervisor.worker import detached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger import Ledger
    from hypervisor.ledger.options import Queue
    from hypervisor.ledger.rows import Agent
    from hypervisor.views.shapes import Held, Left, Pool, Problem, Status, Worker

NOTHING = "no queues here; hypervisor open QUEUE SOURCE"
# What wants a look, the most pressing first.
KINDS = (
    "budget", "paused", "detached", "permissions", "still", "silent", *ODD, "waiting", "missing",
    "pending", "unmerged", "notify",
)  # fmt: skip
# The pace is that of so many last items.
_PACE = 100
_TROUBLED = 5
# A worker that says nothing for so long, or has less than this share of its lease left, is shown.
SILENT_SECONDS = 600
_LEASE_LEFT = 0.25
# Nobody at work for so long is worth a word: workers that start take a while to claim.
_STILL_SECONDS = 120
_KILLED = "is gone: it was killed, or the machine was restarted"
# An older error of a hook is no news.
_RECENT_ERROR = 86400.0


def standing(ledger: Ledger, queue: Queue) -> Status:
    """Return where a queue (its row) stands."""
    counts = ledger.queues.counts(queue.no)
    state = state_of(queue.state, counts)
    workers = _workers(ledger, queue.no)
    pace = _pace(ledger, queue) if state == "open" and counts["claimed"] else None
    aside = len(ledger.narrowing.aside(queue.no))
    left = counts["ready"] + counts["claimed"] + counts["waiting"] - aside
    known = ledger.terms.tokens_used(queue.no)
    usd, without = ledger.terms.usd_used(queue.no)
    told: Status = {
        "queue": queue.name,
        "state": state,
        "reason": queue.reason or None,
        "resume_at": queue.resume_at,
        "total": sum(counts.values()),
        "counts": counts,
        "proof": ledger.queries.proofs(queue.no),
        "to_be_tried_again": ledger.queries.again(queue.no),
        "set_aside": {"items": aside, "where": ledger.narrowing.condition(queue.no)}
        if aside
        else None,
        "per_minute": None if pace is None else round(pace * 60, 2),
        "eta_seconds": None if not pace else round(left / pace),
        "tokens": known,
        "tokens_exact": None if known is None else tokens_exact(ledger, queue.no),
        "usd": None if usd is None or without else round(usd, 6),
        "budget": budget.spent(ledger, queue),
        "workers": workers,
        "detached": _detached(ledger, queue),
    }
    told["problems"] = _problems(ledger, queue, told)
    return told


def left(ledger: Ledger, queue: Queue) -> list[Left]:
    """Return the items of a queue (its row) that have not ended, in order: `id`, `title`, `state`
    (claimed, ready, waiting, or set aside), what it is told as (`standing`), why its last attempt
    ended (`after`), who has it (`worker`) and what it `waits_for`."""
    at_work = {row.id: row.agent or row.worker for row in ledger.queries.workers(queue.no)}
    waits = ledger.queries.waits_in(queue.no)
    found: list[Left] = []
    for row in ledger.items.open_rows(queue.name):
        state = "set aside" if row.aside and row.state == "waiting" else row.state
        standing = outcomes.standing(row.state, row.first_claimed_at, spent_on(row), row.cause)
        found.append(
            {
                "id": row.id,
                "title": row.title,
                "state": state,
                "standing": standing.word,
                "after": outcomes.earlier(row.state, row.first_claimed_at, row.cause),
                "worker": at_work.get(row.id),
                "waits_for": waits.get(row.no, []),
            }
        )
    return found


def state_of(state: str, counts: dict[str, int]) -> str:
    """Return the state of a queue as people call it: open, paused, cancelled or drained."""
    if state == "open" and not counts["ready"] and not counts["claimed"]:
        return "drained"
    return state


def line(told: Status, *, proof: bool = False) -> str:
    """Return one line of text for a standing; with `proof` it says how far what is done is known
    to be so."""
    aside = told["set_aside"]["items"] if told["set_aside"] else 0
    done = proofs.told(told["proof"]) if proof else None
    counts = outcomes.counted(told["counts"], told["to_be_tried_again"], aside, done)
    why = f" ({one_line(told['reason'], 80)})" if told["reason"] else ""
    name = one_line(told["queue"], 60)
    return f"{name}: {told['state']}{why}, {count(told['total'], 'item')}: {counts}"


def unnoted(ledger: Ledger) -> str | None:
    """Return in a line that the user's own folder of state can't be written, or None."""
    # Twice: an item may end between the two looks that it takes.
    if ledger.store.engine.ends_are_noted() or ledger.store.engine.ends_are_noted():
        return None
    return (
        f"{one_line(home(), 200)} can't be written, so an older ledger that is restored would go "
        f"unnoticed; make it writable for you, or set {VARIABLE} to a folder that is"
    )


def held_back(ledger: Ledger) -> str | None:
    """Return in a line that somebody else reads the ledger for so long that it grows, or None."""
    log = None if ledger.is_shared else ledger.state.folder.look(f"{LEDGER}-wal")
    if log is None or log.st_size <= 2 * schema.LARGEST_LOG:
        return None
    from hypervisor.system.processes import holders

    path = shown(ledger.root, LEDGER)
    those = [f"{name} ({pid})" for pid, name in holders(path)]
    who = one_line(", ".join(those) or "another program", 200)
    return (
        f"the ledger's log has grown to {log.st_size / 1e6:.0f} MB, since another program keeps "
        f"reading the ledger: {who}; end that program"
    )


def hook_error(root: str) -> str | None:
    """Return in a line what last went wrong in a hook at `root`, or None."""
    told = hook_errors.last(root)
    if told is None or time.time() - told[1] > _RECENT_ERROR:
        return None
    text = told[0].strip().splitlines()
    return (
        f"a hook failed: {one_line(text[-1], 120)} (.hypervisor/hook-error.txt)" if text else None
    )


def used(one: Status) -> str:
    """Return the tokens of a standing for people; a lower bound is told as one."""
    return ("" if one["tokens_exact"] else "at least ") + tokens(one["tokens"])


def tokens(value: float | None) -> str:
    """Return a number of tokens for people: 950, 12.3k, 4.56M; "?" where it is not known."""
    if value is None:
        return "?"
    if value < 1000:
        return str(value)
    return f"{value / 1000:.1f}k" if value < 999_950 else f"{value / 1_000_000:.2f}M"


def tokens_exact(ledger: Ledger, queue: int) -> bool:
    """True if the tokens of a queue are all that was used for it; else they are a lower bound."""
    from hypervisor.ledger import usage

    agents = ledger.agents.of_queue(queue)
    known = all(row.input_tokens is not None for row in agents)
    if not known or usage.missing(agents, unaccounted=False):
        return False
    return not ledger.agents.unaccounted(queue)


def _detached(ledger: Ledger, queue: Queue) -> Pool | None:
    """Return the last pool of a queue that was detached, but for one that has drained it."""
    known = detached.find(ledger.state, queue.name)
    if known is None or known.why == "drained":
        return None
    return {
        "id": known.id,
        "alive": known.alive,
        "started_at": round(known.started_at, 3),
        "log": known.log,
        "ended": known.why or None,
        "command": known.command(ledger.root),
    }


def _workers(ledger: Ledger, queue: int) -> list[Worker]:
    """Return who works on a queue: those that hold items, then agents between two items."""
    now, clock = time.time(), ledger.store.engine.lease_clock()
    agents = {row.id: row for row in ledger.agents.of_queue(queue)}
    found: dict[str, Worker] = {}
    for row in ledger.queries.workers(queue):
        known = agents.get(row.agent or "")
        told = found.get(row.agent or row.worker)
        held: Held = {
            "id": row.id,
            "title": row.title,
            "token": row.token,
            "claimed_at": round(row.claimed_at, 3),
            "lease_seconds": row.lease_ms / 1000,
            "lease_left_seconds": round((row.lease_until - clock) / 1e6, 1),
        }
        if told is None:
            name = row.agent or row.worker
            found[name] = told = _worker(name, row.session, known, now)
        told["holds"].append(held)
    for agent in agents.values():
        if agent.ended_at is None and agent.id not in found:
            found[agent.id] = _worker(agent.id, agent.session, agent, now)
    return list(found.values())


def _worker(name: str, session: str | None, agent: Agent | None, now: float) -> Worker:
    used = None
    if agent is not None and agent.input_tokens is not None:
        used = sum(count or 0 for count in tokens_of(agent))
    seen = None if agent is None else agent.seen_at
    return {
        "worker": name,
        "session": session,
        "holds": [],
        "last_tool": None if agent is None else agent.last_tool,
        "seen_at": None if seen is None else round(seen, 3),
        "tokens": used,
    }


def _pace(ledger: Ledger, queue: Queue) -> float | None:
    """Return how many items end in a second, told by the last ones, or None.

    A time in which the queue was paused or at rest is not counted.
    """
    since = ledger.queries.at_work_since(queue.no)
    ends = [end for end in ledger.queries.last_ends(queue.no, _PACE) if end >= since]
    if not ends:
        return None
    # From the oldest of them on; where there are few, from the first claim on, so that workers
    # that started together and end together do not look faster than they are.
    begun, done = ends[-1], len(ends) - 1
    if len(ends) < _PACE:
        begun, done = max(since, ledger.terms.started_at(queue) or 0), len(ends)
    took = time.time() - begun
    return done / took if done and took > 0 else None


def _problems(ledger: Ledger, queue: Queue, told: Status) -> list[Problem]:
    """Return what wants a look, the most pressing first: `kind`, `text`, and the command `fix`."""
    name, counts, state = queue.name, told["counts"], told["state"]
    found: list[Problem] = []

    def problem(kind: str, text: str, fix: str | None = None) -> None:
        found.append({"kind": kind, "text": text, "fix": fix})

    pool, typed = told["detached"], detached.command(ledger.state, name)
    used_up = budget.reached(ledger, queue) if told["budget"] else None
    if used_up and state in ("open", "paused"):
        rest = (
            f"{count(counts['ready'], 'item')} {either(counts['ready'], 'stays', 'stay')} untried"
        )
        problem("budget", f"{used_up}; {rest}", budget.more(ledger, queue))
    elif state == "paused":
        why = f": {one_line(queue.reason, 100)}" if queue.reason else ""
        if queue.resume_at is None:
            problem("paused", f"paused{why}", budget.goes_on(ledger, queue))
        else:
            then = f"paused{why}; reopens by itself at {until(queue.resume_at)}"
            if (pool and pool["alive"]) or ledger.followers.is_attended(queue.no):
                problem("paused", f"{then}, and its session or pool goes on")
            elif pool is None:
                gone = f"{then}, but nobody is waiting for that"
                branch = " --branch" if queue.branches else ""
                problem("paused", gone, typed or f"hypervisor work {name} --agent {HOST}{branch}")
            else:
                problem("paused", then)
    left = counts["ready"] + counts["claimed"]
    others = [one for one in told["workers"] if not pool or one["session"] != pool["id"]]
    if pool and not pool["alive"] and left and state in ("open", "paused") and not others:
        how = f"has ended ({one_line(pool['ended'], 80)})" if pool["ended"] else _KILLED
        problem("detached", f"its pool {pool['id']} {how}; {left} left", pool["command"])
    rules = ledger.agents.permissions(name) if state == "open" else []
    if rules:
        listed = ", ".join(one_line(rule, 60) for rule in rules[:5])
        problem("permissions", f"workers lacked permissions: {listed}", f"hypervisor plan {name}")
    if state == "open" and counts["ready"] and not told["workers"]:
        last = (ledger.queries.last_ends(queue.no, 1) or [0.0])[0]
        idle = time.time() - max(last, ledger.queries.at_work_since(queue.no))
        if last and idle > _STILL_SECONDS:
            text = f"{count(counts['ready'], 'item')} left, and nobody at work for {narrow(idle)}"
            problem("still", text, typed or f"hypervisor plan {name}")
    for worker in told["workers"]:
        if late := _late(worker):
            problem("silent", late)
    for outcome in ODD:
        for row in ledger.queries.troubled(queue.no, outcome, _TROUBLED) if counts[outcome] else ():
            problem(outcome, f"{outcome} {one_line(row.id, 60)}: {prose(row.why, 120)}")
        if counts[outcome] > _TROUBLED:
            more = f"{counts[outcome] - _TROUBLED} more {outcome}"
            problem(outcome, more, f"hypervisor retry {name} --{outcome}")
        elif counts[outcome]:
            found[-1]["fix"] = f"hypervisor retry {name} --{outcome}"
    waiting = counts["waiting"] - (told["set_aside"]["items"] if told["set_aside"] else 0)
    if state == "drained" and waiting:
        from hypervisor.worker import nothing_ready

        wait = either(waiting, "waits", "wait")
        awaited = nothing_ready.awaited(ledger, queue)
        problem("waiting", f"{count(waiting, 'item')} {wait} for {awaited}")
    if state == "open" and counts["ready"]:
        from hypervisor.worker import nothing_ready, presence

        missing, _ = presence.missing(ledger, name)
        if missing:
            text = nothing_ready.told_missing(missing, len(missing))
            problem("missing", text, f"hypervisor cancel {name} --missing")
    aside = len(ledger.branches.set_aside_rows(name)) if counts["blocked"] else 0
    if aside:
        text = f"{count(aside, 'branch')} set aside: to be merged by hand, or retried"
        problem("unmerged", text, f"hypervisor integrate {name}")
    pending = ledger.queries.pending_of(queue.no)
    unwritten = [(id, why) for id, why in pending if why != "merge"]
    if unwritten:
        id, why = unwritten[0]
        why = f"{one_line(id, 60)}: {one_line(why, 120)}"
        number = len(unwritten)
        where = either(number, "is not in its file", "are not in their files")
        problem("pending", f"{count(number, 'report')} {where}: {why}")
    if len(pending) > len(unwritten):
        branches = len(pending) - len(unwritten)
        problem("unmerged", f"{count(branches, 'branch')} to merge", f"hypervisor integrate {name}")
    if unsent := ledger.notifications.trouble(queue.no):
        again = f"{unsent.waiting} waiting, next try at {moment(unsent.next_at)}"
        why = one_line(unsent.error, 120)
        problem(
            "notify", f"news to {one_line(queue.notify, 40)} can't be delivered: {why}; {again}"
        )
    return sorted(found, key=lambda one: KINDS.index(one["kind"]))


def _late(worker: Worker) -> str | None:
    """Return in words that a worker says nothing although it holds items, or None."""
    if not worker["holds"]:
        return None
    held = min(worker["holds"], key=lambda one: one["lease_left_seconds"])
    left = held["lease_left_seconds"]
    silent = None if worker["seen_at"] is None else time.time() - worker["seen_at"]
    if left > held["lease_seconds"] * _LEASE_LEFT and (silent is None or silent < SILENT_SECONDS):
        return None
    quiet = f", silent for {narrow(silent)}" if silent is not None else ""
    name, item = one_line(worker["worker"], 40), one_line(held["id"], 60)
    return f"{name} on {item}{quiet}: its lease ends in {narrow(left)}"
