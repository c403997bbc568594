"""`hypervisor undo`: put files back to what they were before a queue's edits."""

from __future__ import annotations

import argparse
import json
import os

from hypervisor.config.roots import find_root
from hypervisor.ledger import Ledger, NoLedger
from hypervisor.ledger.store import no_ledger
from hypervisor.system.state import State
from hypervisor.system.text import one_line

SUMMARY = "put task files back to what they were before a queue's edits"
_SHOWN = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `hypervisor undo`."""
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument("id", nargs="?", help="only the file of this item (default: all)")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Restore what nobody has edited since: 0, or 1 if a file was left as it is."""
    from hypervisor.tasks.undo import UndoLog

    root = find_root()
    state = State.find(root)
    if state is None:
        raise no_ledger(root)
    results = UndoLog(state, args.queue, lambda: _folders(root, args.queue)).restore(args.id)
    fine = ("restored", "already as before")
    left = [result for result in results if result.outcome not in fine]
    restored = sum(result.outcome == "restored" for result in results)
    if args.json:
        told = [{**one._asdict(), "path": os.path.relpath(one.path, root)} for one in results]
        print(json.dumps({"queue": args.queue, "files": told}, ensure_ascii=False))
    else:
        already = len(results) - restored - len(left)
        print(
            f"{restored} files restored"
            + (f", {already} were as before already" if already else "")
            + (f", {len(left)} left as they are:" if left else "")
        )
        for one in left[:_SHOWN]:
            path = one_line(os.path.relpath(one.path, root), 500)
            print(f"  {path}: {one.outcome}: {one_line(one.detail)}")
        if len(left) > _SHOWN:
            print(f"  … and {len(left) - _SHOWN} more (--json lists all)")
    return 1 if left else 0


def _folders(root: str, queue: str) -> set[str]:
    try:
        with Ledger.open(root) as ledger:
            return ledger.folders(queue)
    except NoLedger:
        return set()
