"""`hypervisor summary`: what became of every item of a queue."""

from __future__ import annotations

import argparse

from hypervisor.agents import reconcile, use
from hypervisor.cli.place import root_of_queue
from hypervisor.ledger import Ledger
from hypervisor.views.summary import as_json, lines, summarize
from hypervisor.worker import outbox

SUMMARY = "what became of every item of a queue, and what it cost"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `hypervisor summary`."""
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument("--json", action="store_true", help="all items, for scripts")


def run(args: argparse.Namespace) -> int:
    """Print the summary of the newest generation of one queue."""
    with Ledger.open(root_of_queue(args.queue)) as ledger:
        reconcile.settle(ledger, limit=None)
        outbox.tidy(ledger, args.queue)
        use.collect_all(ledger, args.queue)
        if args.json:
            for text in as_json(ledger, args.queue):
                print(text, end="")
            print()
        else:
            print("\n".join(lines(summarize(ledger, args.queue, brief=True))))
    return 0
