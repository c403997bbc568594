"""`hypervisor summary`: what became of every item of a queue."""

from __future__ import annotations

import argparse

from hypervisor.agents import reconcile, use
from hypervisor.cli import options
from hypervisor.cli.place import queue_and_root
from hypervisor.ledger import Ledger
from hypervisor.views.summary import as_json, summarize
from hypervisor.views.summary_text import lines
from hypervisor.worker import outbox

SUMMARY = "what became of every item of a queue, and what it cost"
EXAMPLE = "hypervisor summary inbox"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_queue(parser)
    options.add_generation(parser)
    parser.add_argument(
        "--write", action="store_true", help="write accepted reports again that were thrown away"
    )
    parser.add_argument("--json", action="store_true", help="all items, for scripts")


def run(args: argparse.Namespace) -> int:
    """Print the summary of one generation of a queue."""
    args.queue, root = queue_and_root(args.queue, "summary")
    with Ledger.open(root, look=not args.write) as ledger:
        if args.write:
            queue = ledger.queues.get(args.queue, args.generation)
            ledger.outbox.write_again(list(outbox.thrown_away(ledger, queue.no)))
        reconcile.settle(ledger, limit=None, tell=True)
        outbox.tidy(ledger, args.queue)
        use.collect_all(ledger, args.queue)
        if args.json:
            for text in as_json(ledger, args.queue, args.generation):
                print(text, end="")
            print()
        else:
            told = summarize(ledger, args.queue, generation=args.generation, brief=True)
            print("\n".join(lines(told)))
    return 0
