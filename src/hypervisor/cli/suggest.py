"""`hypervisor suggest`: tell of more work, which becomes an item once a person says so."""

from __future__ import annotations

from hypervisor import worker
from hypervisor.cli import options
from hypervisor.cli.place import root_of_claim
from hypervisor.ledger import Ledger
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

SUMMARY = "suggest work that you came across, at most 5 per claim; a person decides on it"
EXAMPLE = "hypervisor suggest 17-x7q2 --title 'The picture on page 3 is missing'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("token", help="from the line 'claim TOKEN'")
    parser.add_argument("--title", required=True, metavar="TEXT", help="what is to be done")
    parser.add_argument(
        "--body", metavar="TEXT", help="what a worker has to know; - reads standard input"
    )


def run(args: argparse.Namespace) -> int:
    """Keep the suggestion: 0, 1 if it is the item's sixth, 4 if the item is not yours."""
    told = options.texts(args, "title", "body")
    with Ledger.open(root_of_claim(args.token)) as ledger:
        item_id = worker.suggest(ledger, args.token, told["title"], told.get("body"))
    print(f"suggested {one_line(item_id, 120)}; a person decides on it. Go on with your item.")
    return 0
