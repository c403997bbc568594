"""`hypervisor block`: end an item that can't be done, and say why."""

from __future__ import annotations

from hypervisor import worker
from hypervisor.cli import options
from hypervisor.cli.place import root_of_claim
from hypervisor.ledger import Ledger

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

SUMMARY = "end an item as blocked: a person has to look at it"
EXAMPLE = "hypervisor block 17-x7q2 --reason 'the picture it names is missing'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("token", help="from the line 'claim TOKEN'")
    parser.add_argument(
        "--reason", required=True, metavar="TEXT", help="why; - reads standard input"
    )
    parser.add_argument("--evidence", metavar="TEXT", help="what shows it")
    parser.add_argument("--next-step", metavar="TEXT", help="what would unblock it")
    options.add_end(parser)


def run(args: argparse.Namespace) -> int:
    """Have the report accepted: 0, or 4 if the item is not yours."""
    report = options.texts(args, "reason", "evidence", "next_step", "note")
    with Ledger.open(root_of_claim(args.token)) as ledger:
        options.note_use(ledger, args)
        ended = worker.finish(ledger, args.token, "blocked", report, more=args.next)
        return options.tell_end(ledger, args, ended, f"accepted {args.token}: blocked")
