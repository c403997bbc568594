"""Ending items: one report, accepted once, and written where people look."""

from __future__ import annotations

import os

from hypervisor.config import caller
from hypervisor.ledger import Ledger, budget
from hypervisor.ledger.check import checks_of
from hypervisor.system.errors import HypervisorError, NotOwner, SetupError
from hypervisor.system.folder import Folder
from hypervisor.system.text import bounded, one_line
from hypervisor.worker import handed, off_limits, outbox
from hypervisor.worker.handout import give_back, note_renewed, own_claim, share_left, take, terms
from hypervisor.worker.presence import Presence, place_of
from hypervisor.worker.setup import stop_pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypervisor.ledger import Claim
    from hypervisor.ledger.rows import Holding
    from hypervisor.system.reports import Report

_KEPT_BOXES = 50
_KEPT_PATHS = 50
# What of a report its worker says in words.
_SAID = ("summary", "reason", "evidence", "next_step", "note")


class Ended:
    """How an accepted report left its item: the `state` that it is in now; the `claims` that its
    worker was handed next, or the `trouble` with that; what is to be told `beside` of work on a
    branch; and whether an earlier report `stands`, which says otherwise."""

    __slots__ = ("beside", "claims", "made", "stands", "state", "trouble")

    def __init__(self, state: str, made: list[Claim] | None = None) -> None:
        self.state = state
        # What the commit of the end has claimed, for `take_next` to look at; None: nothing tried.
        self.made = made
        self.claims: list[Claim] = []
        self.trouble: HypervisorError | OSError | None = None
        self.beside: Report = {}
        self.stands = False


def finish(
    ledger: Ledger,
    token: str,
    outcome: str,
    report: Mapping[str, object],
    *,
    force: bool = False,
    more: bool = False,
    agent: caller.PoolAgent | None = None,
) -> Ended:
    """Have the report on an item accepted and written: the one way for every kind of worker.

    As done it is accepted if its `answer` fits the queue's schema (see `answers.given`); if the
    task's boxes are ticked, or with `force`, which notes the open ones in it; if nothing was
    changed that the worker may not; and if the queue's check passes.
    What was done on a branch is committed first, and checked in its own working tree. As blocked
    or failed it is accepted always, and what was left on a branch is kept there.

    With `more`, the next item of the queue is handed out too, as `take_next` does. `agent` is the
    agent of a pool whose item it is, if this process is not its own. What can't be written into the
    task's file stays pending. Raises Refused, which is kept, and the item stays its worker's; Spent
    for the last one that the queue allows; NotOwner, and nothing is written: the item is another's,
    or was given back since it can't be told who changed what steers the next run; SetupError, which
    no item is charged for.
    """
    told, row = dict(report), _row(ledger, token, outcome, agent)
    try:
        if row is None:
            ended = _accept(ledger, None, token, outcome, told, more=more)
            ended.stands = _says_more(ledger, token, told)
        elif outcome != "done":
            ended = _not_done(ledger, row, outcome, told, more)
        else:
            ended = _done(ledger, row, told, force, more, agent)
    except HypervisorError as error:
        from hypervisor.worker import checks

        if row is None or not isinstance(error, checks.Refused):
            raise
        try:
            checks.keep(ledger, row, error)
        except checks.Spent:
            _look_after(ledger)
            raise
        raise
    if more:
        take_next(ledger, token, ended)
    return ended


def take_next(ledger: Ledger, token: str, ended: Ended) -> None:
    """Hand out the next item to the worker whose claim `token` has ended, and note it there: what
    goes wrong with that leaves the end as it is."""
    queue, worker, branch, here, rung = ledger.claims.place_of(token)
    try:
        ended.claims = take(
            ledger, queue, worker, claimed=ended.made, branch=branch, here=here, model=rung
        )
    except (HypervisorError, OSError) as error:
        ended.trouble = error


def _done(
    ledger: Ledger,
    row: Holding,
    report: dict[str, object],
    force: bool,
    more: bool,
    agent: caller.PoolAgent | None,
) -> Ended:
    token = row.token
    if row.answer is not None or "answer" in report:
        from hypervisor.worker import answers

        report = answers.given(row, report)
    if row.branch:
        try:
            return _done_on_branch(ledger, row, report, force, agent)
        except SetupError as error:
            stop_pool(ledger, row.queue_name, token, error)
            raise
    row, path = _at_its_place(ledger, row)
    if path is not None:
        report = _ticked(ledger, os.path.join(ledger.root, path), row, report, force)
    commit = ledger.sessions.commit_of(token)
    if commit and "commit" not in report:
        report = report | {"commit": commit}
    report = _checked(ledger, row, report, ledger.root, ledger.state.folder, agent)
    return _accept(ledger, row, token, "done", report, more=more)


