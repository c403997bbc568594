"""`hypervisor expire`: end the claims whose lease has run out."""

from __future__ import annotations

import argparse

from hypervisor.agents import reconcile
from hypervisor.config.roots import find_root
from hypervisor.ledger import Ledger
from hypervisor.system.text import count

SUMMARY = "end claims whose lease has run out (every other verb does so too)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `hypervisor expire`: none."""


def run(args: argparse.Namespace) -> int:
    """Print how many claims were ended and how many left-over locks were removed."""
    with Ledger.open(find_root()) as ledger:
        ended = reconcile.settle(ledger, limit=None, tell=True)
        swept = sum(ledger.claim_locks.sweep_queue(queue.name) for queue in ledger.queues.all())
    print(f"{count(ended, 'claim')} ended, {count(swept, 'left-over lock')} removed")
    return 0
