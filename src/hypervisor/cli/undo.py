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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.tasks.undo import Restored

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
    others = _others(
        root, args.queue, args.id, {os.path.relpath(one.path, root) for one in results}
    )
    if args.json:
        told = [{**one._asdict(), "path": os.path.relpath(one.path, root)} for one in results]
        shown = {"queue": args.queue, "files": told, "not_ours": others}
        print(json.dumps(shown, ensure_ascii=False))
        return 1 if left else 0
    already = len(results) - restored - len(left)
    print(
        f"{restored} files restored"
        + (f", {already} were as before already" if already else "")
        + (f", {len(left)} left as they are" if left else "")
    )
    _list([f"{one.outcome}{_why(one)}: {_path(root, one)}" for one in results if one not in left])
    _list([f"{_path(root, one)}: {one.outcome}: {one_line(one.detail)}" for one in left])
    if others:
        print("not put back, since workers changed them and not hypervisor (git can):")
        _list([f"{one_line(one['path'], 500)} ({one_line(one['id'], 60)})" for one in others])
    return 1 if left else 0


def _path(root: str, one: Restored) -> str:
    return one_line(os.path.relpath(one.path, root), 500)


def _why(one: Restored) -> str:
    return f" ({one_line(one.detail)})" if one.detail else ""


def _list(lines: list[str]) -> None:
    for line in lines[:_SHOWN]:
        print(f"  {line}")
    if len(lines) > _SHOWN:
        print(f"  … and {len(lines) - _SHOWN} more (--json lists all)")


def _others(root: str, queue: str, item_id: str | None, ours: set[str]) -> list[dict[str, str]]:
    """Return the files that reports of the queue, or of an item of it, name as changed, and of
    which we have edited none: `id` and `path`."""
    try:
        with Ledger.open(root) as ledger:
            return [
                {"id": row["id"], "path": str(path)}
                for row in (ledger.results(queue) if queue in ledger.queue_names() else ())
                if item_id in (None, row["id"])
                for path in (row["report"] or {}).get("files") or ()
                if path not in ours
            ]
    except NoLedger:
        return []


def _folders(root: str, queue: str) -> set[str]:
    try:
        with Ledger.open(root) as ledger:
            return ledger.folders(queue)
    except NoLedger:
        return set()
