"""One worker process of `hypervisor triage`; for that command's own use."""

from __future__ import annotations

import argparse
import os
import signal

SUMMARY = "one worker process of triage"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the parent process tells."""
    parser.add_argument("--root", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("queue")


def run(args: argparse.Namespace) -> int:
    """Triage until nothing is left, or until told to stop."""
    from hypervisor.config.settings import load
    from hypervisor.ledger import Ledger
    from hypervisor.triage.run import Worker

    parent = os.getppid()
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    # Ctrl-C reaches the whole group; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Ledger.open(args.root) as ledger:
        worker = Worker(ledger, args.queue, args.name, load(args.root))
        worker.work(args.batch, stop=lambda: stopped or os.getppid() != parent)
    return 0
