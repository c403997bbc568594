"""`hypervisor pause`: hand out nothing more for now."""

from __future__ import annotations

import argparse

from hypervisor.cli import options
from hypervisor.cli.place import root_of_queue
from hypervisor.ledger import Ledger, budget

SUMMARY = "hand out nothing more for now; what is claimed may still be reported"
EXAMPLE = "hypervisor pause inbox --reason 'back after lunch'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument("--reason", metavar="TEXT", help="why; - reads standard input")


def run(args: argparse.Namespace) -> int:
    """Pause the queue."""
    told = options.texts(args, "reason")
    with Ledger.open(root_of_queue(args.queue)) as ledger:
        ledger.pauses.pause(args.queue, told.get("reason", ""))
        goes_on = budget.goes_on(ledger, ledger.queues.get(args.queue))
    print(f"paused {args.queue}; continue with: {goes_on}")
    return 0
