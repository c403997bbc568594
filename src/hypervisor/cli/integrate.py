"""`hypervisor integrate`: merge the branches of a queue that the ledger accepted."""

from __future__ import annotations

import argparse
import json

from hypervisor.cli import options
from hypervisor.cli.messages import note
from hypervisor.cli.place import root_of_queue
from hypervisor.ledger import Ledger
from hypervisor.system.text import one_line, shell

SUMMARY = "merge the accepted branches of a queue, one by one"
EXAMPLE = "hypervisor integrate inbox"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument("--into", metavar="BRANCH", help="default: the branch checked out here")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Merge: 0 if everything accepted is merged, 1 if something was set aside or left."""
    from hypervisor.worker.integrate import integrate

    def tell(line: str) -> None:
        if not args.json:
            print(line, flush=True)

    with Ledger.open(root_of_queue(args.queue)) as ledger:
        done = integrate(ledger, args.queue, args.into, tell)
    if args.json:
        told = {
            "queue": args.queue,
            "into": done.into,
            "merged": [{"id": item, "commit": commit} for item, commit in done.merged],
            "set_aside": [{"id": item, "reason": why} for item, why in done.aside],
            "left": [{"id": item, "reason": why} for item, why in done.left],
            "warnings": done.warnings,
        }
        print(json.dumps(told, ensure_ascii=False))
    else:
        counts = f"{len(done.merged)} merged, {len(done.aside)} set aside, {len(done.left)} left"
        print(f"{one_line(done.into)}: {counts}")
        for line in done.warnings[-1:]:
            note(line)
        first = done.aside[0][0] if done.aside else None
        look = f"hypervisor show {shell(first)}" if first else f"hypervisor summary {args.queue}"
        options.tell_person(look)
    return 1 if done.aside or done.left else 0
