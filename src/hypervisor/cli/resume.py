"""`hypervisor resume`: hand out again."""

from __future__ import annotations

import argparse

from hypervisor.agents import reconcile, use
from hypervisor.cli import options
from hypervisor.cli.place import root_of_queue
from hypervisor.cli.status import told_of
from hypervisor.config import caller
from hypervisor.intake import opening
from hypervisor.ledger import Ledger, budget
from hypervisor.system.errors import NotAllowed

SUMMARY = "hand out items again after a pause"
EXAMPLE = "hypervisor resume inbox"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", help="the queue's name")
    options.add_budget(parser)


def run(args: argparse.Namespace) -> int:
    """Resume the queue and say where it stands."""
    limits = options.budget(args)
    with Ledger.open(root_of_queue(args.queue)) as ledger:
        if caller.around() and budget.raised(row := ledger.queues.get(args.queue), limits):
            raise NotAllowed(
                "a larger budget is for the user to decide",
                f"this asks the user: {budget.more(ledger, row)}",
            )
        reconcile.settle(ledger, tell=True)
        # What had no price may have one now.
        use.collect_all(ledger, args.queue)
        opening.resume(ledger, args.queue, limits)
        print(told_of(ledger, args.queue))
        drained = ledger.queues.drained(args.queue)
    if not drained:
        options.tell_next(args.queue)
    return 0
