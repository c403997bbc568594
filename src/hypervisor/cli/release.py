"""`hypervisor release`: give an item back untouched."""

from __future__ import annotations

from hypervisor import worker
from hypervisor.cli import options
from hypervisor.cli.place import root_of_claim
from hypervisor.ledger import Ledger
from hypervisor.worker.handout import own_claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

SUMMARY = "give an item back, for somebody else to take"
EXAMPLE = "hypervisor release 17-x7q2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("token", help="from the line 'claim TOKEN'")
    parser.add_argument("--reason", metavar="TEXT", help="why; - reads standard input")
    options.add_next(parser)


def run(args: argparse.Namespace) -> int:
    """Give the item back: 0, or 4 if the item is not yours."""
    told = options.texts(args, "reason")
    with Ledger.open(root_of_claim(args.token)) as ledger:
        own_claim(args.token, ledger.ends.holding(args.token))
        state = worker.release(ledger, args.token, told.get("reason", ""))
        ended = worker.Ended(state)
        if args.next:
            worker.take_next(ledger, args.token, ended)
        return options.tell_end(ledger, args, ended, f"released {args.token}: the item is {state}")
