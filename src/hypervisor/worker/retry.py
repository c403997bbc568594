"""Another chance for items that have ended: which of them a worker could really take up again."""

from __future__ import annotations

import os

from hypervisor.ledger import Ledger
from hypervisor.ledger.outcomes import ODD
from hypervisor.system.errors import BrokenFile, HypervisorError
from hypervisor.system.text import shell
from hypervisor.worker.outbox import holds_many, is_task, is_written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypervisor.ledger.rows import Item
    from hypervisor.tasks.undo import UndoLog


class Retried:
    """What became of a retry: (id, title, how it had ended, why) of the items that are `ready`
    again (or wait again), and (id, why) of those that were `left` as they are."""

    __slots__ = ("left", "ready")

    def __init__(
        self,
        ready: list[tuple[str, str | None, str, str | None]],
        left: list[tuple[str, str]],
    ) -> None:
        self.ready = ready
        self.left = left


def retry(ledger: Ledger, queue: str, ids: Sequence[str] | None, states: Sequence[str]) -> Retried:
    """Make items of `queue` ready again: those named, else all that ended as one of `states`; and
    where these are all odd ones, those that wait for another attempt.

    A task whose file says that it is complete is left: the next worker would only close it again.
    The file of one that is ready again says so too. Raises UsageError.
    """
    if ids is None:
        again = set(states) == set(ODD)
        ids = [row.id for row in ledger.items.ended(queue, states, again=again)]
    left = []
    ended: dict[str, str] = {}
    for item_id in ids:
        row = ledger.items.find(queue, item_id)
        why = complete(ledger.root, queue, row) if row is not None else None
        if why is None:
            ended[item_id] = row.state if row is not None else ""
        else:
            left.append((item_id, why))
    refused = ledger.retries.retry(queue, ended)
    ready = []
    for item_id in ended.keys() - {item_id for item_id, _ in refused}:
        row = ledger.items.find(queue, item_id)
        if row is None:
            continue
        _reopen(ledger, queue, row)
        ready.append((row.position, (item_id, row.title, ended[item_id], row.cause)))
    return Retried([told for _, told in sorted(ready)], left + refused)


def complete(root: str, queue: str, row: Item) -> str | None:
    """Return why a task is none to work on any more, going by its file, or None."""
    if row.path is None or not is_written(row.path, row.fingerprint, row.format):
        return None
    path = os.path.join(root, row.path)
    if row.format is not None and holds_many(row.format):
        return _ticked(path, queue, row, row.format)
    from hypervisor.config.settings import load
    from hypervisor.tasks import read
    from hypervisor.tasks.front_matter import task_of

    try:
        task = task_of(read.read(path), load(root), row.format)
    except (OSError, BrokenFile):
        # Whoever claims it says what is wrong with the file.
        return None
    if task is None or task.state not in ("done", "cancelled"):
        return None
    return f"{row.path} says {task.status}: set its status back, or run {_undo(queue, row)}"


def _ticked(path: str, queue: str, row: Item, format: str) -> str | None:
    """Do as `complete` for one of the many items of the file at `path`."""
    from hypervisor.tasks import formats
    from hypervisor.tasks.formats import mark

    own_id = mark.local_id(row.id, row.path or "")
    try:
        item = mark.read(path, formats.get(format), own_id, row.title)
    except (OSError, BrokenFile):
        return None
    if item.state not in ("done", "cancelled"):
        return None
    return f"{row.path}:{item.line} says {item.word}: set it back, or run {_undo(queue, row)}"


def _undo(queue: str, row: Item) -> str:
    return f"hypervisor undo {queue} {shell(row.id)}"


def _reopen(ledger: Ledger, queue: str, row: Item) -> None:
    """Take what we wrote of its end out of a task's file; where somebody has edited that since, set
    the status back alone. What can't be written stays: the next report replaces it."""
    if row.path is None or not is_task(row.path, row.fingerprint):
        return
    from hypervisor.tasks import undo

    log = undo.UndoLog(ledger.state, queue, lambda: ledger.terms.folders(queue))
    try:
        if any(one.outcome in undo.FINE for one in log.restore(row.id)):
            return
    except undo.NothingToUndo:
        pass
    set_back(ledger, row, "blocked", log)


def set_back(ledger: Ledger, row: Item, state: str, log: UndoLog) -> None:
    """Have a task's file that says `state` say that it is ready, if that can be written."""
    from hypervisor.config.settings import load
    from hypervisor.tasks import edit, read, words, write
    from hypervisor.tasks.front_matter import task_of
    from hypervisor.tasks.locate import expect, is_elsewhere, locate

    settings = load(ledger.root)
    place = row.path or ""
    if is_elsewhere(ledger.root, settings, row.id, place):
        place = locate(ledger.root, settings, row.id, place) or place
    path = os.path.join(ledger.root, place)
    try:
        document = read.read(path)
        task = task_of(document, settings)
        word = task.family.words.get("ready") if task is not None else None
        if task is None or word is None or task.state != state:
            return
        expect(task, document, row.id, place)
        edited = edit.edit(document, [words.written(word, task, document)])
        log.record([(path, edited.before, edited.after, row.id)])
        write.replace(path, document, edited.after)
    except (HypervisorError, OSError):
        return
