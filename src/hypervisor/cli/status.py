"""`hypervisor status`: where each queue stands."""

from __future__ import annotations

import time

from hypervisor.agents import reconcile
from hypervisor.cli import options
from hypervisor.cli.place import root_of_queue
from hypervisor.config.caller import Caller
from hypervisor.ledger import Ledger, proofs, usage
from hypervisor.ledger.outcomes import AGAIN, AT_WORK, STANDING, UNTRIED
from hypervisor.system.spans import span
from hypervisor.system.text import count, one_line, prose, shortened
from hypervisor.views import status

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from hypervisor.views.shapes import Left, Status, Worker

SUMMARY = "where each queue stands: items by state, workers and problems"
EXAMPLE = "hypervisor status inbox"
# A conversation shows all of it: so many lines for a queue, and queues with more than one line.
_PROBLEMS = 6
_WORKERS = 6
_DETAILED = 4
_ENDED = 20
# Of each kind of what is left, and so much of the reason of an earlier attempt.
_NAMED = 20
_AFTER = 100
_GROUPS = (
    AT_WORK.title, AGAIN.title, "ready", "waiting", "set aside",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", nargs="?", help="only this queue (default: all of this project)")
    parser.add_argument("--watch", action="store_true", help="keep showing it, live")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Print where one queue stands, or all of them."""
    if args.watch:
        from hypervisor.cli.watch import watch

        return watch(root_of_queue(args.queue), args.queue, as_json=args.json)
    root = root_of_queue(args.queue)
    with Ledger.open(root, look=True) as ledger:
        reconcile.settle(ledger, limit=None, tell=True)
        rows = [ledger.queues.get(args.queue)] if args.queue else ledger.queues.all()
        told = [status.standing(ledger, row) for row in rows]
        if args.queue:
            told[0]["left"] = status.left(ledger, rows[0])
        session = None if args.json else Caller().session
        unnoted, held_back = status.unnoted(ledger), status.held_back(ledger)
        news = _news(ledger, session) if session else None
    if args.json:
        from hypervisor.system.quick_json import dumps

        print(dumps(told[0] if args.queue else {"queues": told}, ensure_ascii=False))
        return 0
    print("\n".join(_lines(told, bool(args.queue))) or status.NOTHING)
    for trouble in (status.hook_error(root), unnoted, held_back):
        if trouble:
            print(f"! {trouble}")
    if news:
        print(news)
    if session and (moved := _moved()):
        print(moved)
    return 0


def _news(ledger: Ledger, session: str) -> str | None:
    from hypervisor.views import news as digest

    return digest.take(ledger, session, by="status")


def _moved() -> str | None:
    from hypervisor.agents import clients

    return clients.host().started()


def told_of(ledger: Ledger, queue: str) -> str:
    """Return one line on where `queue` stands."""
    return status.line(status.standing(ledger, ledger.queues.get(queue)))


def _lines(told: list[Status], named: bool) -> list[str]:
    """Return the text: ended queues with a line each, those at work with more."""
    ended = [one for one in told if one["state"] in ("drained", "cancelled", "replaced")]
    hidden = {id(one) for one in ended[:-_ENDED]}
    shown, detailed = [], 0
    for one in told:
        if id(one) in hidden:
            continue
        more = named or (one["state"] in ("open", "paused") and detailed < _DETAILED)
        shown.append(status.line(one, proof=not more))
        if more:
            shown += detail(one)
            detailed += 1
    if hidden:
        shown.append(f"… and {count(len(hidden), 'queue')} that ended before (--json lists all)")
    return shown


def detail(one: Status) -> list[str]:
    """Return what follows a queue's line, indented: pace, problems, workers; bounded."""
    shown = [f"  {proof}"] if (proof := proofs.told(one["proof"])) else []
    pace = _pace(one)
    if pace:
        shown.append(f"  {pace}")
    if one["usd"] is not None:
        least = "" if one["tokens_exact"] else "at least "
        shown.append(f"  cost: {least}{usage.dollars(one['usd'])} at list prices")
    if aside := one["set_aside"]:
        shown.append(
            f"  {aside['items']} set aside, not {one_line(aside['where'], 100)}; "
            f"bring all back: hypervisor open {one['queue']} --where all"
        )
    if (pool := one["detached"]) and pool["alive"]:
        since = span(time.time() - pool["started_at"])
        follow = f"hypervisor work {one['queue']} --attach"
        at_work = f"has been at work in the background for {since}"
        shown.append(f"  {pool['id']} {at_work}; its log: {follow}")
    shown += _left(one.get("left", []))
    problems = one["problems"]
    for problem in problems[:_PROBLEMS]:
        shown.append(f"  ! {problem['text']}")
        if problem["fix"]:
            shown.append(f"    {problem['fix']}")
    if len(problems) > _PROBLEMS:
        shown.append(f"  ! … and {len(problems) - _PROBLEMS} more (--json lists all)")
    workers = [_worker(worker) for worker in one["workers"]]
    workers = shortened(workers, _WORKERS, "more workers (--json lists all)")
    return shown + [f"  {line}" for line in workers]


def _left(items: list[Left]) -> list[str]:
    """Return the names of what is left, a line for each state."""
    shown = []
    for group in _GROUPS:
        those = [item for item in items if _group(item) == group]
        named = [_name(item) for item in those[:_NAMED]]
        more = f" and {len(those) - _NAMED} more (--json lists all)" if len(those) > _NAMED else ""
        if named:
            shown.append(f"  {group}: {', '.join(named)}{more}")
    return shown


def _group(item: Left) -> str:
    """Return as what an item that is left is told: by its state where nobody has tried it."""
    state = item["state"]
    if state == "set aside" or item["standing"] == UNTRIED.word:
        return state
    return STANDING[item["standing"]].title


def _name(item: Left) -> str:
    name = options.name(item["id"], item["title"])
    if item["after"]:
        name += f" (after: {prose(item['after'], _AFTER)})"
    if item["waits_for"]:
        name += f" (for {', '.join(one_line(other, 60) for other in item['waits_for'][:3])})"
    return name


def _pace(one: Status) -> str:
    words = []
    if one["per_minute"]:
        words.append(f"{count(one['per_minute'], 'item')} a minute")
    if one["eta_seconds"] is not None:
        words.append(f"about {span(one['eta_seconds'])} left")
    if one["tokens"] is not None:
        words.append(f"{status.used(one)} tokens used")
    return ", ".join(words)


def _worker(worker: Worker) -> str:
    name = one_line(worker["worker"], 40)
    words = []
    if worker["holds"]:
        first = worker["holds"][0]
        more = f" and {len(worker['holds']) - 1} more" if len(worker["holds"]) > 1 else ""
        held = span(time.time() - first["claimed_at"])
        lease = span(first["lease_left_seconds"])
        words.append(f"{name} has held {one_line(first['id'], 60)}{more} for {held}, lease {lease}")
    else:
        words.append(f"{name} holds nothing")
    if worker["last_tool"] and worker["seen_at"] is not None:
        ago = span(time.time() - worker["seen_at"])
        words.append(f"{one_line(worker['last_tool'], 50)} ({ago} ago)")
    if worker["tokens"] is not None:
        words.append(f"{status.tokens(worker['tokens'])} tokens")
    return ", ".join(words)
