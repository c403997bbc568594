"""One agent at work, and what a pool shows of all of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from hypervisor.agents.clients import Place
from hypervisor.agents.limits import Windows
from hypervisor.agents.pool.process import Process
from hypervisor.config.caller import PoolAgent
from hypervisor.ledger import Claim, Ledger


@dataclass
class Running:
    """An agent in its slot. `claim` is the item of a command; `reporting` is true for the process
    that ends it."""

    slot: int
    place: Place
    claim: Claim | None = None
    reporting: bool = False
    process: Process = field(init=False)
    item: str | None = None
    tool: str = ""
    transcript: str = ""
    windows: Windows = field(default_factory=dict)

    @property
    def agent(self) -> PoolAgent:
        """The agent's name in its pool."""
        return self.place.agent

    @property
    def shown_item(self) -> str | None:
        """The id of the item in its hands, where that is known."""
        return self.claim.id if self.claim is not None else self.item

    @property
    def seconds(self) -> float:
        """How long its process has been running."""
        return time.monotonic() - self.process.begun


@dataclass(frozen=True)
class View:
    """Where a queue and its pool stand at a moment."""

    counts: dict[str, int]
    state: str
    reason: str
    resume_at: float | None
    draining: bool
    running: list[Running]

    @property
    def ended(self) -> int:
        """How many items have ended."""
        return self.total - sum(self.counts[state] for state in ("waiting", "ready", "claimed"))

    @property
    def total(self) -> int:
        """How many items the queue has."""
        return sum(self.counts.values())


def view_of(ledger: Ledger, queue: str, running: list[Running], *, draining: bool) -> View:
    """Return where `queue` and the agents `running` stand now."""
    row = ledger.queue_row(queue)
    return View(
        counts=ledger.counts(row["no"]),
        state=row["state"],
        reason=row["reason"] or "",
        resume_at=row["resume_at"],
        draining=draining,
        running=running,
    )
