"""`hypervisor fail`: this attempt failed; the item is tried again while attempts are left."""

from __future__ import annotations

from hypervisor import worker
from hypervisor.cli import options
from hypervisor.cli.place import root_of_claim
from hypervisor.ledger import Ledger

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

SUMMARY = "end an attempt as failed; the item is tried again while attempts are left"
EXAMPLE = "hypervisor fail 17-x7q2 --reason 'the build broke'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("token", help="from the line 'claim TOKEN'")
    parser.add_argument(
        "--reason", required=True, metavar="TEXT", help="why; - reads standard input"
    )
    options.add_end(parser)


def run(args: argparse.Namespace) -> int:
    """Have the report accepted: 0, or 4 if the item is not yours."""
    report = options.texts(args, "reason", "note")
    with Ledger.open(root_of_claim(args.token)) as ledger:
        options.note_use(ledger, args)
        ended = worker.finish(ledger, args.token, "failed", report, more=args.next)
        again = "failed; it will be tried again" if ended.state == "ready" else "failed"
        return options.tell_end(ledger, args, ended, f"accepted {args.token}: {again}")