def _not_done(
    ledger: Ledger, row: Holding, outcome: str, report: dict[str, object], more: bool
) -> Ended:
    token = row.token
    found = off_limits.changes(ledger, token)
    if paths := [*found.own, *found.inside, *found.shared]:
        report = report | {"off_limits": paths[:_KEPT_PATHS]}
    if row.branch:
        return _left_on_branch(ledger, row, outcome, report)
    return _accept(ledger, row, token, outcome, report, more=more)


def release(ledger: Ledger, token: str, reason: str = "") -> str:
    """Give an item back and return its state: a release is counted, and the last one that the queue
    allows fails the item. Raises NotOwner."""
    state = ledger.ends.release(token, reason=reason)
    _look_after(ledger)
    return state


def _look_after(ledger: Ledger) -> None:
    """See to what the end of a claim without an accepted report leaves."""
    off_limits.look_after(ledger)
    outbox.flush(ledger)


def _accept(
    ledger: Ledger,
    row: Holding | None,
    token: str,
    outcome: str,
    report: Mapping[str, object],
    *,
    more: bool,
    path: str | None = None,
) -> Ended:
    """Have a report accepted and written; `path` is where the item's file is worked on, if that is
    not at the root."""
    from hypervisor.system.redact import Redactor

    # What is cut first might leave half a key, which nothing knows for one.
    clean = Redactor().report(report)
    report = {
        name: bounded(v) if isinstance(v, str) and name != "answer" else v
        for name, v in clean.items()
    }
    pending = row is not None and outbox.is_written(row.path, row.fingerprint, row.format)
    if outcome == "done" and row is not None and row.path and row.fingerprint is None:
        _note_content(ledger, row, path or os.path.join(ledger.root, row.path))
    ended = None
    if more and row is not None and not budget.stop(ledger, row.queue_name):
        ended = _accept_and_claim(ledger, row, outcome, report, pending)
    if ended is None:
        ended = Ended(ledger.ends.finish(token, outcome, report, pending=pending))
    try:
        if row is not None and row.scope:
            from hypervisor.worker import scope

            scope.end(ledger.state, token)
        handed.forget(ledger.state, token)
        if row is not None and row.commits and ended.state != "ready":
            from hypervisor.system import uncommitted

            uncommitted.forget(
                ledger.state, [claim.token for claim in ledger.queries.claims_on(row.no)]
            )
        if outcome == "blocked" or (outcome == "done" and row is not None and not checks_of(row)):
            # Its report names what it changed; or there was nothing to name just now.
            off_limits.end(ledger, token)
        else:
            off_limits.look_after(ledger)
        outbox.flush(ledger)
    except BaseException:
        give_back(ledger, [claim.token for claim in ended.made or []])
        raise
    return ended


def _note_content(ledger: Ledger, row: Holding, path: str) -> None:
    """Note what a plain file, worked on at `path`, holds as its work is handed in: so it is not
    opened again."""
    from hypervisor.system.digests import digest_of

    content = digest_of(path) if row.payload is None and row.format is None else None
    if content is not None:
        ledger.accepted.note(row.no, content)


def _accept_and_claim(
    ledger: Ledger, row: Holding, outcome: str, report: dict[str, object], pending: bool
) -> Ended | None:
    """End an item and claim the next in one commit; None where that can't be done."""
    agent, queue = caller.in_pool(), row.queue_name
    if agent is not None and share_left(ledger, agent, queue) < 1:
        return None
    try:
        marks = terms(ledger, queue, agent, ledger.claims.place_of(row.token)[4])
        [state], claims = ledger.claims.finish_and_claim(
            [(row.token, outcome, report)],
            queue,
            row.worker,
            pending=pending,
            there=Presence(ledger),
            **marks,
        )
    except (HypervisorError, OSError):
        # Nothing was written. What keeps the next item must not keep the report of this one.
        return None
    note_renewed(claims, marks)
    return None if state is None else Ended(state, claims)


