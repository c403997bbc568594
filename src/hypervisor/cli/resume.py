"""`hypervisor resume`: hand out again."""

from __future__ import annotations

import argparse

from hypervisor import live, reconcile
from hypervisor.cli.status import told_of
from hypervisor.config.roots import find_root
from hypervisor.ledger import Ledger
from hypervisor.opening import attend

SUMMARY = "hand out again after a pause"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `hypervisor resume`."""
    parser.add_argument("queue")


def run(args: argparse.Namespace) -> int:
    """Resume the queue and say where it stands."""
    with Ledger.open(find_root()) as ledger:
        reconcile.gone_sessions(ledger)
        ledger.resume(args.queue)
        live.mark(ledger.root, args.queue)
        attend(ledger, args.queue)
        print(told_of(ledger, args.queue))
    return 0
