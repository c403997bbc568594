"""The timeline: what ended when, and what each worker had in hand. Drawn as SVG paths."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import NamedTuple

from hypervisor.ledger.findings import Event, Span
from hypervisor.ledger.outcomes import STANDING, UNTRIED
from hypervisor.system.text import one_line
from hypervisor.views.page.axis import WIDTH, Axis
from hypervisor.views.page.outcomes import RANK, claim_mark, claim_words
from hypervisor.views.page.seen import Seen

LANES = 50
BINS = 100
HEIGHT = 100
# A claim that is drawn so wide is set apart from the next one.
_WIDE = 6
_MARKED = ("paused", "open", "cancelled")

Paths = list[tuple[str, str]]


class Lane(NamedTuple):
    """One worker: its name, its claims drawn, and what it did in words and figures."""

    name: str
    paths: Paths
    items: int
    told: str
    seconds: float
    tokens: int | None


class Timeline(NamedTuple):
    """The whole picture. `more` counts the workers that are not drawn, and their claims."""

    axis: Axis
    ends: Paths
    highest: int
    bin_seconds: float
    lanes: list[Lane]
    more: tuple[int, int]
    marks: list[tuple[int, str]]


def draw(
    items: list[Seen], claims: list[Span], shares: dict[int, float], events: list[Event], now: float
) -> Timeline | None:
    """Return the timeline of a queue, None if nothing was ever claimed."""
    if not claims:
        return None
    spans = [(c.claimed_at, _end(c, now)) for c in claims]
    axis = Axis(spans)
    ends, highest = _ends(items, axis)
    lanes, more = _lanes(claims, shares, axis, now)
    marks = {
        (round(axis.place(e.at)), e.kind)
        for e in events
        if e.kind in _MARKED and axis.start <= e.at <= axis.end
    }
    return Timeline(axis, ends, highest, axis.seconds(WIDTH / BINS), lanes, more, sorted(marks))


def _end(claim: Span, now: float) -> float:
    return max(claim.claimed_at, now if claim.ended_at is None else claim.ended_at)


def _ends(items: list[Seen], axis: Axis) -> tuple[Paths, int]:
    """Return the bars of what ended in each bin, stacked, and how many the highest stands for."""
    bins: list[Counter[str]] = [Counter() for _ in range(BINS)]
    for item in items:
        row = STANDING[item.standing]
        if item.finished_at is not None and row is not UNTRIED:
            place = min(BINS - 1, int(axis.place(item.finished_at) * BINS / WIDTH))
            bins[place][row.mark] += 1
    highest = max(max(bar.total() for bar in bins), 1)
    paths: dict[str, list[str]] = defaultdict(list)
    width = WIDTH // BINS
    for place, bar in enumerate(bins):
        below = 0
        for mark in sorted(bar, key=lambda mark: -RANK[mark]):
            low = below * HEIGHT // highest
            below += bar[mark]
            high = max(below * HEIGHT // highest, low + 1)
            path = f"M{place * width} {HEIGHT - high}h{width - 1}v{high - low}h-{width - 1}z"
            paths[mark].append(path)
    return _joined(paths), highest


def _lanes(
    claims: list[Span], shares: dict[int, float], axis: Axis, now: float
) -> tuple[list[Lane], tuple[int, int]]:
    of_worker: dict[str, list[Span]] = defaultdict(list)
    for claim in claims:
        of_worker[claim.worker].append(claim)
    busiest = sorted(of_worker, key=lambda name: -len(of_worker[name]))[:LANES]
    names = sorted(busiest, key=_by_number)
    lanes = [_lane(name, of_worker[name], shares, axis, now) for name in names]
    drawn = sum(len(of_worker[name]) for name in names)
    return lanes, (len(of_worker) - len(names), len(claims) - drawn)


def _by_number(name: str) -> list[str]:
    """Return what puts worker-2 before worker-10."""
    return [part.zfill(20) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _lane(name: str, claims: list[Span], shares: dict[int, float], axis: Axis, now: float) -> Lane:
    ways = Counter(claim_words(claim.outcome) for claim in claims)
    known = [claim.tokens for claim in claims if claim.tokens is not None]
    return Lane(
        one_line(name, 60),
        _bars(claims, axis, now),
        len(claims),
        ", ".join(f"{count} {way}" for way, count in ways.most_common()),
        sum(shares[claim.no] for claim in claims),
        sum(known) if known else None,
    )


def _bars(claims: list[Span], axis: Axis, now: float) -> Paths:
    """Draw the claims of one worker. Where several fall on one place, that which most wants a
    look is seen; so a lane never takes more than the axis has places, however many claims."""
    places: list[str | None] = [None] * (WIDTH + 1)
    for claim in claims:
        mark = claim_mark(claim.outcome)
        first = int(axis.place(claim.claimed_at))
        last = int(axis.place(_end(claim, now)))
        if last - first >= _WIDE:
            last -= 1
        for place in range(first, max(last, first + 1)):
            there = places[place]
            if there is None or RANK[mark] < RANK[there]:
                places[place] = mark
    paths: dict[str, list[str]] = defaultdict(list)
    start = 0
    for place in range(1, WIDTH + 2):
        if place > WIDTH or places[place] != places[start]:
            shown = places[start]
            if shown is not None:
                paths[shown].append(f"M{start} 0h{place - start}v1h-{place - start}z")
            start = place
    return _joined(paths)


def _joined(paths: dict[str, list[str]]) -> Paths:
    return [(mark, "".join(path)) for mark, path in paths.items()]
