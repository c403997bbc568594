"""Accepted ends that still have to be written where people look: into the task files.

The ledger has accepted them already. Writing is idempotent by token, so any process may do it,
twice at once and again after a crash.
"""

from __future__ import annotations

import os
import time

from hypervisor.ledger import proofs
from hypervisor.ledger.outcomes import OUTCOME
from hypervisor.system.errors import HypervisorError, OtherItem
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from typing import TypeGuard

    from hypervisor.ledger import Ledger
    from hypervisor.ledger.rows import Held, Pending
    from hypervisor.system.reports import Report
    from hypervisor.tasks.undo import UndoLog


# What is pending and was never tried.
_NEW = ("report", "cause")
_UNKNOWN = (None, None)


def is_task(path: str | None, fingerprint: str | None) -> TypeGuard[str]:
    """True if an item is a task, going by its path and fingerprint: other files and rows have no
    fingerprint, and get no report of ours."""
    return path is not None and fingerprint is not None


def is_written(path: str | None, fingerprint: str | None, format: str | None) -> bool:
    """True if the end of an item is written where it came from: as a report, or as a mark only."""
    return format is not None or is_task(path, fingerprint)


def holds_many(format: str | None) -> bool:
    """True if an item is one of many in its file, going by the format that is kept of that."""
    if format is None:
        return False
    from hypervisor.tasks import formats

    return formats.holds_many(format)


def flush(ledger: Ledger, limit: int | None = 200) -> list[tuple[str, str]]:
    """Write what is pending; return (item id, why) of what can't be written now.

    Costs one indexed look where nothing is pending. Never more than `limit` files, those first
    that were not tried before; None tries all, and looks again for those that were nowhere. What
    fails stays pending, whatever the reason: an accepted end is not taken back.
    """
    left = []
    rows = ledger.outbox.pending(limit)
    here = _Here(ledger.root, rows)
    for row in rows:
        why, written = _written(ledger, row, here, search=limit is None or row.pending in _NEW)
        try:
            if why is None:
                ledger.outbox.written(row.token, *written)
                continue
            left.append((row.id, why))
            if why != row.pending:
                ledger.outbox.unwritten(row.token, why)
        except HypervisorError:
            # The ledger can't be written now. It says pending still: somebody does it again.
            break
    return left


def thrown_away(ledger: Ledger, queue: int) -> dict[int, str]:
    """Return the items (id by number) of a generation that were done, and whose files hold again
    what they held before the report was written: git has put it back. Of the many items of a file,
    those whose marks are gone, by whomever."""
    from hypervisor.system.digests import digest_of
    from hypervisor.system.files import fingerprint_of, is_same

    changed = {}
    for number, item_id, path, fingerprint in ledger.accepted.tasks_in(queue):
        file = os.path.join(ledger.root, path)
        try:
            if not is_same(fingerprint, fingerprint_of(os.stat(file))):
                changed[number] = item_id, file
        except OSError:
            continue
    known = ledger.accepted.of_tasks([item_id for item_id, _ in changed.values()])
    gone = {
        number: item_id
        for number, (item_id, file) in changed.items()
        if item_id in known and digest_of(file) in known[item_id].before
    }
    return gone | _marks_gone(ledger, queue)


def _marks_gone(ledger: Ledger, queue: int) -> dict[int, str]:
    rows = ledger.accepted.marks_in(queue)
    if not rows:
        return {}
    from hypervisor.tasks.formats import mark

    there: dict[str, Container[tuple[str, str]]] = {}
    gone = {}
    for row in rows:
        if row.path not in there:
            try:
                found = mark.items_in(os.path.join(ledger.root, row.path), row.format)
            except (HypervisorError, OSError):
                found = []
            there[row.path] = {(one.id, one.title) for one in found if one.state == "ready"}
        if (mark.local_id(row.id, row.path), row.title) in there[row.path]:
            gone[row.no] = row.id
    return gone


def tidy(ledger: Ledger, queue: str) -> None:
    """Clear away what killed writers left beside the files of `queue`, and old edits."""
    from hypervisor.config.settings import load
    from hypervisor.tasks import write
    from hypervisor.tasks.temporary import recovered
    from hypervisor.tasks.undo_packs import Packs

    folders = {os.path.dirname(path) for path in ledger.items.paths(queue)}
    for folder in folders:
        try:
            write.sweep_temporaries(os.path.join(ledger.root, folder), recovered(ledger.state))
        except OSError:
            continue
    try:
        Packs(ledger.state, queue).prune(load(ledger.root).limits.undo_days)
    except (HypervisorError, OSError):
        return


def write_unconfirmed(ledger: Ledger, row: Held, last_message: str) -> None:
    """Say in a task's body that a worker stopped without reporting it; its status stays.

    The next accepted report replaces this one. A file that can't be written is left alone, and so
    is that of a claim with a branch: an edit that nobody commits would be in the way of a merge.
    """
    if not is_task(row.path, row.fingerprint) or row.branch:
        return
    from hypervisor.tasks import report

    end = OUTCOME["unreported"]
    lines = report.render(
        "not confirmed",
        {"summary": f"The worker stopped without a report. Its last words:\n{last_message}"},
        heading=end.heading,
        hindered=False,
        worker=row.worker,
        attempt=row.attempts + 1,
        at=time.time(),
    )
    try:
        _put(ledger, row, end.status, lines, lambda: True)
    except (HypervisorError, OSError):
        return


