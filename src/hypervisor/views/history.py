"""What is known of one item, and what happened in a queue: told from the ledger, in order."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from itertools import islice

from hypervisor.ledger import Ledger, budget, locks, outcomes, usage
from hypervisor.ledger.findings import ClaimRow, Event, Happened, KnownItem, spent_on
from hypervisor.ledger.options import Queue
from hypervisor.ledger.outcomes import ODD, OUTCOME
from hypervisor.ledger.refusals import Refusal, worded
from hypervisor.ledger.reports import reason_of
from hypervisor.ledger.reviews import ACCEPTED, REJECTED
from hypervisor.system import keys
from hypervisor.system.errors import UsageError
from hypervisor.system.spans import span
from hypervisor.system.state import shown
from hypervisor.system.text import count, either, listed, one_line, prose, shell
from hypervisor.views import shapes
from hypervisor.worker.presence import lock_on, lock_view

_AWAITED = 5
# So many ids are compared with one that nobody knows.
_LOOKED_AT = 10_000


def item(ledger: Ledger, word: str) -> shapes.Item:
    """Return everything that is known of an item, over all queues and their generations.

    `word` is its id, the token of a claim on it, or its file's path. The shape is described by
    `schemas/show.schema.json`. Raises UsageError if nothing is known.
    """
    rows = ledger.queries.items_called(word)
    item_id = word
    if not rows:
        item_id = ledger.queries.id_of(word) or word
        rows = ledger.queries.items_called(item_id)
        if not rows:
            raise UsageError(f"no item '{one_line(word, 60)}' in any queue", _meant(ledger, word))
        others = [one for one in ledger.queries.ids_at(word) if one != item_id]
        if others:
            known = listed([*others, item_id], _AWAITED, 60)
            name = f"hypervisor show {shell(others[0])}"
            raise UsageError(f"{one_line(word, 200)} has more than one item: {known}", name)
    return {
        "id": item_id,
        "queues": [_in_queue(ledger, row) for row in rows],
        "waited_for_by": [
            {"id": id, "queue": queue, "state": state}
            for id, queue, state in ledger.queries.waiting_for(item_id)
        ],
        "locks": _locks(ledger, item_id, rows),
        "file": file_at(ledger.root, next((r.path for r in reversed(rows) if r.path), None)),
        "why": _why(ledger, rows[-1]),
    }


def _meant(ledger: Ledger, word: str) -> str:
    """Return the command that shows what may be meant by an id that is none: one that ends with it
    in its file, or is much like it."""
    from difflib import get_close_matches

    known = ledger.queries.ids_like("", None, _LOOKED_AT)
    near = [one for one in known if one.endswith(f"#{word}")] or get_close_matches(word, known, 1)
    return f"hypervisor show {shell(near[0])}" if near else "hypervisor status"


def _why(ledger: Ledger, row: KnownItem) -> str | None:
    """Return in words why an item is not done, and what helps; None for one that is."""
    queue, state = row.queue_name, row.state
    if row.claim is not None and state == "claimed":
        claim = ledger.queries.claim_now(row.claim)
        worker = one_line(claim.agent or claim.worker, 40)
        return f"{worker} has had it for {span(time.time() - claim.claimed_at)}"
    if state == "waiting" and row.id in ledger.narrowing.aside(row.queue):
        return (
            f"it is set aside, not {one_line(ledger.narrowing.condition(row.queue), 100)}; "
            f"bring all back: hypervisor open {queue} --where all"
        )
    if state == "waiting":
        others = ledger.queries.waits_for(row.no)[:_AWAITED]
        return f"it waits for {', '.join(_awaited(ledger, queue, one) for one in others)}"
    if state == "ready":
        return _not_handed_out(ledger, row)
    if state in ODD:
        report = ledger.queries.claim_now(row.claim) if row.claim is not None else None
        why = row.cause or (reason_of(report.report) if report is not None else None)
        again = shell([queue, row.id])
        told_why = f"“{prose(why or 'no reason given', 300)}”"
        return f"{state}: {told_why}; try again: hypervisor retry {again}"
    if state == "done":
        return None
    return f"{state}: {prose(row.cause or 'no reason given', 300)}"


def _awaited(ledger: Ledger, queue: str, item_id: str) -> str:
    state = ledger.items.state_of(queue, item_id)
    if state == "done":
        # What was done on a branch satisfies others once it is merged.
        state = f"done, not merged yet: hypervisor integrate {queue}"
    return f"{one_line(item_id, 60)} ({state})"


def _not_handed_out(ledger: Ledger, row: KnownItem) -> str:
    queue = ledger.queues.get(row.queue_name)
    if queue.state == "paused":
        why = f" ({one_line(queue.reason, 100)})" if queue.reason else ""
        return f"its queue is paused{why}; {budget.goes_on(ledger, queue)}"
    for lock in _locks(ledger, row.id, [row]):
        if not lock["ours"]:
            return f"another tool has locked it: {one_line(lock['path'], 300)}"
    if ledger.claims.meets_work(row.files):
        return "it touches files that others are working on"
    ready = [one.id for one in ledger.items.ready(queue.name)]
    place = ""
    if row.id in ready:
        number = ready.index(row.id)
        before = f", {count(number, 'item')} {either(number, 'comes', 'come')} before it"
        place = before if number else " and comes next"
    earlier = f"it was tried before: “{prose(row.cause, 200)}”; " if row.cause else ""
    return f"{earlier}it is ready{place}"


def _in_queue(ledger: Ledger, row: KnownItem) -> shapes.InQueue:
    return {
        "queue": row.queue_name,
        "generation": row.generation,
        "queue_state": row.queue_state,
        "state": row.state,
        "standing": outcomes.standing(
            row.state, row.first_claimed_at, spent_on(row), row.cause
        ).word,
        "cause": row.cause,
        "path": row.path,
        "title": row.title,
        "payload": json.loads(row.payload) if row.payload else None,
        "attempts": row.attempts,
        "deaths": row.deaths,
        "releases": row.releases,
        "lost": row.lost,
        "abrupt": row.abrupt,
        "finished_at": row.finished_at,
        "told_by": row.told_by,
        "report_pending": row.pending,
        "waits_for": ledger.queries.waits_for(row.no),
        "claims": [_claim(ledger, claim) for claim in ledger.queries.claims_on(row.no)],
    }


def _claim(ledger: Ledger, claim: ClaimRow) -> shapes.Claim:
    known = claim.input_tokens is not None
    refusals = ledger.refusals.of_claims([claim.no]).get(claim.no, [])
    agent = ledger.agents.find(claim.agent) if known and claim.agent else None
    return {
        "token": claim.token,
        "worker": claim.worker,
        "session": claim.session,
        "agent": claim.agent,
        "attempt": claim.attempt,
        "claimed_at": claim.claimed_at,
        "ended_at": claim.ended_at,
        "outcome": claim.outcome,
        "proof": claim.proof,
        "report": json.loads(claim.report) if claim.report else None,
        "refusals": [
            {"at": one.at, "check": one.name, "why": one.why, "tail": one.tail} for one in refusals
        ],
        "commit": claim.commit_id,
        "tokens": usage.by_kind(claim),
        "tokens_exact": not usage.missing_of(agent) if agent is not None else None,
        "usd": None if claim.usd is None else round(claim.usd, 6),
        "model": claim.model,
        "version": claim.version or 1,
        "transcript": claim.kept,
        "review": None
        if claim.verdict is None
        else {
            "verdict": claim.verdict,
            "by": claim.reviewer or "",
            "at": claim.verdict_at or 0.0,
            "note": claim.verdict_note,
        },
    }


def _locks(ledger: Ledger, item_id: str, rows: list[KnownItem]) -> list[shapes.Lock]:
    folders = {ledger.claim_locks.folder_of(row) for row in rows} | {shown(ledger.root, "locks")}
    places = [ledger.claim_locks.folder_at(folder) for folder in sorted(folders)]
    path = rows[-1].path if rows[-1].payload is None else None
    theirs = lock_on(lock_view(ledger), ledger.root, item_id, path)
    found: dict[str, shapes.Lock] = {}
    for lock in (*(locks.holder(place, keys.key(item_id)) for place in places), theirs):
        if lock is not None:
            found[lock.path] = {
                "path": lock.path,
                "kind": lock.kind,
                "owner": lock.owner,
                "ours": locks.maker_of(lock.owner) == ledger.ledger_id,
                "age_seconds": round(time.time() - lock.since, 1),
            }
    return list(found.values())


def file_at(root: str, path: str | None) -> shapes.File | None:
    """Return how the file of an item looks, None for an item without one."""
    if path is None:
        return None
    try:
        seen = os.stat(os.path.join(root, path))
    except OSError:
        return {"path": path, "exists": False, "modified_at": None}
    return {"path": path, "exists": True, "modified_at": seen.st_mtime}


CHANGES = {"open": "resumed"}
_ABOUT_ITEMS = ("retried", ACCEPTED, REJECTED, "suggested")
_AT_ONCE = 500


class Log:
    """The events of all generations of a queue, in order, as they happen."""

    def __init__(self, ledger: Ledger, queue: str) -> None:
        self._ledger = ledger
        self._queue = queue
        # The highest number that was told of an event, a claim and a refusal.
        self._newest = [0, 0, 0]
        # What was told of the numbers that are looked at again.
        self._told: set[tuple[int, int, int]] = set()
        # The claims whose end has not been told.
        self._open: set[int] = set()

    def news(self) -> Iterator[shapes.Event]:
        """Yield what has happened since the last call, or all: `at`, `event`, and what it is about;
        a part of it at a time is held."""
        queues = {row.no: row for row in self._ledger.queues.generations_of(self._queue)}
        # Of several writers one may be through with a lower number later.
        event, claim, refusal = (max(0, number - _AT_ONCE) for number in self._newest)
        found = self._ledger.queries.story(list(queues), (event, claim, refusal), list(self._open))
        new = (key for key in _in_order(found, claim) if key[1:4] not in self._told)
        told: set[tuple[int, int, int]] = set()
        while some := list(islice(new, _AT_ONCE)):
            yield from self._tell(queues, some)
            told = self._looked_at_again(told.union(one[1:4] for one in some))
        self._told = self._looked_at_again(self._told | told)

    def _looked_at_again(self, told: set[tuple[int, int, int]]) -> set[tuple[int, int, int]]:
        return {key for key in told if key[1] > self._newest[key[0]] - _AT_ONCE}

    def _tell(self, queues: dict[int, Queue], some: list[Happened]) -> Iterator[shapes.Event]:
        events, claims, refusals = (
            sorted({one.no for one in some if one.about == kind}) for kind in (0, 1, 2)
        )
        event = {row.no: row for row in self._ledger.queries.events_called(events)}
        claim = {row.no: row for row in self._ledger.queries.claims_called(claims)}
        refusal = {row.no: row for row in self._ledger.refusals.called(refusals)}
        for at, about, number, is_end, _ in some:
            self._newest[about] = max(self._newest[about], number)
            if about == 2:
                yield self._refused(refusal[number])
            elif about == 0:
                yield self._happened(queues[event[number].queue], event[number])
            elif is_end:
                self._open.discard(number)
                yield self._ended(claim[number])
            else:
                self._open.add(number)
                yield self._about(claim[number], at, "claimed")

    def _happened(self, queue: Queue, row: Event) -> shapes.Event:
        event = CHANGES.get(row.kind, row.kind)
        about_item = event in _ABOUT_ITEMS
        return {
            "at": row.at,
            "event": event,
            "queue": queue.name,
            "generation": queue.generation,
            "id": row.detail if about_item else None,
            "token": None,
            "worker": None,
            "detail": None if about_item else row.detail or None,
        }

    def _refused(self, row: Refusal) -> shapes.Event:
        claim = self._ledger.queries.claim_now(row.claim)
        detail = worded(row.name, row.why) + (f"; {row.tail}" if row.tail else "")
        return self._about(claim, row.at, "refused", detail)

    def _ended(self, row: ClaimRow) -> shapes.Event:
        assert row.outcome is not None and row.ended_at is not None
        report = json.loads(row.report) if row.report else {}
        detail = report.get("summary") or report.get("reason") or report.get("cause")
        return self._about(row, row.ended_at, OUTCOME[row.outcome].event, detail)

    def _about(
        self, row: ClaimRow, at: float, event: str, detail: str | None = None
    ) -> shapes.Event:
        return {
            "at": at,
            "event": event,
            "queue": row.queue_name,
            "generation": row.generation,
            "id": row.id,
            "token": row.token,
            "worker": row.worker,
            "detail": detail,
        }


def _in_order(found: Iterable[Iterator[Happened]], told: int) -> Iterator[Happened]:
    """Yield what each of `found` holds, in its order, by the time between them, and nothing before
    its claim. The claims up to the number `told` are known."""
    heads = [(one, rest) for rest in found if (one := next(rest, None))]
    while free := [(one, at) for at, (one, _) in enumerate(heads) if one.behind <= told]:
        one, at = min(free)
        if one.about == 1 and not one.is_end:
            told = one.no
        yield one
        rest = heads[at][1]
        heads[at : at + 1] = [(one, rest) for one in islice(rest, 1)]
