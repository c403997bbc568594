"""`hypervisor retry`: give ended items another chance."""

from __future__ import annotations

import argparse
import json

from hypervisor.agents import reconcile
from hypervisor.cli import options
from hypervisor.cli.place import root_of_queue
from hypervisor.cli.status import told_of
from hypervisor.intake import opening
from hypervisor.ledger import Ledger, markers
from hypervisor.ledger.outcomes import AGAIN, ODD
from hypervisor.system.errors import UsageError
from hypervisor.system.text import count, either, one_line, prose, shortened
from hypervisor.worker import retry

SUMMARY = "make failed and blocked items ready again, with fresh attempts"
EXAMPLE = "hypervisor retry inbox --failed"
_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument(
        "id",
        nargs="*",
        help="these items (default: all failed, blocked and to be tried again)",
    )
    for word in ODD:
        parser.add_argument(f"--{word}", action="store_true", help=f"all that ended as {word}")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Say what is ready again: 0, 1 if a named item was left as it is, 3 if there was none."""
    states = [word for word in ODD if getattr(args, word)]
    if args.id and states:
        named = " or ".join(f"--{word}" for word in ODD)
        raise UsageError(f"name items, or use {named}", "not both")
    with Ledger.open(root_of_queue(args.queue)) as ledger:
        reconcile.settle(ledger, limit=None, tell=True)
        told = retry.retry(ledger, args.queue, args.id or None, states or ODD)
        if told.ready:
            opening.note_tree(ledger, args.queue)
            markers.mark(ledger, args.queue)
            opening.attend(ledger, args.queue)
        standing = told_of(ledger, args.queue)
    if args.json:
        names = ("id", "title", "state", "reason")
        shown = {
            "queue": args.queue,
            "ready": [one[0] for one in told.ready],
            "again": [dict(zip(names, one, strict=True)) for one in told.ready],
            "left": [{"id": item, "reason": why} for item, why in told.left],
        }
        print(json.dumps(shown, ensure_ascii=False))
    else:
        are = either(len(told.ready), "is", "are")
        then = "; the next worker is told why the last attempt ended:" if told.ready else ""
        head = f"{count(len(told.ready), 'item')} {are} ready again{then}"
        print(head if told.ready or told.left else "nothing to retry")
        again = [
            f"{options.name(item, title)}, {AGAIN.title if state == 'ready' else state}: "
            f"“{prose(why or 'no reason given', 300)}”"
            for item, title, state, why in told.ready
        ]
        stay = [
            f"{one_line(item, 60)} stays as it is: {one_line(why, 300)}" for item, why in told.left
        ]
        for line in (*shortened(again, _SHOWN), *shortened(stay, _SHOWN)):
            print(f"  {line}")
        print(standing)
        if told.ready:
            options.tell_next(args.queue, f"what comes next: hypervisor plan {args.queue}")
    if told.left:
        return 1
    return 0 if told.ready else 3
