"""Ending items: one report, accepted once, and written where people look."""

from __future__ import annotations

import os

from hypervisor import budget, caller, outbox
from hypervisor.config.roots import state_dir
from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError, NotOwner
from hypervisor.system.text import one_line
from hypervisor.worker.share import own_claim, share_left
from hypervisor.worker.taking import give_back, terms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hypervisor.ledger import Claim

_KEPT_BOXES = 50


class Ended:
    """How an accepted report left its item: the `state` that it is in now; and the `claims` made in
    the same commit, to be looked at by `take`, or None where none were tried for."""

    __slots__ = ("claims", "state")

    def __init__(self, state: str, claims: list[Claim] | None) -> None:
        self.state = state
        self.claims = claims


def finish(
    ledger: Ledger, token: str, outcome: str, report: dict[str, Any], *, more: bool = False
) -> Ended:
    """Have the report accepted and written; with `more`, also claim the next item of its queue.

    What was left in the working tree of a branch is kept on it. Raises NotOwner, with nothing
    written. What can't be written into the file stays pending.
    """
    row = _row(ledger, token, outcome)
    if row is not None and row["branch"]:
        return _finish_branch(ledger, row, outcome, report)
    return _finish(ledger, row, token, outcome, report, more=more)


def done(
    ledger: Ledger, token: str, report: dict[str, Any], *, force: bool, more: bool = False
) -> Ended:
    """Finish as done, if the task's boxes are ticked and the queue's check passes.

    `force` accepts open boxes and notes them in the report; `more` is that of `finish`. What was
    done on a branch is committed first, and checked in its own working tree. Raises Refused, and
    the item stays its worker's; NotOwner, and nothing is written.
    """
    row = _row(ledger, token, "done")
    if row is None:
        return _finish(ledger, None, token, "done", report, more=more)
    if row["branch"]:
        return _done_on_branch(ledger, row, report, force)
    report = _ticked(os.path.join(ledger.root, row["path"] or ""), row, report, force)
    commit = ledger.commit_of(token)
    if commit and "commit" not in report:
        report = report | {"commit": commit}
    report = _checked(ledger, row, report, ledger.root, state_dir(ledger.root))
    return _finish(ledger, row, token, "done", report, more=more)


def _finish(
    ledger: Ledger, row: Any, token: str, outcome: str, report: dict[str, Any], *, more: bool
) -> Ended:
    from hypervisor.system.redact import Redactor

    report = Redactor().report(report)
    pending = row is not None and _is_task(row)
    more = more and row is not None and not budget.stop(ledger, row["queue_name"])
    ended = _finish_and_claim(ledger, row, outcome, report, pending) if more else None
    if ended is None:
        ended = Ended(ledger.finish(token, outcome, report, pending=pending), None)
    try:
        if row is not None and row["scope"]:
            from hypervisor import scope

            scope.end(ledger.root, token)
        outbox.flush(ledger)
    except BaseException:
        give_back(ledger, [claim.token for claim in ended.claims or []])
        raise
    return ended


def _finish_and_claim(
    ledger: Ledger, row: Any, outcome: str, report: dict[str, Any], pending: bool
) -> Ended | None:
    """End an item and claim the next in one commit; None where that can't be done."""
    agent = caller.in_pool()
    if agent is not None and share_left(ledger, agent) < 1:
        return None
    queue = row["queue_name"]
    try:
        [state], claims = ledger.finish_and_claim(
            [(row["token"], outcome, report)],
            queue,
            row["worker"],
            pending=pending,
            **terms(ledger, queue, agent),
        )
    except (HypervisorError, OSError):
        # Nothing was written. What keeps the next item must not keep the report of this one.
        return None
    return None if state is None else Ended(state, claims)


def _finish_branch(ledger: Ledger, row: Any, outcome: str, report: dict[str, Any]) -> Ended:
    """End an item that was not done; what its worker left in its tree is kept on its branch."""
    from hypervisor.branches import places

    tree = None
    try:
        tree = places.tree_of(ledger.root, row)
        if tree is not None:
            report = places.save(tree, row, report)
    except (HypervisorError, OSError):
        # The report counts, not what is left of work that was not finished.
        pass
    ended = _finish(ledger, row, row["token"], outcome, report, more=False)
    if tree is not None:
        places.leave(ledger, tree, row["token"])
    return ended


def _done_on_branch(ledger: Ledger, row: Any, report: dict[str, Any], force: bool) -> Ended:
    from hypervisor.branches import places, trees

    token = row["token"]
    tree = places.tree_of(ledger.root, row)
    assert tree is not None
    path = places.file_in(tree, ledger.root, row["path"] or "")
    report = places.save(tree, row, _ticked(path, row, report, force))
    changed = places.changed(tree, report.get("commit")) if row["scope"] else None
    report = _checked(ledger, row, report, tree.work, tree.private, changed)
    if "commit" in report:
        trees.push(tree, report["commit"])
    ended = _finish(ledger, row, token, "done", report, more=False)
    if "commit" not in report:
        # Nothing is to be merged: those that wait for the item need not wait for that.
        ledger.merged(token, tree.base)
        outbox.flush(ledger)
    places.leave(ledger, tree, token)
    return ended


def _ticked(file: str, row: Any, report: dict[str, Any], force: bool) -> dict[str, Any]:
    """Return the report, with the boxes that were forced. Raises Refused if one is open."""
    if not _is_task(row):
        return report
    from hypervisor.worker.checks import boxes_ticked

    boxes = boxes_ticked(file, row["path"], force=force)
    return report | {"forced": [one_line(box) for box in boxes[:_KEPT_BOXES]]} if boxes else report


def _checked(
    ledger: Ledger,
    row: Any,
    report: dict[str, Any],
    folder: str,
    state: str,
    changed: list[str] | None = None,
) -> dict[str, Any]:
    """Return the report, with the check that passed in `folder`. Raises Refused and NotOwner."""
    if row["scope"] or row["verify"]:
        from hypervisor.worker import checks

        if row["scope"]:
            checks.in_scope(ledger, row, changed)
        if row["verify"]:
            checks.verified(ledger, row["token"], row, folder, state)
            report = report | {"verify": row["verify"]}
    return report


def _row(ledger: Ledger, token: str, outcome: str) -> Any:
    """Return the item that `token` holds, or None if it has already said this outcome.

    Raises NotOwner, and NotAllowed for a pool's agent whose claim it is not.
    """
    try:
        row = ledger.holding(token)
    except NotOwner:
        if ledger.said(token) != outcome:
            raise
        return None
    own_claim(token, row)
    return row


def _is_task(row: Any) -> bool:
    # Only tasks have one: other files and rows get no report of ours.
    return row["path"] is not None and row["fingerprint"] is not None
