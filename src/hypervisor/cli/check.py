"""`hypervisor check`: give a queue the command that must pass before an item counts as done."""

from __future__ import annotations

import argparse
import json

from hypervisor.cli import options
from hypervisor.cli.place import root_of_queue
from hypervisor.ledger import Ledger
from hypervisor.system.text import one_line

SUMMARY = "give a queue a check that must pass before done counts, or show the one it has"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `hypervisor check`."""
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument(
        "command", nargs="?", metavar="CMD", help="for sh, in the root (default: show the check)"
    )
    options.add_check(parser)


def run(args: argparse.Namespace) -> int:
    """Set the check, or show it: 0, or 1 if there is none to show. Raises UsageError."""
    root = root_of_queue(args.queue)
    base = options.check_base(args, root, args.command, "CMD")
    with Ledger.open(root) as ledger:
        if args.command is not None:
            ledger.terms.set_check(args.queue, args.command, args.env, base)
        row = ledger.queues.get(args.queue)
    if row.verify is None:
        print(f"queue {args.queue} has no check")
        return 1
    print(f"before an item of {args.queue} is done: {one_line(row.verify, 1000)}")
    for line in about(json.loads(row.check_env or "[]"), json.loads(row.check_base or "[]")):
        print(line)
    return 0


def about(keep: list[str], base: list[str]) -> list[str]:
    """Return in lines what a check runs with, and who decides what it does."""
    from hypervisor.worker import verify

    lines = []
    if base:
        named = ", ".join(one_line(path, 200) for path in base)
        lines.append(f"  it runs in a copy, with these as they were when the item began: {named}")
    else:
        lines.append(
            "  files that a worker may edit decide what it runs (tests, a Makefile, the script "
            "itself); --from-base PATH takes one from the commit at which the item began"
        )
    if keep:
        lines.append(f"  it keeps {', '.join(keep)}")
    if left := verify.without(keep):
        lines.append(f"  {options.left_out(left)}")
    return lines
