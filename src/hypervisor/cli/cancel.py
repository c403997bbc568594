"""`hypervisor cancel`: end a queue now, or all of them."""

from __future__ import annotations

import argparse
import json

from hypervisor.cli import options
from hypervisor.cli.place import root_of_queue
from hypervisor.ledger import OPEN_STATES, Ledger
from hypervisor.system.errors import UsageError
from hypervisor.system.spans import span
from hypervisor.system.text import count, listed, one_line, shortened
from hypervisor.worker import half_done

SUMMARY = "end a queue, or all, now: what is open is cancelled, half done named, accepted kept"
_SHOWN = 50
_FILES = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `hypervisor cancel`."""
    parser.add_argument("queue", nargs="?", help="the queue's name")
    parser.add_argument("--all", action="store_true", help="every queue that has open items")
    parser.add_argument("--reason", metavar="TEXT", help="why; - reads it")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Cancel, and say what was half done: 0, or 3 if --all found nothing to cancel."""
    if bool(args.queue) == args.all:
        raise UsageError("name a queue, or say --all", "see where they stand: hypervisor status")
    reason = options.texts(args, "reason").get("reason", "")
    cancelled, lines = [], []
    with Ledger.open(root_of_queue(args.queue)) as ledger:
        for queue in _open_queues(ledger) if args.all else [args.queue]:
            items = ledger.generations.cancel(queue, reason)
            half = half_done.half_done(ledger, queue)
            cancelled.append({"queue": queue, "items": items, "half_done": half})
            lines += _lines(queue, items, half)
    if args.json:
        print(json.dumps({"cancelled": cancelled}, ensure_ascii=False))
    elif cancelled:
        print("\n".join(lines))
    else:
        print("no queue has open items")
    return 0 if cancelled else 3


def _open_queues(ledger: Ledger) -> list[str]:
    found = []
    for row in ledger.queues.all():
        counts = ledger.queues.counts(row.no)
        if row.state in ("open", "paused") and any(counts[state] for state in OPEN_STATES):
            found.append(row.name)
    return found


def _lines(queue: str, items: int, half: list[half_done.HalfDone]) -> list[str]:
    head = f"cancelled {one_line(queue, 60)}: {count(items, 'open item')} ended"
    if not half:
        return [head]
    shown = [f"{head}, {len(half)} of them half done:"]
    shown += [f"  {line}" for line in shortened([_had(item) for item in half], _SHOWN)]
    shown.append("what their workers have changed stays as it is: look at it, e.g. with git status")
    return shown


def _had(item: half_done.HalfDone) -> str:
    name = options.name(item["id"], item["title"])
    had = f"{one_line(item['worker'], 40)} had it for {span(item['seconds'])}"
    files = listed(item["files"], _FILES)
    changed = f"changed: {files}" if files else "no change of a file is known"
    branch = f", on branch {one_line(item['branch'], 100)}" if item["branch"] else ""
    return f"{name}: {had}; {changed}{branch}"
