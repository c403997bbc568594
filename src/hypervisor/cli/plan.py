"""`hypervisor plan`: the next step with a queue, and what it will cost."""

from __future__ import annotations

import argparse
import json

from hypervisor.cli.place import root_of_queue
from hypervisor.config.caller import Caller
from hypervisor.config.settings import load
from hypervisor.ledger import Ledger
from hypervisor.system.errors import UsageError

# After these, the session knows that nobody works.
_ACTS = ("canary", "workers", "permissions", "not_done", "stopped")
# What the user says after these is the answer. A stop is undone by a command of the user's only.
_ASKS = ("permissions", "not_done")
SUMMARY = "the next step with a queue: how many workers, and what they will cost"
EXAMPLE = "hypervisor plan inbox"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument(
        "--go-on",
        action="store_true",
        help="the user has agreed to the cost, and to go on without missing permissions",
    )
    parser.add_argument(
        "--branch",
        action="store_true",
        default=None,
        help="each worker on a branch of its own; the queue remembers it",
    )
    parser.add_argument(
        "--no-branch",
        dest="branch",
        action="store_false",
        default=None,
        help="in one working tree again",
    )
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Print the next step: 0, or 3 if the queue has nothing left to hand out."""
    from hypervisor.agents import clients, next_step, reconcile
    from hypervisor.views import news

    root = root_of_queue(args.queue)
    client = Caller()
    with Ledger.open(root) as ledger:
        reconcile.settle(ledger, tell=True)
        agreed = False
        if args.go_on:
            agreed = next_step.has_agreed(ledger, args.queue, client)
            if agreed:
                ledger.terms.agree(args.queue, client.session)
                next_step.go_on(ledger, args.queue)
        if args.branch and ledger.terms.tools(args.queue):
            raise UsageError(
                f"the workers of {args.queue} have tools, and such workers have no worktree",
                f"leave out --branch: hypervisor plan {args.queue}",
            )
        if args.branch is not None:
            ledger.terms.set_branches(args.queue, args.branch)
        told = next_step.plan(ledger, args.queue, load(root), agreed=agreed)
        step = told["step"]
        if step != "wait":
            ledger.terms.set_trial(args.queue, begun=step == "canary")
        if client.session is not None and (told.get("ask") or step in _ASKS):
            ledger.followers.note_asked(client.session, ledger.queues.get(args.queue).no)
        if client.session is not None and step in _ACTS:
            news.expect(ledger, client.session, args.queue, work=False)
    if args.json:
        print(json.dumps(told, ensure_ascii=False))
    else:
        print("\n".join(next_step.lines(told, headless=bool(client.headless))))
        moved = clients.host().started() if client.session is not None else None
        if moved:
            print(moved)
    return 3 if told["step"] == "finished" else 0
