"""The axis of time: where a moment is drawn, with long idle stretches folded."""

from __future__ import annotations

from bisect import bisect_right

from hypervisor.views.page.words import duration

WIDTH = 1000
# An idle stretch is folded if it is that long, in seconds and as a part of the busy time.
_IDLE_SECONDS = 60.0
_IDLE_PART = 0.2
_FOLD = 24
_STEPS = (
    0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600,
    43_200, 86_400, 172_800, 604_800,
)  # fmt: skip
_TICKS = 6


class Axis:
    """Maps Unix time to 0…WIDTH. `folds` are the places of folded stretches and their length;
    `ticks` are places and the time since the start that they stand for."""

    def __init__(self, spans: list[tuple[float, float]]) -> None:
        busy = _union(spans) or [(0.0, 1.0)]
        self.start, self.end = busy[0][0], busy[-1][1]
        total = sum(end - start for start, end in busy)
        pieces = [list(busy[0])]
        for start, end in busy[1:]:
            idle = start - pieces[-1][1]
            if idle > max(_IDLE_SECONDS, _IDLE_PART * total):
                pieces.append([start, end])
            else:
                pieces[-1][1] = end
        # With many of them the fold itself must not use up the axis.
        fold = min(_FOLD, WIDTH / 2 / len(pieces))
        drawn = sum(end - start for start, end in pieces) or 1.0
        self._scale = (WIDTH - fold * (len(pieces) - 1)) / drawn
        self.folds: list[tuple[float, str]] = []
        self._starts: list[float] = []
        self._ends: list[float] = []
        self._places: list[float] = []
        place = 0.0
        for start, end in pieces:
            if self._ends:
                self.folds.append((place + fold / 2, duration(start - self._ends[-1])))
                place += fold
            self._starts.append(start)
            self._ends.append(end)
            self._places.append(place)
            place += (end - start) * self._scale
        self.ticks = self._make_ticks(drawn)

    def place(self, at: float) -> float:
        """Return where `at` is drawn; what lies in a fold is drawn at its end."""
        piece = max(0, bisect_right(self._starts, at) - 1)
        inside = min(max(at, self._starts[piece]), self._ends[piece]) - self._starts[piece]
        return self._places[piece] + inside * self._scale

    def seconds(self, width: float) -> float:
        """Return how much time a piece of the axis stands for."""
        return width / self._scale

    def _make_ticks(self, drawn: float) -> list[tuple[float, str]]:
        step = next((one for one in _STEPS if drawn / one <= _TICKS), drawn / _TICKS)
        ticks: list[tuple[float, str]] = []
        for start, end in zip(self._starts, self._ends, strict=True):
            count = -(-(start - self.start) // step)
            while self.start + count * step <= end and len(ticks) < 3 * _TICKS:
                at = self.start + count * step
                ticks.append((self.place(at), duration(count * step) if count else "0"))
                count += 1
        return _apart(ticks)


def _apart(ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Leave out ticks whose words would run into the ones before."""
    kept: list[tuple[float, str]] = []
    for tick in ticks:
        if tick[0] <= WIDTH * 0.97 and (not kept or tick[0] - kept[-1][0] >= WIDTH / 12):
            kept.append(tick)
    return kept


def _union(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, max(start, end)))
    return joined
