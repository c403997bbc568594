"""`hypervisor next`: claim the next item of a queue."""

from __future__ import annotations

import os

from hypervisor import worker
from hypervisor.cli import options
from hypervisor.cli.messages import note
from hypervisor.cli.place import root_of_queue
from hypervisor.ledger import Ledger
from hypervisor.system.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from hypervisor.ledger.options import Queue

SUMMARY = "claim the next item of a queue; nobody else gets it"
EXAMPLE = "hypervisor next inbox"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument(
        "-n",
        type=int,
        default=1,
        metavar="N",
        help="claim up to N items, as many as one lease carries at the queue's own pace",
    )
    parser.add_argument("--id", help="this item, if it is ready")
    parser.add_argument("--branch", action="store_true", help="with a branch and a working tree")
    parser.add_argument("--here", action="store_true", help="in this linked worktree")
    parser.add_argument(
        "--model", metavar="NAME", help="the worker's model: a rung, of a queue with a ladder"
    )
    parser.add_argument("--worker", metavar="NAME", help="the name shown as the claim's owner")
    parser.add_argument(
        "--schema", action="store_true", help="show the schema of answers again; claims nothing"
    )
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Print what was claimed: 0, also if nothing is ready now; 3 if the queue has drained."""
    if args.n < 1:
        raise UsageError("-n must be 1 or more")
    if args.here and args.n > 1:
        raise UsageError("--here takes one item at a time", "leave out -n")
    with Ledger.open(root_of_queue(args.queue)) as ledger:
        if args.schema:
            return _schema(ledger.queues.get(args.queue))
        name = options.worker_name(args.worker)
        here = os.getcwd() if args.here else None
        most, told = worker.carried(ledger, args.queue, args.n)
        claims = worker.take(
            ledger, args.queue, name, most, args.id, branch=args.branch, here=here, model=args.model
        )
        if told and len(claims) == most:
            note(told)
        if claims or args.json:
            from hypervisor.cli.handout import hand_out

            why = "" if claims else worker.why_word(ledger, args.queue, model=args.model)
            hand_out(ledger, claims, as_json=args.json, why=why)
        if claims:
            return 0
        text, drained = worker.why_nothing(ledger, args.queue, only=args.id, model=args.model)
    if not args.json:
        print(text)
    return 3 if drained else 0


def _schema(queue: Queue) -> int:
    if queue.answer is None:
        raise UsageError(f"queue {queue.name} asks for no answer", "end its items with --summary")
    print(queue.answer)
    return 0
