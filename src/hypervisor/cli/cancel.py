"""`hypervisor cancel`: end a queue now, or all of them."""

from __future__ import annotations

import argparse
import json
from typing import Any

from hypervisor.cli import options
from hypervisor.cli.place import root_of_queue
from hypervisor.ledger import OPEN_STATES, Ledger
from hypervisor.system.errors import UsageError
from hypervisor.system.spans import span
from hypervisor.system.text import count, one_line
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
    cancelled = []
    with Ledger.open(root_of_queue(args.queue)) as ledger:
        for queue in _open_queues(ledger) if args.all else [args.queue]:
            count = ledger.generations.cancel(queue, reason)
            left = half_done.half_done(ledger, queue)
            cancelled.append({"queue": queue, "items": count, "half_done": left})
    if args.json:
        print(json.dumps({"cancelled": cancelled}, ensure_ascii=False))
    elif cancelled:
        print("\n".join(line for one in cancelled for line in _lines(one)))
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


def _lines(one: dict[str, Any]) -> list[str]:
    queue, half = one["queue"], one["half_done"]
    head = f"cancelled {one_line(queue, 60)}: {count(one['items'], 'open item')} ended"
    if not half:
        return [head]
    shown = [f"{head}, {len(half)} of them half done:"]
    for item in half[:_SHOWN]:
        name = options.name(item["id"], item["title"])
        had = f"{one_line(item['worker'], 40)} had it for {span(item['seconds'])}"
        shown.append(f"  {name}: {had}; {_changed(item)}")
    if len(half) > _SHOWN:
        shown.append(f"  … and {len(half) - _SHOWN} more (--json lists all)")
    shown.append("what their workers have changed stays as it is: look at it, e.g. with git status")
    return shown


def _changed(item: dict[str, Any]) -> str:
    files = ", ".join(one_line(path, 120) for path in item["files"][:_FILES])
    more = f" and {len(item['files']) - _FILES} more" if len(item["files"]) > _FILES else ""
    told = f"changed: {files}{more}" if files else "no change of a file is known"
    return f"{told}, on branch {one_line(item['branch'], 100)}" if item["branch"] else told
