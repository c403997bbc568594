"""`hypervisor undo`: take back what we wrote into task files: status, assignee, report."""

from __future__ import annotations

import argparse
import json
import os

from hypervisor.cli.place import root_of_queue
from hypervisor.ledger import Ledger, NoLedger
from hypervisor.ledger.store import no_ledger
from hypervisor.system.state import State
from hypervisor.system.text import count, either, one_line, shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.tasks.undo import Restored

SUMMARY = "take our own edits of task files back; what workers did stays"
_SHOWN = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `hypervisor undo`."""
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument("id", nargs="?", help="only the file of this item (default: all)")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Restore what nobody has edited since: 0, or 1 if a file was left as it is."""
    from hypervisor.tasks.undo import UndoLog

    root = root_of_queue(args.queue)
    state = State.find(root)
    if state is None:
        raise no_ledger(root)
    _refuse_unknown(root, state, args.queue)
    results = UndoLog(state, args.queue, lambda: _folders(root, args.queue)).restore(args.id)
    fine = ("restored", "already as before")
    left = [result for result in results if result.outcome not in fine]
    restored = sum(result.outcome == "restored" for result in results)
    ours = {os.path.relpath(one.path, root) for one in results}
    theirs = _theirs(root, args.queue, args.id, ours)
    if args.json:
        told = [{**one._asdict(), "path": os.path.relpath(one.path, root)} for one in results]
        nothing: dict[str, list[dict[str, str]]] = {"not_ours": [], "commits": []}
        shown = {"queue": args.queue, "files": told, **(theirs or nothing)}
        print(json.dumps(shown, ensure_ascii=False))
        return 1 if left else 0
    already = len(results) - restored - len(left)
    print(
        f"{count(restored, 'file')} restored"
        + (f", {already} {either(already, 'was', 'were')} as before already" if already else "")
        + (f", {len(left)} left as {either(len(left), 'it is', 'they are')}" if left else "")
    )
    _list([f"{one.outcome}{_why(one)}: {_path(root, one)}" for one in results if one not in left])
    _list([f"{_path(root, one)}: {one.outcome}: {one_line(one.detail)}" for one in left])
    if theirs is not None:
        stays = [f"commit {_shown(one, 'commit')}" for one in theirs["commits"]]
        stays += [_shown(one, "path") for one in theirs["not_ours"]]
        end = ":" if stays else ""
        print(f"that is what hypervisor wrote; what workers changed stays (git diff, git log){end}")
        _list(stays)
    return 1 if left else 0


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


def _why(one: Restored) -> str:
    return f" ({one_line(one.detail)})" if one.detail else ""


def _list(lines: list[str]) -> None:
    for line in shortened(lines, _SHOWN):
        print(f"  {line}")


def _shown(one: dict[str, str], what: str) -> str:
    return f"{one_line(one[what], 500)} ({one_line(one['id'], 60)})"


def _theirs(
    root: str, queue: str, item_id: str | None, ours: set[str]
) -> dict[str, list[dict[str, str]]] | None:
    """Return what the workers of a queue, or of an item of it, are known to have done beside:
    `not_ours`, the files that they told of, and of which we have edited none (`id` and `path`),
    and `commits` (`id` and `commit`). None for a queue that had no workers."""
    files, commits = [], []
    try:
        with Ledger.open(root) as ledger:
            if queue not in ledger.queues.names() or ledger.queues.get(queue).purpose != "work":
                return None
            for row in ledger.queries.results(queue):
                report = row.report or {}
                if item_id not in (None, row.id):
                    continue
                named = report.get("files")
                paths = named if isinstance(named, list) else []
                files += [{"id": row.id, "path": str(one)} for one in paths if one not in ours]
                if report.get("commit"):
                    commits.append({"id": row.id, "commit": str(report["commit"])})
    except NoLedger:
        return None
    return {"not_ours": files, "commits": commits}


def _folders(root: str, queue: str) -> set[str]:
    try:
        with Ledger.open(root) as ledger:
            return ledger.terms.folders(queue)
    except NoLedger:
        return set()
