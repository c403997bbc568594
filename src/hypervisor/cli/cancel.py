"""`hypervisor cancel`: end a queue now."""

from __future__ import annotations

import argparse

from hypervisor.cli import options
from hypervisor.config.roots import find_root
from hypervisor.ledger import Ledger
from hypervisor.system.text import one_line

SUMMARY = "end a queue now: what is open in it is cancelled, what is accepted stays"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `hypervisor cancel`."""
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument("--reason", metavar="TEXT", help="why; - reads it")


def run(args: argparse.Namespace) -> int:
    """Cancel the queue and say how many items that concerned."""
    told = options.texts(args, "reason")
    with Ledger.open(find_root()) as ledger:
        count = ledger.cancel(args.queue, told.get("reason", ""))
    print(f"cancelled {one_line(args.queue, 60)}: {count} open items ended")
    return 0
