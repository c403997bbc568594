"""What the page keeps of all items and claims, however many: a few figures of each."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable

from hypervisor.ledger.findings import Result, Span
from hypervisor.ledger.outcomes import ODD, STANDING
from hypervisor.system.text import one_line
from hypervisor.views.shapes import Told

_NAMED = 5
# A shorter name may be any word.
_NAME = 3
# Figures differ from item to item, but for those that name the cause: `exit code 2`, `HTTP 503`.
_FIGURE = re.compile(
    r"(\b(?:code|errno|error|exit|http|signal|status)\W{0,2}\d+|\b[45]\d\d\b)"
    r"|\d+(?:[.,:]\d+)*",
    re.IGNORECASE,
)


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
        # (outcome, cause) -> how many, the reason, and number and title of the first.
        self.reasons: dict[tuple[str, str], tuple[int, str, list[tuple[int, str]]]] = {}

    def note(self, item: Result, told: Told) -> None:
        """Note the next item, and what the summary says of it."""
        seen = Seen(item, told)
        self.all.append(seen)
        if seen.standing in ODD:
            reason = one_line(told["reason"].strip().partition("\n")[0], 240)
            cause = cause_of(reason, item)
            count, shown, first = self.reasons.get((seen.standing, cause), (0, reason, []))
            if len(first) < _NAMED:
                title = one_line(item.title or item.id, 60)
                first.append((len(self.all), title))
            # Where the reasons differ, what they have in common is told.
            shown = reason if reason == shown else cause
            self.reasons[seen.standing, cause] = count + 1, shown, first

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


def cause_of(reason: str, item: Result) -> str:
    """Return a reason without what is only this item's: its names, and figures."""
    for name in (item.path, item.title, item.id):
        if name and len(name) >= _NAME:
            reason = reason.replace(one_line(name, 240), "…")
    return _FIGURE.sub(lambda found: found[1] or "…", reason)


def by_item(claims: Iterable[Span], items: dict[int, int]) -> dict[int, list[int]]:
    """Return the numbers of the claims on each of `items`."""
    found: dict[int, list[int]] = defaultdict(list)
    for claim in claims:
        if claim.item in items:
            found[claim.item].append(claim.no)
    return found
