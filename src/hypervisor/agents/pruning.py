"""What can go: queues that ended long ago, kept transcripts, old bytes of edited files.

Nothing that is open or pending goes, nor what belongs to it.
"""

from __future__ import annotations

import time
from typing import TypedDict

from hypervisor.agents import retention
from hypervisor.config.settings import Limits
from hypervisor.ledger import Ledger
from hypervisor.ledger.forgetting import Old
from hypervisor.system.keys import key
from hypervisor.tasks.undo import UNDO
from hypervisor.tasks.undo_packs import Packs


class Gone(TypedDict):
    """A generation of a queue, of so many `items`; `ended_at` is Unix time."""

    queue: str
    generation: int
    state: str
    items: int
    ended_at: float


class Stays(Gone):
    """One that is old, and the reason why it stays."""

    reason: str


class Told(TypedDict):
    """A plan in the shape of `schemas/prune.schema.json`; files and bytes of the last two."""

    queues: list[Gone]
    kept: list[Stays]
    items: int
    claims: int
    outputs: dict[str, int]
    undo: dict[str, int]


class Plan:
    """What a pruning removes: `queues` (rows of the ledger), `outputs` and `undo` as (place in the
    state, bytes); `kept`: old queues that stay, each with the reason; and `claims`: how many ended
    ones, in those."""

    __slots__ = ("before", "claims", "kept", "outputs", "queues", "undo")

    def __init__(self, ledger: Ledger, limits: Limits, days: float) -> None:
        self.before = time.time() - days * 86400
        self.queues, self.kept = ledger.forgetting.prunable(self.before)
        self.claims = ledger.forgetting.old_claims(self.before)
        going = {row.no for row in self.queues}
        rows = [row for row in ledger.queues.generations() if row.no not in going]
        # A queue's folders are shared by its generations.
        staying = {key(row.name) for row in rows}
        busy = {key(name) for name in ledger.items.all_open().values()}
        agents = retention.stale(ledger, seconds=limits.outputs_seconds, size=limits.outputs_bytes)
        for place, seen in retention.kept_of(ledger):
            if place[1] not in staying and (place, seen.st_size) not in agents:
                agents.append((place, seen.st_size))
        self.outputs = [(place, size) for place, size in agents if place[1] not in busy]
        # What edits the task server made belongs to no queue.
        logs = sorted({*ledger.queues.names(), UNDO})
        self.undo = [
            entry
            for name in logs
            if key(name) not in busy
            for entry in Packs(ledger.state, name).stale(
                limits.undo_days if key(name) in staying or name == UNDO else 0
            )
        ]

    def to_json(self) -> Told:
        """Return the plan in the shape of `schemas/prune.schema.json`."""
        return {
            "queues": [_told(row) for row in self.queues],
            "kept": [{**_told(row), "reason": why} for row, why in self.kept],
            "items": sum(row.items for row in self.queues),
            "claims": self.claims,
            "outputs": _files(self.outputs),
            "undo": _files(self.undo),
        }


def carry_out(ledger: Ledger, plan: Plan) -> None:
    """Remove what a plan names; what was reopened meanwhile stays."""
    # The files first: what they are called stands in the ledger alone.
    retention.remove(ledger.state, [*plan.outputs, *plan.undo])
    ledger.forgetting.forget(plan.before)
    if plan.queues or plan.claims:
        ledger.store.engine.compact()


def _told(row: Old) -> Gone:
    ended = max(row.last_end or 0, row.ended_at or 0, row.opened_at)
    return {
        "queue": row.name,
        "generation": row.generation,
        "state": "drained" if row.state == "open" and not row.is_open else row.state,
        "items": row.items,
        "ended_at": ended,
    }


def _files(entries: list[tuple[retention.Place, int]]) -> dict[str, int]:
    return {"files": len(entries), "bytes": sum(size for _, size in entries)}