def _left_on_branch(ledger: Ledger, row: Holding, outcome: str, report: dict[str, object]) -> Ended:
    """End an item that was not done; what its worker left in its tree is kept."""
    from hypervisor.worker.branches import claim_tree

    saved = bool(row.worktree)
    try:
        if saved:
            report = claim_tree.salvage(ledger, row, report)
    except (HypervisorError, OSError) as error:
        # The report counts, not what is left of work that was not finished: that stays where it is.
        saved = False
        left = f"what was done is in {row.worktree} still: {one_line(error, 600)}"
        report = report | {"reason": f"{report.get('reason') or outcome}; {left}"}
    ended = _accept(ledger, row, row.token, outcome, report, more=False)
    if saved:
        claim_tree.leave(ledger, row)
    return ended


def _done_on_branch(
    ledger: Ledger,
    row: Holding,
    report: dict[str, object],
    force: bool,
    agent: caller.PoolAgent | None,
) -> Ended:
    from hypervisor.worker.branches import claim_tree, saving

    token = row.token
    tree = claim_tree.tree_of(ledger, row, row.path)
    assert tree is not None
    path = claim_tree.file_in(tree, ledger.root, row.path or "")
    report, changed = claim_tree.save(tree, row, _ticked(ledger, path, row, report, force))
    report = _checked(ledger, row, report, tree.work, Folder.at(tree.private), agent, changed)
    if "commit" in report:
        saving.push(tree, str(report["commit"]))
    beside = claim_tree.beside(ledger, tree, report)
    ended = _accept(ledger, row, token, "done", {**report, **beside}, more=False, path=path)
    ended.beside = beside
    if "commit" not in report:
        # Nothing is to be merged: those that wait for the item need not wait for that.
        ledger.branches.merged({token: tree.base})
        outbox.flush(ledger)
    claim_tree.leave(ledger, row, tree)
    return ended


def _ticked(
    ledger: Ledger, file: str, row: Holding, report: dict[str, object], force: bool
) -> dict[str, object]:
    """Return the report, with the boxes that were forced. Raises Refused if one is open."""
    if not outbox.is_task(row.path, row.fingerprint):
        return report
    from hypervisor.worker.checks import boxes_ticked

    before = handed.read(ledger.state, row.token)
    boxes = boxes_ticked(file, row.path, force=force, before=before)
    return report | {"forced": [one_line(box) for box in boxes[:_KEPT_BOXES]]} if boxes else report


def _at_its_place(ledger: Ledger, row: Holding) -> tuple[Holding, str | None]:
    """Return the item as it is noted once its file was looked for, and where that is, from the
    root; None where it is no task, or not there."""
    if row.path is None or row.format is not None or row.fingerprint is None:
        return row, None
    place = place_of(ledger, row, row.path)
    if place not in (None, row.path):
        row = ledger.ends.holding(row.token)
    return row, place


def _checked(
    ledger: Ledger,
    row: Holding,
    report: dict[str, object],
    folder: str,
    turns: Folder,
    agent: caller.PoolAgent | None,
    changed: list[str] | None = None,
) -> dict[str, object]:
    """Return the report, with the check that passed in `folder`, and what was changed in the open.

    `changed` are the paths that a branch changes. Raises Refused and NotOwner.
    """
    # First: what steers git, a shell or a test runner would have its part in the check.
    unnamed = off_limits.refuse(ledger, row, changed)
    if unnamed:
        report = report | {"unnamed": unnamed[:_KEPT_PATHS]}
    if checks_of(row):
        from hypervisor.worker import checks

        report = checks.passed(ledger, row, report, folder, turns, agent, changed)
    return report


def _says_more(ledger: Ledger, token: str, report: Mapping[str, object]) -> bool:
    """True if a report holds what that which was accepted before of the claim does not."""
    from hypervisor.system.quick_json import loads
    from hypervisor.system.redact import Redactor

    claim = ledger.queries.claim_of(token)
    kept = loads(claim.report) if claim is not None and claim.report else {}
    told = Redactor().report(report)
    if any(name in told and kept.get(name) != told[name] for name in _SAID):
        return True
    if "answer" not in report or claim is None:
        return False
    from hypervisor.worker import answers

    return answers.differs(report["answer"], claim.answer)


def _row(
    ledger: Ledger, token: str, outcome: str, agent: caller.PoolAgent | None
) -> Holding | None:
    """Return the item that `token` holds, or None if it has already said this outcome.

    Raises NotOwner, and NotAllowed for a pool's agent whose claim it is not.
    """
    try:
        row = ledger.ends.holding(token)
    except NotOwner:
        if ledger.ends.said(token) != outcome:
            raise
        return None
    own_claim(token, row, agent)
    return row
