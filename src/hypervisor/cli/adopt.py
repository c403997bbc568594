"""`hypervisor adopt`: make a copied ledger this machine's own."""

from __future__ import annotations

import argparse

from hypervisor.config.roots import find_root
from hypervisor.ledger import adopt

SUMMARY = "use a ledger that was copied, synced or restored from elsewhere"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `hypervisor adopt`: none."""


def run(args: argparse.Namespace) -> int:
    """Take the ledger of this root over; claims made elsewhere are freed."""
    root = find_root()
    adopt(root)
    print(
        f"{root}: this copy of the ledger is in use here from now on; claims made elsewhere ended"
    )
    return 0
