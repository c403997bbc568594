"""How the session heard of what ended, and how late."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from hypervisor.ledger.rows import Agent
from hypervisor.views.page.costs import quantile


class Wake(NamedTuple):
    """One way in which news came: of what, by which way, how often, and how many seconds late."""

    what: str
    way: str
    times: int
    median: float
    p95: float
    slowest: float


def wakes(agents: list[Agent], told: list[tuple[str, float]]) -> list[Wake]:
    """Return the ways in which the session heard of items and of workers' ends."""
    ways: dict[tuple[str, str], list[float]] = defaultdict(list)
    for way, delay in told:
        ways["items", way].append(delay)
    for agent in agents:
        if agent.ended_at is not None and agent.noticed_at is not None:
            late = max(0.0, agent.noticed_at - agent.ended_at)
            ways["workers’ ends", str(agent.noticed_by)].append(late)
    return [_wake(what, way, sorted(delays)) for (what, way), delays in ways.items()]


def _wake(what: str, way: str, late: list[float]) -> Wake:
    return Wake(what, way, len(late), quantile(late, 0.5), quantile(late, 0.95), late[-1])


def unheard(agents: list[Agent]) -> int:
    """Return how many workers of the session ended without a notice of it; a pool needs none."""
    ended = (a for a in agents if a.ended_at is not None and a.pid is None)
    return sum(agent.noticed_at is None for agent in ended)
