"""The claims of one process for the callers that it serves, and their ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from hypervisor import worker
from hypervisor.agents import reconcile
from hypervisor.agents.mcp.choosing import Choosing
from hypervisor.agents.mcp.default_queue import STANDING, NotYours, Standing, first, worker_name
from hypervisor.config.caller import in_pool
from hypervisor.config.roots import create_state
from hypervisor.intake.index import Entry, TaskIndex
from hypervisor.ledger import Claim, Ledger, NoLedger
from hypervisor.ledger.rows import Place
from hypervisor.system.errors import HypervisorError, NotOwner
from hypervisor.system.spans import moment
from hypervisor.system.text import listed, one_line, shell
from hypervisor.worker import nothing_ready

_LONGEST_NAME = 100


class Held(NamedTuple):
    """A claim of ours, and the caller that it was made for ("" if nobody said)."""

    claim: Claim
    caller: str


class Dispatch:
    """`queue` is the only queue that is served, None for the standing one. `held` maps the id of
    each item that this process has claimed to its claim. `here` is a folder in a linked worktree
    that is put on the branch of one item after the other."""

    def __init__(self, index: TaskIndex, queue: str | None, here: str | None = None) -> None:
        self.index = index
        self.choosing = Choosing(index)
        self._standing = Standing(index, self.choosing)
        self.queue = queue
        self._here = here
        self.held: dict[str, Held] = {}
        self._root = index.root
        self._caller = ""
        # Whether the one that asked last may have a part of what is ready only.
        self._narrow = False
        self._prepared = False
        self._ended: dict[str, str] = {}
        # The ledger in a file stays open between calls, as long as it is the same.
        self._open: Ledger | None = None
        self._place: tuple[object, ...] = ()

    def claim(self, caller: str, project: str = "") -> tuple[Claim | None, str]:
        """Claim the next item that `caller` may have, of `project` if one is named.

        None when there is none now, and then in a sentence why.
        """
        self._caller = caller = caller_name(caller)
        self._narrow = bool(project) or self.choosing.is_bound(caller)
        with self._ledger() as ledger:
            if self.queue is not None:
                claim = self._claim_queued(ledger, self.queue, caller, project)
            else:
                claim = self._standing.claim(ledger, caller, project)
            why = self._why_nothing(ledger) if claim is None else ""
        if claim is not None:
            self.held[claim.id] = Held(claim, caller)
        return claim, why

    def _why_nothing(self, ledger: Ledger) -> str:
        """Return in a sentence why nothing was handed out."""
        if self.queue is not None:
            ready = ", none of them for this caller" if self._narrow else ""
            return worker.why_nothing(ledger, self.queue, ready=ready)[0]
        row = next((row for row in ledger.queues.all() if row.name == STANDING), None)
        if row is not None and row.state == "paused":
            return nothing_ready.paused(ledger, row)
        at_work = nothing_ready.at_work(ledger, row.no) if row is not None else []
        return "; ".join(["no task is ready for this caller", *at_work, *self._held_for_names()])

    def _held_for_names(self) -> list[str]:
        """Return whose tasks are held since no setting knows them. How that is mended is for the
        user, not for whoever asks here: `hypervisor preflight` tells it."""
        names = self.choosing.unknown(self._caller)
        if not names:
            return []
        return [f"held until the settings say who that is: the tasks of {listed(names, 3, 40)}"]

    def done(
        self, item_id: str, report: dict[str, object], *, caller: str = "", force: bool = False
    ) -> bool:
        """Finish an item as done; what nobody holds is claimed and finished at once.

        What is complete already is no error: False, and its report stands. Raises NotYours where
        somebody else holds it, Refused and NotOwner as `worker.finish` does.
        """
        item_id, entry = self._named(item_id)
        if item_id not in self.held and self._is_complete(item_id, entry):
            return False
        if not force:
            self._refuse_open_children(item_id)
        with self._ledger() as ledger:
            if item_id not in self.held and entry is not None:
                file = os.path.join(self._root, entry.path)
                worker.boxes_ticked(file, entry.path, force=force)
            held, fresh = self._claimed(ledger, item_id, entry, caller)
            if held.caller:
                report = report | {"assignee": held.caller}
            try:
                worker.finish(ledger, held.claim.token, "done", report, force=force)
            except worker.Refused as refused:
                if fresh:
                    worker.give_back(ledger, [held.claim.token])
                if fresh or isinstance(refused, worker.Spent):
                    del self.held[item_id]
                raise
            except NotOwner:
                del self.held[item_id]
                raise
        self._note_end(item_id, "done")
        return True

    def block(self, item_id: str, report: dict[str, object], *, caller: str = "") -> None:
        """End an item as blocked; else as `done`."""
        item_id, entry = self._named(item_id)
        if item_id not in self.held and self._was_blocked_here(item_id, entry):
            return
        with self._ledger() as ledger:
            held, _ = self._claimed(ledger, item_id, entry, caller)
            try:
                worker.finish(ledger, held.claim.token, "blocked", report)
            except NotOwner:
                del self.held[item_id]
                raise
        self._note_end(item_id, "blocked")

    def suggest(self, item_id: str, title: str, body: str) -> str:
        """Keep more work that was found while an item of ours was done, and return its id. Raises
        NotYours for any other item, and what `worker.suggest` does."""
        item_id, _ = self._named(item_id)
        with self._ledger() as ledger:
            if item_id not in self.held:
                raise NotYours(self._whose(ledger, item_id))
            return worker.suggest(ledger, self.held[item_id].claim.token, title, body)

    def release(self, item_id: str, reason: str) -> str:
        """Give an item of ours back and return its state. Raises NotYours for any other."""
        item_id, _ = self._named(item_id)
        with self._ledger() as ledger:
            if item_id not in self.held:
                raise NotYours(self._whose(ledger, item_id))
            held = self.held.pop(item_id)
            return worker.release(ledger, held.claim.token, reason)

    def give_back_all(self) -> None:
        """Free all claims, at no cost to their items.

        An agent of a pool leaves them: its pool knows how it ended, and what that costs.
        """
        if in_pool() is not None:
            return
        held, self.held = self.held, {}
        if held:
            with self._ledger() as ledger:
                worker.give_back(ledger, [one.claim.token for one in held.values()])

    def holder(self, item_id: str) -> str | None:
        """Return who else holds an item, for people; None if nobody does."""
        if item_id in self.held:
            return None
        try:
            with Ledger.open(self._root) as ledger:
                reconcile.settle(ledger)
                place = ledger.items.open_place(item_id)
        except NoLedger:
            return None
        return _held_by(place)

    def elsewhere(self) -> dict[str, str]:
        """Return the items that are claimed, or open in a queue that a person opened."""
        try:
            with Ledger.open(self._root) as ledger:
                reconcile.settle(ledger)
                claimed = dict.fromkeys(ledger.claims.live_tokens().values(), "claimed")
                items = ledger.items.all_open().items()
        except NoLedger:
            return {}
        return claimed | {item: queue for item, queue in items if queue != STANDING}

    # -- the next one --

    def _claim_queued(self, ledger: Ledger, queue: str, caller: str, project: str) -> Claim | None:
        if not project and not self.choosing.is_bound(caller):
            return first(worker.take(ledger, queue, worker_name(caller), here=self._here))
        reconcile.settle(ledger)
        for row in ledger.items.ready(queue):
            entry = self.index.at(row.path) if row.path else None
            if self.choosing.fits(entry, caller, project):
                name = worker_name(caller)
                claims = worker.take(ledger, queue, name, only=row.id, here=self._here)
                if claims:
                    return claims[0]
        return None

    # -- ending --

    def _named(self, item_id: str) -> tuple[str, Entry | None]:
        """Return the id of the item that somebody means, and its task if it is one."""
        if item_id in self.held:
            return item_id, None
        if not self.index.find(item_id) and self.queue is not None:
            return item_id, None
        entry = self.choosing.only(item_id)
        return entry.id or entry.path, entry

    def _claimed(
        self, ledger: Ledger, item_id: str, entry: Entry | None, caller: str
    ) -> tuple[Held, bool]:
        """Return the claim under which we may end an item, and whether it was made for that."""
        if item_id in self.held:
            return self.held[item_id], False
        reconcile.settle(ledger)
        place = ledger.items.open_place(item_id)
        queue = place.queue_name if place is not None else None
        if self.queue not in (None, queue):
            shown = one_line(item_id, 80)
            raise NotYours(
                f"{shown} is not open in queue {self.queue}", "only that queue is served here"
            )
        caller = caller_name(caller) if caller else self._caller
        claim = None
        if place is None or place.token is None:
            if queue not in (None, STANDING):
                name = worker_name(caller or STANDING)
                claim = first(worker.take(ledger, queue, name, only=item_id, here=self._here))
            elif entry is not None:
                name = caller or STANDING
                claim = self._standing.claim_one(ledger, item_id, entry, name, named=True)
        if claim is None:
            raise NotYours(self._whose(ledger, item_id))
        self.held[item_id] = Held(claim, caller)
        return self.held[item_id], True

    def _is_complete(self, item_id: str, entry: Entry | None) -> bool:
        if entry is None or entry.task is None:
            return self._ended.get(item_id) == "done"
        return entry.task.state == "done"

    def _was_blocked_here(self, item_id: str, entry: Entry | None) -> bool:
        stands = entry is None or (entry.task is not None and entry.task.state == "blocked")
        return stands and self._ended.get(item_id) == "blocked"

    def _refuse_open_children(self, item_id: str) -> None:
        named = [
            child.id
            for child in self.index.children(item_id)
            if child.task is not None and child.task.state not in ("done", "cancelled")
        ]
        if named:
            raise worker.Refused(
                f"{one_line(item_id, 80)} has open children: {listed(named, 5, 60)}",
                "complete them first, or say it with force",
                by="children",
            )

    def _note_end(self, item_id: str, outcome: str) -> None:
        self.held.pop(item_id, None)
        self._ended[item_id] = outcome

    def _whose(self, ledger: Ledger, item_id: str) -> str:
        place = ledger.items.open_place(item_id)
        shown = one_line(item_id, 80)
        if place is None:
            return f"{shown} is not claimed here"
        if held := _held_by(place):
            return f"{shown} is {held}"
        if place.state == "waiting":
            return f"{shown} waits for other items of queue {place.queue_name}"
        if place.queue_state != "open":
            return f"{shown} is in queue {place.queue_name}, which is {place.queue_state}"
        return f"{shown} is claimed by nobody; who locks it says: hypervisor show {shell(item_id)}"

    @contextmanager
    def _ledger(self) -> Iterator[Ledger]:
        if self.queue is None and not self._prepared:
            # Asks git whether it tracks the state, as opening a queue does.
            create_state(self._root)
            self._prepared = True
        place = Ledger.place(self._root)
        if self._open is None or place != self._place:
            self._close()
            project = self.index.settings.project
            self._open = Ledger.open(self._root, create=self.queue is None, project=project)
            self._place = place
        try:
            yield self._open
        except BaseException:
            self._close()
            raise
        if self._open.is_shared:
            # A server's connection would be kept from others, and may break meanwhile.
            self._close()

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def caller_name(caller: str) -> str:
    """Return the name of a caller, fit for a front matter. Raises HypervisorError for none."""
    name = " ".join(caller.split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise HypervisorError("the caller has no usable name", 'say who asks: caller="NAME"')
    return name


def _held_by(place: Place | None) -> str | None:
    """Return who holds an item, for people; None if nobody does."""
    if place is None or place.worker is None or place.claimed_at is None:
        return None
    since = moment(place.claimed_at)
    return f"held by {one_line(place.worker, 80)} since {since} (queue {place.queue_name})"
