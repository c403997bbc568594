"""`hypervisor allow`: let the workers of a queue run, call or spend more than they may now."""

from __future__ import annotations

import argparse

from hypervisor.agents.boundaries import check_commands
from hypervisor.cli import options
from hypervisor.cli.place import root_of_queue
from hypervisor.config import caller
from hypervisor.config.tools import check_grants
from hypervisor.ledger import Ledger, budget, usage
from hypervisor.system.errors import NotAllowed
from hypervisor.system.spans import span
from hypervisor.system.text import listed, one_line

SUMMARY = "grant the workers of a queue commands, tools or more budget, or show what they have"
EXAMPLE = "hypervisor allow inbox 'npm test'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument(
        "words",
        nargs="*",
        metavar="WORDS",
        help="headless workers may run command lines that begin with this, e.g. 'npm test'",
    )
    options.add_tools(parser)
    options.add_may_write(parser)
    options.add_budget(parser)


def run(args: argparse.Namespace) -> int:
    """Allow it, and say what is allowed now. Raises UsageError."""
    commands = check_commands(args.words)
    names = check_grants(args.tools)
    limits = options.budget(args)
    root = root_of_queue(args.queue)
    paths = options.paths_to_write(root, args.may_write)
    if paths and caller.around():
        raise NotAllowed(
            "--may-write is for the user to decide, not for a session",
            "the user allows it in a terminal",
        )
    with Ledger.open(root) as ledger:
        tools = options.give_tools(ledger, args.queue, names)
        ledger.terms.set_budget(args.queue, limits)
        allowed = ledger.terms.allow_commands(args.queue, commands)
        written = ledger.terms.allow_paths(args.queue, paths)
        row = ledger.queues.get(args.queue)
        drained, goes_on = ledger.queues.drained(args.queue), budget.goes_on(ledger, row)
    shown = ", ".join(one_line(command, 100) for command in allowed) or "no commands"
    print(f"workers of {args.queue} may run: {shown} (a running pool reads it at its next start)")
    if tools:
        print(f"in a session they may call tools of: {', '.join(tools)}")
    if written:
        print(f"they may change {listed(written, 20, 200)}")
    if names:
        print(f"open it again to add what was held for that: hypervisor open {args.queue} SOURCE")
    if row.budget_usd is not None:
        print(f"they may cost {usage.dollars(row.budget_usd)} at list prices")
    if row.budget_tokens is not None:
        print(f"they may use {row.budget_tokens:,} tokens")
    if row.budget_ms is not None:
        print(f"they may take {span(row.budget_ms / 1000)}")
    if row.state == "paused":
        print(f"it is paused; continue with: {goes_on}")
    elif not drained:
        options.tell_next(args.queue)
    return 0
