"""The screen of the live view: from the queues to lines that fit, at any size.

Problems come first, then a bar for each queue, then the workers. What does not fit is counted.
"""

from __future__ import annotations

import os
import time

from rich.cells import cell_len, set_cell_size
from rich.console import Group
from rich.text import Text

from hypervisor.ledger.outcomes import AGAIN, AT_WORK, FINAL, OPEN_STATES, OUTCOME, UNTRIED
from hypervisor.ledger.usage import dollars
from hypervisor.system.spans import narrow, span
from hypervisor.system.text import one_line
from hypervisor.views import status
from hypervisor.views.names import apart
from hypervisor.views.shapes import Status, Worker


class View:
    """The queues as they were looked up `at`, and what went wrong with that."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.queues: list[Status] = []
        self.at = 0.0
        self.error: str | None = None


# How each mark is drawn (the second sign where the terminal knows ASCII only) and coloured; the
# signs alone tell them apart, too.
_SIGNS = {
    "s": ("█#", "green"),
    "b": ("!!", "yellow"),
    "f": ("×x", "red"),
    "k": ("▒s", "green"),
    "c": ("╌c", "bright_black"),
    "r": ("▓=", "cyan"),
    "a": ("↻r", "yellow"),
    "n": ("─-", "bright_black"),
}
_WAITING = ("·.", "magenta")
_URGENT = ("budget", "failed", "silent", "pending")
_STATE = {"open": "cyan", "paused": "yellow", "drained": "green"}
ENDED = ("drained", "cancelled", "replaced")
_SMALL, _NARROW = 70, 50
_SHORTEST_BAR, _LONGEST_BAR = 8, 60


def draw(view: View, width: int, height: int) -> Group:
    """Return the screen, `height` lines of at most `width` cells."""
    plain = not _knows_unicode()
    body = max(0, height - 2)
    problems = _problems(view, width)
    queues = [line for one in view.queues for line in _queue(view, one, width, plain)]
    workers = _workers(view, width)
    # The workers get what is left: at least half of it goes to problems and queues together.
    problems = _fit(problems, max(2, body // 4), "problems")
    queues = _fit(queues, max(3, body - len(problems) - min(len(workers), body // 3)), "lines")
    workers = _fit(workers, body - len(problems) - len(queues), "workers")
    if not view.queues and not view.error:
        queues = [Text(f"  {status.NOTHING}", "bright_black")]
    lines = [_head(view, width), *problems, *queues, *workers][: height - 1]
    lines += [Text("") for _ in range(height - 1 - len(lines))]
    lines.append(Text("q leaves", "bright_black"))
    for line in lines:
        line.no_wrap, line.overflow = True, "crop"
        if plain:
            line.plain = "".join(map(_in_ascii, line.plain))
        line.truncate(width, overflow="crop" if plain else "ellipsis")
    return Group(*lines)


def _fit(lines: list[Text], room: int, what: str) -> list[Text]:
    if len(lines) <= room:
        return lines
    if room < 1:
        return []
    return [*lines[: room - 1], Text(f"  and {len(lines) - room + 1} more {what}", "bright_black")]


def _head(view: View, width: int) -> Text:
    clock = time.strftime("%H:%M:%S")
    where = one_line(view.root, 1000)
    room = width - cell_len("hypervisor  ") - len(clock) - 1
    if cell_len(where) > room:
        where = f"…{where[-max(1, room - 1) :]}" if room > 1 else ""
    left = f"hypervisor  {where}"
    line = Text(set_cell_size(left, max(0, width - len(clock))), "bold")
    line.append(clock)
    return line


def _problems(view: View, width: int) -> list[Text]:
    lines = [Text(f"! {view.error}", "red")] if view.error else []
    found: list[tuple[int, Text]] = []
    for one in view.queues:
        if one["state"] in ENDED and len(view.queues) > 1 and not one["workers"]:
            # An ended queue among others keeps to its counts.
            continue
        name = one_line(one["queue"], min(30, max(8, width // 3)))
        for problem in one["problems"]:
            style = "red" if problem["kind"] in _URGENT else "yellow"
            line = Text(f"! {name}: {problem['text']}", style)
            fix = f"  {problem['fix']}" if problem["fix"] else ""
            # A reason gives way to what mends it, as long as something is left of it.
            if line.cell_len > (room := width - cell_len(fix)) >= width // 3:
                line.truncate(room, overflow="ellipsis")
            if line.cell_len + cell_len(fix) <= width:
                line.append(fix, "bold")
            found.append((status.KINDS.index(problem["kind"]), line))
    return lines + [line for _, line in sorted(found, key=lambda entry: entry[0])]


def _queue(view: View, one: Status, width: int, plain: bool) -> list[Text]:
    longest = max(cell_len(one_line(other["queue"], 30)) for other in view.queues)
    name = set_cell_size(one_line(one["queue"], 30), min(longest, max(8, width // 4)))
    state = max(8, *(len(other["state"]) for other in view.queues)) + 1
    total = one["total"]
    ended = total - sum(one["counts"][state] for state in OPEN_STATES)
    share = f"  {100 * ended // total if total else 100:>3}% {ended:,}/{total:,}"
    head = Text.assemble("  ", (name, "bold"), " ")
    if width > _NARROW or one["state"] != "open":
        head.append(set_cell_size(one["state"], state), _STATE.get(one["state"], "red"))
    room = min(_LONGEST_BAR, width - head.cell_len - cell_len(share) - 1)
    if room >= _SHORTEST_BAR:
        head.append_text(_bar(one, room, plain))
    head.append(share)
    if one["state"] in ENDED and len(view.queues) > 1:
        return [head]
    return [head, *_counts(one, width)]


def _bar(one: Status, width: int, plain: bool) -> Text:
    """Return the bar of a queue; what there is at all gets a cell at least."""
    parts = _parts(one)
    bar = Text()
    shares = _shares([number for _, number, _, _ in parts], width)
    for cells, (_, _, signs, style) in zip(shares, parts, strict=True):
        bar.append(signs[plain] * cells, style)
    return bar


def _parts(one: Status) -> list[tuple[str, int, str, str]]:
    """Return what the items of a queue are: name, number, signs and colour; they add up."""
    counts, again = one["counts"], one["to_be_tried_again"]
    ended = [(word, counts[word], *_SIGNS[OUTCOME[word].mark]) for word in FINAL]
    return [
        *ended,
        (AT_WORK.title, counts["claimed"], *_SIGNS[AT_WORK.mark]),
        (AGAIN.title, sum(again.values()), *_SIGNS[AGAIN.mark]),
        ("waiting", counts["waiting"] - again["waiting"], *_WAITING),
        (UNTRIED.title, counts["ready"] - again["ready"], *_SIGNS[UNTRIED.mark]),
    ]


def _shares(numbers: list[int], width: int) -> list[int]:
    """Divide `width` cells among `numbers`, at least one to each that is not 0."""
    total = sum(numbers)
    if not total:
        return [*[0] * (len(numbers) - 1), width]
    cells = [max(1, number * width // total) if number else 0 for number in numbers]
    while sum(cells) != width:
        step = 1 if sum(cells) < width else -1
        # The largest part has cells to lose; the one that is short of most gets the next.
        exact = [number * width / total - cell for number, cell in zip(numbers, cells, strict=True)]
        wanted = [place for place, cell in enumerate(cells) if cell > 1 or (step > 0 and cell)]
        place = (max if step > 0 else min)(wanted, key=exact.__getitem__)
        cells[place] += step
    return cells


def _counts(one: Status, width: int) -> list[Text]:
    """Return the counts in words, on as many lines as they take."""
    lines, line = [], Text("   ")
    words = []
    if one["per_minute"]:
        pace = one["per_minute"]
        words.append((f" {f'{pace:.3g}' if pace < 100 else f'{pace:,.0f}'}/min", "bold"))
    if one["eta_seconds"] is not None:
        words.append((f" {span(one['eta_seconds'])} left", "bold"))
    for name, number, _, style in _parts(one):
        if number:
            words.append((f" {name} {number:,}", style))
    budget = one["budget"]
    if one["tokens"] is not None:
        limit = budget and budget["tokens"]
        of = f" of {status.tokens(limit)}" if limit else ""
        words.append((f" tokens {status.used(one)}{of}", ""))
    if budget and budget["usd"]:
        cost = dollars(budget["usd_used"] or 0)
        words.append((f" {cost} of {dollars(budget['usd'])}", ""))
    if budget and budget["minutes"]:
        used = (budget["minutes_used"] or 0) * 60
        words.append((f" time {narrow(used)} of {narrow(budget['minutes'] * 60)}", ""))
    for text, style in words:
        if line.cell_len + len(text) + 1 > width and line.cell_len > 3:
            lines.append(line)
            line = Text("   ")
        line.append(f"{text} ", style)
    return [*lines, line] if line.cell_len > 3 else lines


def _workers(view: View, width: int) -> list[Text]:
    rows = []
    several = len(view.queues) > 1
    for one in view.queues:
        late = sorted(one["workers"], key=lambda worker: (not worker["holds"], _lease(worker)))
        queue = one_line(one["queue"], min(20, max(8, width // 5))) if several else None
        rows += [_worker(worker, queue, view) for worker in late]
    if not rows:
        return []
    columns = ["worker", "holds", "for", "lease", "tokens", "last tool"]
    if width <= _SMALL or not any(row["last tool"] for row in rows):
        columns = columns[:5]
    if width <= _NARROW:
        columns = columns[:3]
    table = [dict(zip(columns, columns, strict=True)), *rows]
    widths = {c: max(cell_len(row[c]) for row in table) for c in columns}
    # The names give way to the rest, the last column gets what is left.
    fixed = sum(widths[c] for c in columns if c not in ("worker", "holds", "last tool"))
    free = width - fixed - 2 * len(columns)
    room = min(widths["worker"], max(8, free // 4))
    names = apart([row["worker"] for row in rows], room)
    for row in rows:
        row["worker"] = names[row["worker"]]
    widths["worker"] = min(room, max(cell_len(row["worker"]) for row in table))
    widths["holds"] = min(widths["holds"], max(8, free // (2 if "last tool" in columns else 1)))
    if "last tool" not in columns:
        widths["holds"] = min(widths["holds"], max(8, free - widths["worker"]))
    lines = []
    for place, row in enumerate(table):
        text = "  ".join(set_cell_size(row[c], widths[c]) for c in columns[:-1])
        text = f"  {text}  {row[columns[-1]]}"
        style = "bright_black" if place == 0 else row["style"]
        lines.append(Text(text, style))
    return lines


def _worker(worker: Worker, queue: str | None, view: View) -> dict[str, str]:
    now = time.time()
    row = {"worker": one_line(worker["worker"], 200), "holds": "nothing", "for": "", "lease": ""}
    row |= {"tokens": status.tokens(worker["tokens"]), "last tool": "", "style": ""}
    if worker["holds"]:
        first = min(worker["holds"], key=lambda held: held["lease_left_seconds"])
        more = f" +{len(worker['holds']) - 1}" if len(worker["holds"]) > 1 else ""
        title = f"  {one_line(first['title'])}" if first["title"] not in (None, first["id"]) else ""
        row["holds"] = one_line(first["id"], 60) + more + title
        row["for"] = narrow(now - first["claimed_at"])
        left = first["lease_left_seconds"] - (now - view.at)
        row["lease"] = narrow(left)
        if left < first["lease_seconds"] / 4:
            row["style"] = "yellow"
    if queue is not None:
        row["holds"] = f"{queue}: {row['holds']}"
    if worker["last_tool"] and worker["seen_at"] is not None:
        ago = narrow(now - worker["seen_at"])
        row["last tool"] = f"{ago} ago  {one_line(worker['last_tool'], 100)}"
    return row


def _lease(worker: Worker) -> float:
    return min((held["lease_left_seconds"] for held in worker["holds"]), default=0.0)


def _in_ascii(sign: str) -> str:
    """Return what stands for a sign where only ASCII is shown, as wide as it is."""
    if sign.isascii():
        return sign
    return "." if sign == "…" else "?" * cell_len(sign)


def _knows_unicode() -> bool:
    """False if the user's settings say that the terminal shows ASCII only."""
    chosen = os.environ.get("LC_CTYPE")
    # Python itself sets this one where the settings name ASCII.
    chosen = None if chosen == "C.UTF-8" else chosen
    value = os.environ.get("LC_ALL") or chosen or os.environ.get("LANG")
    return not value or "utf" in value.lower()
