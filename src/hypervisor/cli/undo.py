"""`hypervisor undo`: take back what we wrote into task files: status, assignee, report."""

from __future__ import annotations

import argparse
import json
import os

from hypervisor.cli import options
from hypervisor.cli.place import root_of_queue
from hypervisor.ledger import Ledger, NoLedger
from hypervisor.ledger.store import no_ledger
from hypervisor.system.state import State
from hypervisor.system.text import count, either, one_line, shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.tasks.undo import Restored
    from hypervisor.worker.what_stays import Stays, WhatStays

SUMMARY = "restore the task files that hypervisor wrote into; what workers changed stays"
EXAMPLE = "hypervisor undo inbox"
_SHOWN = 50
# How the JSON calls what stays.
_LISTS = {"not_ours": "files", "commits": "commits", "edits": "edits"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument("id", nargs="?", help="only this item's file (default: all)")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Restore what nobody has edited since: 0, 1 if a file was left as it is, 3 if nothing was
    written."""
    from hypervisor.tasks.undo import FINE, NothingToUndo, UndoLog

    root = root_of_queue(args.queue)
    state = State.find(root)
    if state is None:
        raise no_ledger(root)
    _refuse_unknown(root, state, args.queue)
    results, nothing = [], None
    try:
        results = UndoLog(state, args.queue, lambda: _folders(root, args.queue)).restore(args.id)
    except NothingToUndo as error:
        nothing = error
    left = [result for result in results if result.outcome not in FINE]
    # Of the items of one file that is told once.
    fine = {one.path: one for one in results if one.outcome == "already as before"}
    fine |= {one.path: one for one in results if one.outcome == "restored"}
    restored = sum(one.outcome == "restored" for one in fine.values())
    ours = {os.path.relpath(one.path, root) for one in results}
    stays = _settle(root, args, ours, [one.id for one in results if one.outcome in FINE])
    if nothing is not None and (stays is None or not (stays.commits or stays.files)):
        raise nothing
    if args.json:
        told = [{**one._asdict(), "path": os.path.relpath(one.path, root)} for one in results]
        shown = {"queue": args.queue, "files": told}
        for name, what in (("not_ours", "path"), ("commits", "commit"), ("edits", "path")):
            those = [] if stays is None else getattr(stays, _LISTS[name])
            shown[name] = [{"id": one.id, what: one.what, "command": one.command} for one in those]
        print(json.dumps(shown, ensure_ascii=False))
        return 1 if left else 0
    already = len(fine) - restored
    print(
        f"{count(restored, 'file')} restored"
        + (f", {already} already as before" if already else "")
        + (f", {len(left)} left as {either(len(left), 'it is', 'they are')}" if left else "")
    )
    new = [one for one in fine.values() if one.outcome == "restored"]
    _list([f"{one.outcome}{_why(one)}: {_path(root, one)}" for one in new])
    _list([f"{_place(root, one)}: {one.outcome}: {one_line(one.detail)}" for one in left])
    if stays is not None:
        tell_stays(stays, "that is what hypervisor wrote; ")
        options.tell_person(f"hypervisor status {args.queue}")
    return 1 if left else 0


def tell_stays(stays: WhatStays, before: str = "") -> None:
    """Print what stays of workers' work, each with the command against it."""
    lines = [_shown("commit ", one) for one in stays.commits]
    lines += [_shown("", one) for one in stays.files]
    lines += [_shown("what its worker changed in ", one) for one in stays.edits]
    end = " (git diff, git log)" if stays.in_git else ""
    end = ", the newest first:" if lines else end
    print(f"{before}what workers changed stays{end}")
    _list(lines)


def _settle(
    root: str, args: argparse.Namespace, ours: set[str], undone: list[str]
) -> WhatStays | None:
    """Forget that the tasks `undone` were done: they are open work again. Return what stays of
    workers' work, None for a queue that had no workers."""
    from hypervisor.worker.what_stays import WhatStays

    try:
        with Ledger.open(root) as ledger:
            stays = None
            known = args.queue in ledger.queues.names()
            if known and ledger.queues.get(args.queue).purpose != "triage":
                stays = WhatStays(ledger, args.queue, args.id, ours)
            ledger.accepted.forget(args.queue, undone)
            return stays
    except NoLedger:
        return None


def _refuse_unknown(root: str, state: State, queue: str) -> None:
    """Raise UsageError for a queue of which neither the ledger nor the undo log knows anything."""
    from hypervisor.tasks.undo import UndoLog

    if UndoLog.is_kept(state, queue):
        return
    try:
        with Ledger.open(root) as ledger:
            if queue not in ledger.queues.names():
                ledger.queues.get(queue)
    except NoLedger:
        raise no_ledger(root) from None


def _path(root: str, one: Restored) -> str:
    return one_line(os.path.relpath(one.path, root), 500)


def _place(root: str, one: Restored) -> str:
    """Return the path of a task, or the id of one of the many items of a file, which has that."""
    path = os.path.relpath(one.path, root)
    return one_line(one.id if one.id.startswith(f"{path}#") else path, 500)


def _why(one: Restored) -> str:
    return f" ({one_line(one.detail)})" if one.detail else ""


def _list(lines: list[str]) -> None:
    for line in shortened(lines, _SHOWN):
        print(f"  {line}")


def _shown(what: str, one: Stays) -> str:
    against = f": {one.command}" if one.command else ""
    return f"{what}{one_line(one.what, 500)} ({one_line(one.id, 60)}){against}"


def _folders(root: str, queue: str) -> set[str]:
    try:
        with Ledger.open(root) as ledger:
            return ledger.terms.folders(queue)
    except NoLedger:
        return set()
