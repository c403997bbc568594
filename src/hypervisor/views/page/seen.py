"""What the page keeps of all items and claims, however many: a few figures of each."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable

from hypervisor.ledger.findings import Result, Span
from hypervisor.ledger.outcomes import ODD, STANDING
from hypervisor.system.text import one_line
from hypervisor.views.shapes import Told

_NAMED = 5


class Seen:
    """An item: its `no` in the ledger, what became of it, and what it took; `finished_at` is Unix
    time, `seconds` are those of its workers, None where none had it."""

    __slots__ = ("finished_at", "no", "seconds", "standing", "tokens", "tries")

    def __init__(self, item: Result, told: Told) -> None:
        self.no = item.no
        self.standing = sys.intern(told["status"])
        self.finished_at = item.finished_at
        self.seconds: float | None = None
        self.tokens: int | None = None
        self.tries = 0

    def add(self, claim: Span, seconds: float) -> None:
        """Add a claim of it."""
        self.tries += 1
        self.seconds = (self.seconds or 0.0) + seconds
        if claim.tokens is not None:
            self.tokens = (self.tokens or 0) + claim.tokens


class Items:
    """All items in their order, noted one by one, and the reasons of those that went badly."""

    def __init__(self) -> None:
        self.all: list[Seen] = []
        # (outcome, reason) -> how many, and number and title of the first.
        self.reasons: dict[tuple[str, str], tuple[int, list[tuple[int, str]]]] = {}

    def note(self, item: Result, told: Told) -> None:
        """Note the next item, and what the summary says of it."""
        seen = Seen(item, told)
        self.all.append(seen)
        if seen.standing in ODD:
            reason = one_line(told["reason"].strip().partition("\n")[0], 240)
            count, first = self.reasons.get((seen.standing, reason), (0, []))
            if len(first) < _NAMED:
                title = one_line(item.title or item.id, 60)
                first.append((len(self.all), title))
            self.reasons[seen.standing, reason] = count + 1, first

    def add(self, claims: Iterable[Span], share: dict[int, float]) -> None:
        """Add the claims on them; `share` is by the claim's number."""
        by_number = {seen.no: seen for seen in self.all}
        for claim in claims:
            if claim.item in by_number:
                by_number[claim.item].add(claim, share[claim.no])

    def listed(self, most: int) -> dict[int, int]:
        """Return the places, from 1, of those that are shown, by their `no`: of more than `most`
        those that want a look first."""
        numbered = list(enumerate(self.all, 1))
        if len(numbered) > most:
            numbered.sort(key=lambda entry: STANDING[entry[1].standing].rank)
            numbered = sorted(numbered[:most], key=lambda entry: entry[0])
        return {seen.no: place for place, seen in numbered}


def by_item(claims: Iterable[Span], items: dict[int, int]) -> dict[int, list[int]]:
    """Return the numbers of the claims on each of `items`."""
    found: dict[int, list[int]] = defaultdict(list)
    for claim in claims:
        if claim.item in items:
            found[claim.item].append(claim.no)
    return found