def _written(
    ledger: Ledger, row: Pending, here: _Here, *, search: bool
) -> tuple[str | None, tuple[str | None, str | None]]:
    """Write one end; return in a line why it can't be written now, and what `_write` returns.
    With `search`, a task that is no longer at its path is looked for by its id."""
    try:
        return None, _write(ledger, row, here, search)
    except HypervisorError as error:
        return str(error).replace(os.path.join(ledger.root, ""), ""), _UNKNOWN
    except OSError as error:
        return f"{one_line(row.path)}: {error.strerror or error}", _UNKNOWN
    except Exception as error:
        # One file that trips us must not keep every command from everything else.
        return f"{one_line(row.path)}: {type(error).__name__}: {one_line(error)}", _UNKNOWN


def _write(
    ledger: Ledger, row: Pending, here: _Here, search: bool
) -> tuple[str | None, str | None]:
    """Write one end; return how the file looks now, and the digest of what it held before."""
    if not is_written(row.path, row.fingerprint, row.format):
        return _UNKNOWN
    from hypervisor.system.quick_json import loads

    told: Report = loads(row.report) if row.report else {}
    commit = _commit(row)
    if commit is not None:
        here.wait_for(commit, row)
    if row.format is not None and holds_many(row.format):
        return None, _mark(ledger, row, row.format, told.get("reason") or "")
    from hypervisor.tasks import report

    if row.state != row.outcome:
        # The item failed through its workers' ends: the cause is the ledger's, not a worker's.
        told = {"reason": row.cause or ""}
    end = OUTCOME[row.state]
    lines = report.render(
        end.word,
        told,
        heading=end.heading,
        hindered=end.status == "blocked",
        worker=row.worker,
        attempt=row.attempt,
        at=row.finished_at,
        proof=proofs.of_report({**told}) if row.state == "done" else None,
    )
    assignee = told.get("assignee") if row.state == "done" else None

    def wanted() -> bool:
        return ledger.outbox.awaits_writing(row.token)

    return _put(ledger, row, end.status, lines, wanted, assignee, search=search)


def _mark(ledger: Ledger, row: Pending, format: str, why: str) -> str | None:
    from hypervisor.tasks.formats import mark

    assert row.path is not None, "an item of a file has its path"
    return mark.put(
        os.path.join(ledger.root, row.path),
        format,
        row.id,
        mark.local_id(row.id, row.path),
        row.title,
        row.state,
        _undo_log(ledger, row.queue_name),
        lambda: ledger.outbox.awaits_writing(row.token),
        why,
    )


class _Here:
    """What the checkout at `root` holds of the work that the reports of `rows` tell of."""

    def __init__(self, root: str, rows: list[Pending]) -> None:
        self._root, self._rows = root, rows
        self._held: dict[str, set[str]] = {}

    def wait_for(self, commit: str, row: Pending) -> None:
        """Refuse to write a report where the checkout does not hold the work that it tells of."""
        from hypervisor.system.checkout import head

        # The repository of an item is that of its file.
        folder = os.path.dirname(os.path.join(self._root, row.path or ""))
        here = head(folder)
        if not here or here in (commit, row.merge):
            return
        waits = HypervisorError(
            f"{one_line(row.path)}: commit {commit[:12]} is not in this checkout, which is at "
            f"{here[:12]}",
            "git pull, or merge the branch that it was integrated into",
        )
        # What was found to be missing at a commit stays missing there: git need not be asked again.
        if row.pending == str(waits):
            raise waits
        if here not in self._held:
            from hypervisor.system.git import Git

            commits = filter(None, map(_commit, self._rows))
            self._held[here] = Git(folder, root=self._root).held(set(commits), here)
        if commit not in self._held[here]:
            raise waits


def _commit(row: Pending) -> str | None:
    """Return the commit that a checkout is to hold before it is told of the end in `row`."""
    if not row.branch or row.state != "done" or not row.report:
        return None
    from hypervisor.system.quick_json import loads

    commit: str | None = loads(row.report).get("commit")
    return commit or None


def _put(
    ledger: Ledger,
    row: Held | Pending,
    status: str | None,
    lines: list[str],
    wanted: Callable[[], bool],
    assignee: str | None = None,
    *,
    search: bool = False,
) -> tuple[str | None, str | None]:
    from hypervisor.config.settings import load
    from hypervisor.tasks import report
    from hypervisor.tasks.locate import locate

    assert row.path is not None, "an item without a file has nothing to be written"
    log = _undo_log(ledger, row.queue_name)
    settings = load(ledger.root)

    def renamed(path: str) -> None:
        ledger.items.moved(row.no, os.path.relpath(path, ledger.root))

    def put(place: str) -> tuple[str | None, str | None]:
        path = os.path.join(ledger.root, place)
        looks, before = report.put(
            path, row.token, status, lines, settings, log, row.id, place, wanted, assignee,
            renamed, row.format,
        )  # fmt: skip
        return looks and looks.fingerprint, before

    try:
        return put(row.path)
    except (OtherItem, FileNotFoundError):
        place = locate(ledger.root, settings, row.id, row.path) if search else None
        if place is None:
            raise
    ledger.items.moved(row.no, place)
    return put(place)


def _undo_log(ledger: Ledger, queue: str) -> UndoLog:
    from hypervisor.tasks.undo import UndoLog

    return UndoLog(ledger.state, queue, lambda: ledger.terms.folders(queue))
