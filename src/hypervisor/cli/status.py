"""`hypervisor status`: where each queue stands."""

from __future__ import annotations

import json
from typing import Any

from hypervisor import digest, outbox, reconcile
from hypervisor.caller import Caller
from hypervisor.config.roots import find_root
from hypervisor.ledger import Ledger
from hypervisor.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

SUMMARY = "where the queues stand: how many items are in which state"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `hypervisor status`."""
    parser.add_argument("queue", nargs="?", help="only this queue (default: all of this root)")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Print the counts of one queue, or a line for each."""
    with Ledger.open(find_root()) as ledger:
        reconcile.gone_sessions(ledger)
        ledger.expire()
        outbox.flush(ledger, limit=None)
        rows = [ledger.queue_row(args.queue)] if args.queue else ledger.queues()
        told = [_status(row, ledger.stats(row["name"])) for row in rows]
        session = None if args.json else Caller().session
        news = digest.take(ledger, session, by="status") if session else None
    if args.json:
        print(json.dumps(told[0] if args.queue else {"queues": told}, ensure_ascii=False))
    else:
        for status in told:
            print(line(status))
        if not told:
            print("no queues here; hypervisor open QUEUE SOURCE")
        if news:
            print(news)
    return 0


def told_of(ledger: Ledger, queue: str) -> str:
    """Return one line on where `queue` stands."""
    return line(_status(ledger.queue_row(queue), ledger.stats(queue)))


def _status(queue: Any, counts: dict[str, int]) -> dict[str, Any]:
    return {
        "queue": queue["name"],
        "state": state_of(queue["state"], counts),
        "reason": queue["reason"] or None,
        "total": sum(counts.values()),
        "counts": counts,
    }


def state_of(state: str, counts: dict[str, int]) -> str:
    """Return the state of a queue as people call it: open, paused, cancelled or drained."""
    if state == "open" and not counts["ready"] and not counts["claimed"]:
        return "drained"
    return state


def line(status: dict[str, Any]) -> str:
    """Return one line of text for a status."""
    counts = ", ".join(f"{count} {state}" for state, count in status["counts"].items() if count)
    why = f" ({one_line(status['reason'], 80)})" if status["reason"] else ""
    name = one_line(status["queue"], 60)
    return f"{name}: {status['state']}{why}, {status['total']} items: {counts or 'none'}"
