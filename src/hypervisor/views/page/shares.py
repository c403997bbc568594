"""How much of its worker's time each claim took."""

from __future__ import annotations

from collections import defaultdict

from hypervisor.ledger.findings import Span


def shares(claims: list[Span], now: float) -> dict[int, float]:
    """Return the seconds of its worker's time that each claim took, by the claim's number.

    A worker that holds several items at a time shares its time among them, so that all shares of
    a worker add up to the time for which it held anything.
    """
    of_worker = defaultdict(list)
    for claim in claims:
        of_worker[claim.worker].append(claim)
    found: dict[int, float] = {}
    for held in of_worker.values():
        found |= _shares(held, now)
    return found


def _shares(claims: list[Span], now: float) -> dict[int, float]:
    """The share is what ∫dt/k grows by while the claim lasts, k claims being held at t."""
    steps = []
    for claim in claims:
        end = now if claim.ended_at is None else claim.ended_at
        steps.append((claim.claimed_at, 1, claim.no))
        steps.append((max(claim.claimed_at, end), -1, claim.no))
    # A claim begins before it ends, also where both have the same time.
    steps.sort(key=lambda step: (step[0], -step[1]))
    found: dict[int, float] = {}
    total, count, last = 0.0, 0, 0.0
    for at, change, number in steps:
        if count:
            total += (at - last) / count
        last, count = at, count + change
        found[number] = total - found[number] if change < 0 else total
    return found
