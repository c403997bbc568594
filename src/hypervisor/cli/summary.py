"""`hypervisor summary`: what became of every item of a queue."""

from __future__ import annotations

import argparse
import json

from hypervisor.agents import reconcile, use
from hypervisor.cli.place import root_of_queue
from hypervisor.ledger import Ledger
from hypervisor.views.summary import lines, summarize
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
        summary = summarize(ledger, args.queue, brief=not args.json)
    if args.json:
        print(json.dumps(summary, ensure_ascii=False, indent=2))
    else:
        print("\n".join(lines(summary)))
    return 0
