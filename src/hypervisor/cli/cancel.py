"""`hypervisor cancel`: end a queue now, or all of them."""

from __future__ import annotations

import argparse
import json

from hypervisor.cli import options
from hypervisor.cli.place import root_of_queue
from hypervisor.ledger import OPEN_STATES, Ledger, markers
from hypervisor.system.errors import UsageError
from hypervisor.system.spans import span
from hypervisor.system.text import count, listed, one_line, shortened
from hypervisor.worker import half_done

SUMMARY = "end a queue now, or all of them; accepted work stays"
EXAMPLE = "hypervisor cancel inbox"
_SHOWN = 50
_FILES = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", nargs="?", help="the queue's name")
    parser.add_argument("--all", action="store_true", help="every queue that has open items")
    parser.add_argument(
        "--missing", action="store_true", help="end only the items whose files are missing"
    )
    parser.add_argument("--reason", metavar="TEXT", help="why; - reads standard input")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Cancel, and say what was half done: 0, or 3 if there was nothing to cancel."""
    if args.missing and args.queue and not args.all:
        return _missing(args)
    if bool(args.queue) == args.all or args.missing:
        raise UsageError("name a queue, or say --all", "hypervisor status shows them")
    reason = options.texts(args, "reason").get("reason", "")
    cancelled, lines = [], []
    with Ledger.open(root_of_queue(args.queue)) as ledger:
        there = _open_queues(ledger)
        for queue in there if args.all else [ledger.queues.get(args.queue).name]:
            if queue not in there:
                cancelled = [{"queue": queue, "items": 0, "half_done": [], "dependants": []}]
                break
            waited = ledger.generations.dependants(queue)
            items = ledger.generations.cancel(queue, reason)
            half = half_done.half_done(ledger, queue)
            told = _dependants(ledger, waited)
            one = {"queue": queue, "items": items, "half_done": half, "dependants": told}
            cancelled.append(one)
            lines += _lines(queue, items, half) + _waited(told)
    if args.json:
        print(json.dumps({"cancelled": cancelled}, ensure_ascii=False))
    elif lines:
        print("\n".join(lines))
        options.tell_person(
            f"hypervisor summary {args.queue}" if args.queue else "hypervisor status"
        )
    else:
        print(f"{f'queue {args.queue} has no' if args.queue else 'no queue has'} open items")
    return 0 if lines else 3


def _missing(args: argparse.Namespace) -> int:
    from hypervisor.worker.presence import all_missing

    with Ledger.open(root_of_queue(args.queue)) as ledger:
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
        options.tell_person(f"hypervisor summary {one_line(args.queue, 60)}")
    return 0 if ended else 3


def _dependants(ledger: Ledger, waited: list[tuple[str, str]]) -> list[dict[str, str]]:
    """Return those who waited for what was cancelled, and have their sessions look."""
    for queue in {queue for _, queue in waited}:
        markers.mark(ledger, queue)
    return [{"id": item, "queue": queue} for item, queue in waited]


def _waited(told: list[dict[str, str]]) -> list[str]:
    lines = [
        f"{one_line(one['id'], 60)} in {one_line(one['queue'], 60)} waited for it; its worker "
        "is told"
        for one in told
    ]
    return [f"  {line}" for line in shortened(lines, _SHOWN)]


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
    changed = f"changed: {files}" if files else "no file is known to have changed"
    branch = f", on branch {one_line(item['branch'], 100)}" if item["branch"] else ""
    return f"{name}: {had}; {changed}{branch}"
