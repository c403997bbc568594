"""One worker's triage: claim, plan, keep for undo, write, finish; over and over.

Safe to kill between any two steps. Old bytes and plans are on disk before the first file of a
batch is written; a file is replaced whole; and an item whose worker died comes back with the plan
that was stored: if its edits stand already, they are reported, not made again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from hypervisor import triage
from hypervisor.config.settings import Settings
from hypervisor.ledger import Claim, Ledger
from hypervisor.system.errors import FileChanged, HypervisorError, OtherItem
from hypervisor.system.state import State
from hypervisor.tasks import edit, read, write
from hypervisor.tasks.front_matter import task_of
from hypervisor.tasks.locate import expect
from hypervisor.tasks.temporary import recovered
from hypervisor.tasks.undo import UndoLog
from hypervisor.tasks.undo_packs import Packs
from hypervisor.triage import Plan
from hypervisor.worker import give_back
from hypervisor.worker.presence import Presence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.intake.preflight import Preflight
    from hypervisor.system.reports import Report


def tidy(root: str, queue: str, settings: Settings, checked: Preflight) -> None:
    """Clear away what killed writers left beside the tasks, and bytes past their days."""
    state = State.find(root)
    if state is None:
        return
    Packs(state, queue).prune(settings.limits.undo_days)
    paths = (os.path.join(root, entry.path) for entry in checked.ready if entry.path)
    for folder in {os.path.dirname(path) for path in paths}:
        with suppress(OSError):
            write.sweep_temporaries(folder, recovered(state))


def with_children(root: str, settings: Settings, checked: Preflight) -> Preflight:
    """Note with each ready task whether others name it as their parent, if the rules ask for it."""
    if settings.triage.complexity:
        from hypervisor.intake.sources import tasks_below

        parents = {known.parent for known in tasks_below(root, settings)}
        for entry in checked.ready:
            entry.payload = {"children": entry.id in parents}
    return checked


# Items that one transaction claims, and one fsync keeps for undo.
BATCH = 50
# Triage of a batch takes a second or two; a worker that is silent for this long is dead.
LEASE_SECONDS = 120
_TRIES = 3
_PAUSE = 0.1


class Ended(NamedTuple):
    """How an item ended."""

    claim: Claim
    outcome: str
    report: Report


class Edited(NamedTuple):
    """A file that is to change: where it is, how it was read, and what triage wants of it."""

    path: str
    document: read.Document
    after: bytes
    plan: Plan


def consider(path: str, settings: Settings, children: bool | None = None) -> Edited | None:
    """Read the file at `path` and return what triage would change; None for no task.

    Raises BrokenFile, EditRefused and OSError.
    """
    document = read.read(path)
    task = task_of(document, settings)
    if task is None:
        return None
    plan = triage.decide(document, task, settings, children=children)
    return Edited(path, document, _after(document, plan), plan)


def _after(document: read.Document, plan: Plan) -> bytes:
    return edit.edit(document, plan.edits).after if plan.edits else document.raw


class Worker:
    """One worker of a triage queue; `name` is how its claims are shown.

    `told` is called with the items of each batch that the ledger accepted.
    """

    def __init__(
        self,
        ledger: Ledger,
        queue: str,
        name: str,
        settings: Settings,
        told: Callable[[list[Ended]], None] | None = None,
    ) -> None:
        self._ledger = ledger
        self._queue = queue
        self._name = name
        self._settings = settings
        self._told = told
        self._there = Presence(ledger)
        self._undo = UndoLog(ledger.state, queue, lambda: ledger.terms.folders(queue))

    def work(
        self,
        batch: int = BATCH,
        *,
        limit: int | None = None,
        wait: bool = True,
        stop: Callable[[], bool] = lambda: False,
    ) -> int:
        """Triage until nothing is left, `limit` items are done or `stop` says so; return how many.

        Up to `batch` items are claimed at a time. With `wait`, items that others hold are waited
        for, since a dead worker's come back.
        """
        count = 0
        n = batch
        while not stop() and (limit is None or count < limit):
            n = n if limit is None else min(n, limit - count)
            claims = self._ledger.claims.claim(self._queue, self._name, n, there=self._there)
            if not claims and self._there.follow(self._ledger):
                continue
            if len(claims) > 1 and any(claim.deaths for claim in claims):
                # A worker died with such an item in its hands, and it may be what killed it: each
                # is tried alone, so that the others are not taken along.
                self._ledger.ends.end_worker(self._name, "freed")
                n = max(1, next(place for place, claim in enumerate(claims) if claim.deaths))
            elif claims:
                self._try(claims)
                count += len(claims)
                n = batch
            elif wait and self._ledger.queues.stats(self._queue)["claimed"]:
                time.sleep(_PAUSE)
            else:
                break
        return count

    def _try(self, claims: list[Claim]) -> None:
        try:
            self.batch(claims)
        except OSError as error:
            # A full disk, say: nothing that the items are to blame for.
            self._ledger.ends.end_worker(self._name, "freed", _why(error))
            raise

    def batch(self, claims: list[Claim]) -> None:
        """Triage what was claimed, and tell how each item ended, refused ones left out."""
        ended: list[Ended] = []
        edits: list[tuple[Claim, Edited]] = []
        for claim in claims:
            looked = self._look(claim)
            if looked is None:
                self._pass_over(claim)
            elif isinstance(looked, Ended):
                ended.append(looked)
            else:
                edits.append((claim, looked))
        held = self._keep(edits)
        results = write.replace_many([(e.path, e.document, e.after) for _, e in held])
        for (claim, edited), result in zip(held, results, strict=True):
            if isinstance(result, FileChanged):
                looked_again = self._again(claim)
                if looked_again is None:
                    self._pass_over(claim)
                else:
                    ended.append(looked_again)
            elif isinstance(result, HypervisorError):
                ended.append(Ended(claim, "failed", {"reason": _why(result)}))
            else:
                ended.append(Ended(claim, "done", report(edited.plan)))
        states = self._ledger.ends.finish_many(
            [(e.claim.token, e.outcome, {**e.report}) for e in ended]
        )
        if self._told is not None:
            self._told([end for end, state in zip(ended, states, strict=True) if state is not None])

    def _look(self, claim: Claim) -> Ended | Edited | None:
        """Return what is to be done with an item, None where its file is missing."""
        if claim.path is None:
            return Ended(claim, "skipped", {"reason": "not a file"})
        path = os.path.join(self._ledger.root, claim.path)
        try:
            document = read.read(path)
            task = task_of(document, self._settings)
            if task is None:
                return Ended(claim, "skipped", {"reason": "not a task any more"})
            if claim.fingerprint is not None:
                expect(task, document, claim.id, claim.path)
            earlier = json.loads(claim.plan) if claim.plan else None
            if earlier and triage.stands(earlier["changes"], document, task, self._settings):
                # The worker that made the edit died before it could say so.
                return Ended(claim, "done", earlier)
            if task.state in ("done", "cancelled"):
                why = "already complete" if task.state == "done" else "cancelled"
                return Ended(claim, "skipped", {"reason": why})
            children = claim.payload.get("children") if isinstance(claim.payload, dict) else None
            plan = triage.decide(document, task, self._settings, children=children)
            if not plan.edits:
                return Ended(claim, "done", report(plan))
            return Edited(path, document, _after(document, plan), plan)
        except (OtherItem, FileNotFoundError, NotADirectoryError):
            return None
        except (HypervisorError, OSError) as error:
            return Ended(claim, "failed", {"reason": _why(error)})

    def _keep(self, edits: list[tuple[Claim, Edited]]) -> list[tuple[Claim, Edited]]:
        """Put old bytes and plans on disk; return the edits whose claims are still held."""
        if not edits:
            return []
        self._undo.record(
            [(edited.path, edited.document.raw, edited.after, c.id) for c, edited in edits]
        )
        plans = {claim.token: json.dumps(report(edited.plan)) for claim, edited in edits}
        held = set(self._ledger.claims.store_plans(plans))
        return [(claim, edited) for claim, edited in edits if claim.token in held]

    def _pass_over(self, claim: Claim) -> None:
        give_back(self._ledger, [claim.token])
        self._there.leave_out(claim.id, claim.number, claim.path or "")

    def _again(self, claim: Claim) -> Ended | None:
        """Read and plan anew what somebody edited meanwhile, and write that; None where it is
        missing now."""
        for _ in range(_TRIES - 1):
            looked = self._look(claim)
            if looked is None or isinstance(looked, Ended):
                return looked
            if not self._keep([(claim, looked)]):
                break
            try:
                write.replace(looked.path, looked.document, looked.after)
                return Ended(claim, "done", report(looked.plan))
            except FileChanged:
                continue
            except (HypervisorError, OSError) as error:
                return Ended(claim, "failed", {"reason": _why(error)})
        return Ended(claim, "failed", {"reason": f"edited by others {_TRIES} times meanwhile"})


def report(plan: Plan) -> Report:
    """Return a plan as the report of a worker that carried it out."""
    told: Report = {
        "summary": ", ".join(plan.changes) or "nothing to change",
        "action": plan.action,
        "changes": list(plan.changes),
        "rule": plan.rule,
    }
    if plan.close_reason is not None:
        told["close_reason"] = plan.close_reason
    if plan.complexity is not None:
        told["complexity"] = plan.complexity
    if plan.notes:
        told["notes"] = list(plan.notes)
    return told


def _why(error: Exception) -> str:
    return str(error.strerror or error) if isinstance(error, OSError) else str(error)
