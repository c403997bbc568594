"""`hypervisor cancel`: end a queue now, or all of them."""

from __future__ import annotations

import argparse
import json
from typing import Any

from hypervisor.cli import options
from hypervisor.config.roots import find_root
from hypervisor.ledger import OPEN_STATES, Ledger, markers
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
    parser.add_argument(
        "--missing", action="store_true", help="end only the items whose files are missing"
    )
    parser.add_argument("--reason", metavar="TEXT", help="why; - reads it")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Cancel, and say what was half done: 0, or 3 if nothing was found to cancel."""
    if args.missing and args.queue and not args.all:
        return _missing(args)
    if bool(args.queue) == args.all or args.missing:
        raise UsageError("name a queue, or say --all", "see where they stand: hypervisor status")
    reason = options.texts(args, "reason").get("reason", "")
    cancelled = []
    with Ledger.open(find_root()) as ledger:
        for queue in _open_queues(ledger) if args.all else [args.queue]:
            waited = ledger.generations.dependants(queue)
            count = ledger.generations.cancel(queue, reason)
            left = half_done.half_done(ledger, queue)
            told = {"queue": queue, "items": count, "half_done": left}
            cancelled.append(told | {"dependants": _dependants(ledger, waited)})
    if args.json:
        print(json.dumps({"cancelled": cancelled}, ensure_ascii=False))
    elif cancelled:
        print("\n".join(line for one in cancelled for line in _lines(one)))
    else:
        print("no queue has open items")
    return 0 if cancelled else 3


def _missing(args: argparse.Namespace) -> int:
    from hypervisor.worker.presence import all_missing

    with Ledger.open(find_root()) as ledger:
        gone = all_missing(ledger, args.queue)
        waited = ledger.generations.dependants(args.queue, gone)
        waited = [(item, queue) for item, queue in waited if item not in gone]
        ended = ledger.generations.cancel_missing(args.queue, gone) if gone else 0
        told = _dependants(ledger, waited)
    if args.json:
        one = {"queue": args.queue, "items": ended, "half_done": [], "dependants": told}
        print(json.dumps({"cancelled": [one]}, ensure_ascii=False))
    else:
        named = options.named(gone)
        print(f"{count(ended, 'item')} of {one_line(args.queue, 60)} ended as missing{named}")
        print("\n".join(_waited(told)), end="\n" if told else "")
    return 0 if ended else 3


def _dependants(ledger: Ledger, waited: list[tuple[str, str]]) -> list[dict[str, str]]:
    """Return those who waited for what was cancelled, and have their sessions look."""
    for queue in {queue for _, queue in waited}:
        markers.mark(ledger, queue)
    return [{"id": item, "queue": queue} for item, queue in waited]


def _waited(told: list[dict[str, str]]) -> list[str]:
    lines = [
        f"  {one_line(one['id'], 60)} in {one_line(one['queue'], 60)} waited for that: its worker "
        "is told"
        for one in told[:_SHOWN]
    ]
    more = len(told) - len(lines)
    return [*lines, f"  … and {more} more (--json lists all)"] if more else lines


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
    waited = _waited(one["dependants"])
    if not half:
        return [head, *waited]
    shown = [f"{head}, {len(half)} of them half done:"]
    for item in half[:_SHOWN]:
        name = options.name(item["id"], item["title"])
        had = f"{one_line(item['worker'], 40)} had it for {span(item['seconds'])}"
        shown.append(f"  {name}: {had}; {_changed(item)}")
    if len(half) > _SHOWN:
        shown.append(f"  … and {len(half) - _SHOWN} more (--json lists all)")
    shown.append("what their workers have changed stays as it is: look at it, e.g. with git status")
    return shown + waited


def _changed(item: dict[str, Any]) -> str:
    files = ", ".join(one_line(path, 120) for path in item["files"][:_FILES])
    more = f" and {len(item['files']) - _FILES} more" if len(item["files"]) > _FILES else ""
    told = f"changed: {files}{more}" if files else "no change of a file is known"
    return f"{told}, on branch {one_line(item['branch'], 100)}" if item["branch"] else told
