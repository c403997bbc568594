"""What a pre-flight found, for people: a bounded number of plain lines."""

from __future__ import annotations

from hypervisor.intake.preflight.result import Broken, Entry, Preflight
from hypervisor.system.text import escaped, one_line

_SHOWN = 20
# Each broken file needs its own mend, so most are named.
_BROKEN_SHOWN = 200
_SKIPPED = {
    "complete": "already complete",
    "duplicate": "named twice",
    "not_a_task": "not a task",
}


def lines(checked: Preflight) -> list[str]:
    """Return the lines: first what is skipped as complete, then counts, then each odd item."""
    counts = checked.counts
    skipped = checked.kinds()["skipped"]
    complete = skipped.pop("complete", 0)
    groups = [f"{counts[name]} {name}" for name in ("ready", "held", "broken")]
    groups += [f"{count} skipped ({_SKIPPED.get(kind, kind)})" for kind, count in skipped.items()]
    left_out = f"; {checked.not_matching} left out by --where" if checked.not_matching else ""
    told = [
        f"{_count(complete, 'task')} skipped (already complete)",
        f"{_count(counts['total'], 'item')}: {', '.join(groups)}{left_out}",
    ]
    held: dict[str, list[str]] = {}
    for entry in checked.held:
        held.setdefault(entry.kind, []).append(_held(entry))
    for kind, entries in held.items():
        told += _section(f"held, {kind.replace('_', ' ')}", entries)
    told += _section("broken", [_broken(entry) for entry in checked.broken], _BROKEN_SHOWN)
    told += _section(
        "warnings",
        [f"{_place(warned.path)}: {one_line(warned.reason)}" for warned in checked.warnings],
    )
    told += _section(
        "hints, nothing is held for them",
        [f"{_place(hinted.path)}: {one_line(hinted.reason, 300)}" for hinted in checked.hints],
    )
    return told


def _section(name: str, entries: list[str], bound: int = _SHOWN) -> list[str]:
    if not entries:
        return []
    shown = [f"{name} ({len(entries)}):", *(f"  {entry}" for entry in entries[:bound])]
    if len(entries) > bound:
        shown.append(f"  … and {len(entries) - bound} more, --json lists all")
    return shown


def _held(entry: Entry) -> str:
    # An item that is named by its path needs that only once.
    name = "" if entry.id == entry.path else f"{one_line(entry.id, 60)}  "
    return f"{name}{_place(entry.path)}: {one_line(entry.reason, 300)}"


def _broken(entry: Broken) -> str:
    line = "" if entry.line is None else f":{entry.line}"
    fix = f"; {escaped(entry.fix)}" if entry.fix else ""
    return f"{_place(entry.path)}{line}: {one_line(entry.reason, 300)}{fix}"


def _place(path: str | None) -> str:
    return "standard input" if path is None else one_line(path)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
