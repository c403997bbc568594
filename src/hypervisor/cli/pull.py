"""`hypervisor pull`: claim one task, to do it here and now."""

from __future__ import annotations

import argparse

from hypervisor.config.roots import find_root
from hypervisor.config.settings import load
from hypervisor.intake import preflight
from hypervisor.system.errors import HypervisorError
from hypervisor.system.text import one_line

SUMMARY = "claim one task to work on it here; nobody else gets it meanwhile"
EXAMPLE = "hypervisor pull inbox-7"
_QUEUE = "pull"
# What holds a task back from background workers alone.
_DONE_HERE = ("needs_tool", "needs_human", "unknown_assignee", "slow_pattern")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", help="a task's id, or its file")
    parser.add_argument("--worker", metavar="NAME", help="the name shown as the claim's owner")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Claim the task in the queue that holds it, else in one of its own: 0, 1 if the task is held,
    2 if there is no such task."""
    import os

    from hypervisor import worker
    from hypervisor.cli import options
    from hypervisor.cli.handout import hand_out
    from hypervisor.intake import opening, sources
    from hypervisor.ledger import Options

    root = find_root()
    settings = load(root)
    found = list(sources.expand([args.id], root=root, cwd=os.getcwd(), settings=settings))
    with opening.create(root, settings) as ledger:
        over = ledger.items.over(_QUEUE)
        checked = preflight.check(found, root=root, settings=settings, ledger=ledger)
        elsewhere = ledger.items.all_open()
        ids = {entry.id for entry in [*checked.ready, *checked.held]}
        item_id = next(iter(ids), args.id)
        queue = elsewhere.get(item_id)
        name = options.worker_name(args.worker)
        if queue is None and not checked.ready:
            # Workers lack what these need; whoever is here may have it.
            checked.ready += [one for one in checked.held if one.kind in _DONE_HERE]
        if queue is None and checked.ready:
            opening.fill(ledger, settings, _QUEUE, checked, Options(purpose="pull", over=over))
            queue = _QUEUE
        claims = worker.take(ledger, queue, name, only=item_id) if queue else []
        if not claims:
            raise HypervisorError(f"{one_line(args.id)}: {_why(checked)}", "hypervisor status")
        hand_out(ledger, claims, as_json=args.json)
    return 0


def _why(checked: preflight.Preflight) -> str:
    for entry in [*checked.held, *checked.skipped, *checked.broken]:
        return one_line(entry.reason)
    return "being worked on"
