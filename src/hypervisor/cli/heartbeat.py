"""`hypervisor heartbeat`: keep claims for another lease."""

from __future__ import annotations

from hypervisor.cli.place import root_of_claim
from hypervisor.ledger import Ledger
from hypervisor.system.errors import NotOwner
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

SUMMARY = "renew the leases of claims, and see which are still yours"
EXAMPLE = "hypervisor heartbeat 17-x7q2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("token", nargs="+", help="from the line 'claim TOKEN'")


def run(args: argparse.Namespace) -> int:
    """Print the tokens still held: 0 if you hold all of them, else 4."""
    with Ledger.open(root_of_claim(args.token[0])) as ledger:
        held = ledger.claims.heartbeat(args.token)
        lost = [token for token in args.token if token not in held]
        for token in held:
            print(f"held {token}")
        for token in lost:
            print(f"lost {one_line(token, 40)}")
        if lost:
            raise NotOwner(*ledger.ends.lost(lost[0]))
    return 0
