"""What can go: queues that ended long ago, kept transcripts, old bytes of edited files.

Nothing that is open or pending goes, nor what belongs to it.
"""

from __future__ import annotations

import os
import time
from typing import Any

from hypervisor import outputs
from hypervisor.config.roots import state_dir
from hypervisor.config.settings import Limits
from hypervisor.ledger import Ledger
from hypervisor.system.keys import key
from hypervisor.tasks.undo import UndoLog


class Plan:
    """What a pruning removes: `queues` (rows of the ledger), `outputs` and `undo` as (path,
    bytes); and `kept`: old queues that stay, each with the reason."""

    __slots__ = ("before", "kept", "outputs", "queues", "undo")

    def __init__(self, ledger: Ledger, limits: Limits, days: float) -> None:
        self.before = time.time() - days * 86400
        self.queues, self.kept = ledger.prunable(self.before)
        going = {row["no"] for row in self.queues}
        rows = [row for row in ledger.all_generations() if row["no"] not in going]
        # A queue's folders are shared by its generations.
        staying = {key(row["name"]) for row in rows}
        busy = {key(name) for name in ledger.open_items().values()}
        self.outputs = [
            (path, size)
            for path, size in _with_folders(
                ledger.root,
                "outputs",
                outputs.stale(
                    ledger.root, seconds=limits.outputs_seconds, size=limits.outputs_bytes
                ),
                staying,
            )
            if _folder(path) not in busy
        ]
        self.undo = [
            (path, size)
            for path, size in _with_folders(
                ledger.root, "undo", _stale_undo(ledger.root, limits.undo_days), staying
            )
            if _folder(path) not in busy
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the plan in the shape of `schemas/prune.schema.json`."""
        return {
            "queues": [_told(row) for row in self.queues],
            "kept": [_told(row) | {"reason": why} for row, why in self.kept],
            "items": sum(row["items"] for row in self.queues),
            "outputs": _files(self.outputs),
            "undo": _files(self.undo),
        }


def carry_out(ledger: Ledger, plan: Plan) -> None:
    """Remove what a plan names; what was reopened meanwhile stays."""
    ledger.forget(plan.before)
    for path, _ in [*plan.outputs, *plan.undo]:
        try:
            os.unlink(path)
        except OSError:
            continue
        try:
            os.rmdir(os.path.dirname(path))
        except OSError:
            # Others are in it still.
            continue
    if plan.queues:
        ledger.compact()


def _stale_undo(root: str, days: float) -> list[tuple[str, int]]:
    top = os.path.join(state_dir(root), "undo")
    return [entry for name in _names(top) for entry in UndoLog(os.path.join(top, name)).stale(days)]


def _with_folders(
    root: str, kind: str, stale: list[tuple[str, int]], staying: set[str]
) -> list[tuple[str, int]]:
    """Add the files of folders whose queue is not in the ledger any more, or will not be."""
    found = dict(stale)
    top = os.path.join(state_dir(root), kind)
    for name in _names(top):
        if name in staying:
            continue
        for file in _names(os.path.join(top, name)):
            path = os.path.join(top, name, file)
            try:
                found[path] = os.stat(path).st_size
            except OSError:
                continue
    return sorted(found.items())


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _folder(path: str) -> str:
    return os.path.basename(os.path.dirname(path))


def _told(row: Any) -> dict[str, Any]:
    ended = max(row["last_end"] or 0, row["ended_at"] or 0, row["opened_at"])
    return {
        "queue": row["name"],
        "generation": row["generation"],
        "state": "drained" if row["state"] == "open" and not row["is_open"] else row["state"],
        "items": row["items"],
        "ended_at": ended,
    }


def _files(entries: list[tuple[str, int]]) -> dict[str, int]:
    return {"files": len(entries), "bytes": sum(size for _, size in entries)}
