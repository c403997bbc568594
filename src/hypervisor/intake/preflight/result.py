"""What a pre-flight found, for programs."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypervisor.config.roots import is_outside
from hypervisor.intake.preflight import unknown
from hypervisor.intake.preflight.unknown import Unknown
from hypervisor.intake.sources import SourceError
from hypervisor.system.errors import UsageError
from hypervisor.system.text import count, either, escaped, one_line
from hypervisor.tasks.walk import is_markdown

_SHOWN = 20
# Each broken file needs its own mend, so most are named.
_BROKEN_SHOWN = 200
_MOST_RUNS = 1_000_000
_SKIPPED = {
    "complete": "already complete",
    "duplicate": "named twice",
    "not_a_task": "not a task",
    "malformed": "malformed, and not a task",
}
_HELD = {
    "waits_in_batch": "held until others in this batch are done",
    "instructions": "held, without instructions",
}


def lines(checked: Preflight, *, in_full: bool = False) -> list[str]:
    """Return the lines: first what is skipped as complete, then counts, then each odd item."""
    most = sys.maxsize if in_full else _SHOWN
    counts = checked.counts
    skipped = checked.kinds()["skipped"]
    complete = skipped.pop("complete", 0)
    groups = [f"{counts[name]} {name}" for name in ("ready", "held", "broken")]
    groups += [f"{number} skipped ({_SKIPPED.get(kind, kind)})" for kind, number in skipped.items()]
    left_out = f"; {checked.not_matching} left out by --where" if checked.not_matching else ""
    told = [
        *([f"{count(complete, 'task')} skipped (already complete)"] if _of_tasks(checked) else []),
        f"{count(counts['total'], 'item')}: {', '.join(groups)}{left_out}",
        *_no_tasks(checked),
    ]
    held: dict[str, list[Entry]] = {}
    for entry in checked.held:
        held.setdefault(entry.kind, []).append(entry)
    for kind, entries in held.items():
        if kind == unknown.KIND:
            shown = [_unknown(name) for name in checked.unknown_assignees()]
        elif kind == "instructions":
            shown = [
                _rows(path, number) for path, number in Counter(e.path for e in entries).items()
            ]
        else:
            shown = [_held(entry) for entry in entries]
        head = _HELD.get(kind, f"held, {kind.replace('_', ' ')}")
        told += _section(head, shown, most, items=len(entries))
    broken = [_broken(entry) for entry in checked.broken]
    told += _section("broken", broken, max(most, _BROKEN_SHOWN))
    told += _section(
        "formats", [f"{one_line(path)}: {name}" for path, name in checked.formats.items()], most
    )
    told += _section(
        "warnings",
        [f"{_place(warned.path)}: {one_line(warned.reason)}" for warned in checked.warnings],
        most,
    )
    told += _section(
        "hints (nothing is held because of them)",
        [f"{_place(hinted.path)}: {one_line(hinted.reason, 300)}" for hinted in checked.hints],
        most,
    )
    told += _section(
        "left out, name a folder as a source to include it",
        [f"{one_line(path)}: {count(files, 'file')}" for path, files in checked.left_out.items()],
        most,
        items=sum(checked.left_out.values()),
    )
    if settings := checked.settings():
        told += ["to paste into hypervisor.toml, for what is unknown:", "", *settings]
    return told


def _of_tasks(checked: Preflight) -> bool:
    """True where anything that was found is a task, complete or not."""
    entries = [*checked.ready, *checked.held, *checked.skipped]
    return any(is_markdown(one.path or "") for one in checked.broken) or any(
        entry.fingerprint is not None or entry.format is not None or entry.kind == "complete"
        for entry in entries
    )


def _no_tasks(checked: Preflight) -> list[str]:
    """Return how files are items all the same, where nothing else is ready."""
    files = [one.path for one in checked.skipped if one.kind == "not_a_task" and one.id == one.path]
    if not checked.only_tasks or checked.ready or not files:
        return []
    number = len(files)
    noun = "Markdown file" if all(is_markdown(path or "") for path in files) else "file"
    are, each = either(number, "is not a task", "are not tasks"), either(number, "it", "each")
    return [f"{count(number, noun)} that {are}: add --instructions FILE to work on {each}"]


def _section(name: str, entries: list[str], bound: int, *, items: int | None = None) -> list[str]:
    """Return the entries below their name and the number of items they tell of."""
    if not entries:
        return []
    number = len(entries) if items is None else items
    shown = [f"{name} ({number}):", *(f"  {entry}" for entry in entries[:bound])]
    if len(entries) > bound:
        shown.append(f"  … and {len(entries) - bound} more, --json lists all")
    return shown


def _held(entry: Entry) -> str:
    reason = one_line(entry.reason, 300)
    # An item that is named by its path needs that only once.
    if entry.path is not None and entry.id.startswith(entry.path):
        return f"{one_line(entry.id)}: {reason}"
    return f"{one_line(entry.id, 60)}  {_place(entry.path)}: {reason}"


def _rows(path: str | None, number: int) -> str:
    return (
        f"{_place(path)}, {count(number, 'row')}: add --instructions FILE, or have a command do "
        "each: hypervisor work SOURCE -- COMMAND {COLUMN}"
    )


def _unknown(told: Unknown) -> str:
    return f"{one_line(told.name, 60)}, {count(told.items, 'item')}: {told.mend}"


def _broken(entry: Broken) -> str:
    line = "" if entry.line is None else f":{entry.line}"
    fix = f"; {escaped(entry.fix)}" if entry.fix else ""
    return f"{_place(entry.path)}{line}: {one_line(entry.reason, 300)}{fix}"


def _place(path: str | None) -> str:
    return "standard input" if path is None else one_line(path)


@dataclass(slots=True, kw_only=True)
class Placed:
    """A member of a group.

    `path` is relative to the root, None for a row from standard input. `kind` is the word by which
    the members of a group are counted, `reason` a sentence for people.
    """

    path: str | None
    kind: str = ""
    reason: str = ""


@dataclass(slots=True, kw_only=True)
class Entry(Placed):
    """An item: ready, skipped or held.

    `fingerprint` is how a task's file looked (None for all else) and `content` its digest, where
    that is known; `payload` is a row, `after` the ids of items of the same pre-flight that must
    come first, `files` the paths that it says it touches, `named` the files that its text names and
    that are there, `format` that of the file at `path` where that holds many items, `assignees`
    those for which it is held since nobody knows them, `words` the statuses or keys.
    """

    id: str
    title: str | None = None
    fingerprint: str | None = None
    content: str | None = None
    payload: dict[str, object] | None = None
    format: str | None = None
    after: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Broken(Placed):
    """Something that can't be read: in which line, where one is to blame, and how to mend it."""

    id: str | None = None
    line: int | None = None
    fix: str = ""


@dataclass(slots=True)
class Warned:
    """Something odd about an item that keeps it from nothing."""

    id: str | None
    path: str | None
    reason: str


@dataclass(slots=True)
class Hinted:
    """Something about an item that can run which a person may want to look at first."""

    id: str
    path: str | None
    kind: str
    reason: str


@dataclass(slots=True)
class Preflight:
    """The items in their four groups, the order of the sources kept.

    `ready` is sorted by the tasks' priority and order where they have them. `not_matching` counts
    what `--where` left out, `failed` holds the sources that could not be read, `assignees` the
    names that tasks are assigned to, as `as_name` returns them, `formats` the format that each file
    of many items, of a tool's rows, or folder of tasks, was taken for, by its path, `left_out` the
    number of files in folders of drafts, templates and archives. `only_tasks` says that with
    --instructions files that are not tasks would be items. `sequence` has the ids of all items but
    the broken, as they stand in the sources.
    """

    ready: list[Entry] = field(default_factory=list)
    skipped: list[Entry] = field(default_factory=list)
    held: list[Entry] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    warnings: list[Warned] = field(default_factory=list)
    hints: list[Hinted] = field(default_factory=list)
    failed: list[SourceError] = field(default_factory=list)
    not_matching: int = 0
    assignees: set[str] = field(default_factory=set)
    formats: dict[str, str] = field(default_factory=dict)
    only_tasks: bool = False
    left_out: dict[str, int] = field(default_factory=dict)
    sequence: list[str] = field(default_factory=list)

    def take_first(self, number: int) -> None:
        """Leave out all of `ready` but the first `number`, and what waits for others."""
        del self.ready[number:]
        self.held = [entry for entry in self.held if not entry.after]

    def repeat(self, times: int) -> None:
        """Have each row so many times, each time with a column `run`, from 1, and the id `ID-RUN`.
        Raises UsageError for what is no row: no file is worked on twice at once."""
        for entry in self.ready:
            if entry.payload is None or entry.format is not None:
                raise UsageError(
                    f"--repeat is for rows, and {one_line(entry.id, 80)} is none",
                    "leave out --repeat, or list the items as rows",
                )
            if "run" in entry.payload:
                raise UsageError(
                    "--repeat adds a column run, and the rows have one", "rename that column"
                )
        if len(self.ready) * times > _MOST_RUNS:
            raise UsageError(
                f"--repeat {times} would make more than {_MOST_RUNS} items", "repeat less often"
            )
        runs = range(1, times + 1)
        self.ready = [
            replace(entry, id=f"{entry.id}-{run}", payload={**(entry.payload or {}), "run": run})
            for entry in self.ready
            for run in runs
        ]
        self.sequence = [f"{item_id}-{run}" for item_id in self.sequence for run in runs]

    def folders_outside(self, root: str) -> list[str]:
        """Return the real folders outside of `root` that items lie in: somebody who may has named
        them, and nothing else there is to be edited."""
        paths = (os.path.join(root, entry.path) for entry in [*self.ready, *self.held]
                 if entry.path is not None and entry.kind != "outside")  # fmt: skip
        folders = {os.path.dirname(os.path.realpath(path)) for path in paths}
        return sorted(folder for folder in folders if is_outside(root, folder))

    @property
    def counts(self) -> dict[str, int]:
        """How many entries each group holds, their total, and what was left out."""
        groups = {name: len(entries) for name, entries in self.groups().items()}
        return groups | {"total": sum(groups.values()), "not_matching": self.not_matching}

    def unknown_assignees(self) -> list[Unknown]:
        """Return the assignees that items are held for since nobody knows them."""
        return unknown.counted(entry.assignees for entry in self.held)

    def settings(self) -> list[str]:
        """Return the lines of a `hypervisor.toml` for all that items are held for since nobody
        knows it; none where all is known."""
        statuses = [entry.words for entry in self.held if entry.kind == unknown.STATUS]
        keys = [word for entry in self.held if entry.kind == unknown.KEY for word in entry.words]
        names = [told.name for told in self.unknown_assignees()]
        words = [word for told in statuses for word in told[:1]]
        return unknown.to_paste(names, words, keys, [one for told in statuses for one in told[1:]])

    def groups(self) -> dict[str, Sequence[Placed]]:
        """Return the four groups by name."""
        return {
            "ready": self.ready,
            "skipped": self.skipped,
            "held": self.held,
            "broken": self.broken,
        }

    def kinds(self) -> dict[str, dict[str, int]]:
        """Return how many entries of each kind a group holds, most first; not for `ready`."""
        return {
            name: dict(Counter(entry.kind for entry in entries).most_common())
            for name, entries in self.groups().items()
            if name != "ready"
        }

    def to_json(self) -> dict[str, object]:
        """Return the result as `schemas/preflight.schema.json` describes it."""
        return {
            "ready": [{"id": entry.id, "path": entry.path} for entry in self.ready],
            "skipped": [_told(entry) for entry in self.skipped],
            "held": [
                _told(entry) | ({"after": list(entry.after)} if entry.after else {})
                for entry in self.held
            ],
            "broken": [
                {
                    "id": entry.id,
                    "path": entry.path,
                    "line": entry.line,
                    "reason": entry.reason,
                    "fix": entry.fix,
                    "kind": entry.kind,
                }
                for entry in self.broken
            ],
            "counts": self.counts,
            "kinds": self.kinds(),
            "formats": self.formats,
            "left_out": self.left_out,
            "settings": "\n".join(self.settings()),
            "unknown_assignees": [told._asdict() for told in self.unknown_assignees()],
            "warnings": [
                {"id": warned.id, "path": warned.path, "reason": warned.reason}
                for warned in self.warnings
            ],
            "hints": [
                {"id": hinted.id, "path": hinted.path, "kind": hinted.kind, "reason": hinted.reason}
                for hinted in self.hints
            ],
            "failed_sources": [
                {"reason": error.message, "fix": error.fix} for error in self.failed
            ],
        }

    def lines(self, *, in_full: bool = False) -> list[str]:
        """Return the result as lines of text for people, of bounded number unless `in_full`."""

        return lines(self, in_full=in_full)


def _told(entry: Entry) -> dict[str, object]:
    return {"id": entry.id, "path": entry.path, "reason": entry.reason, "kind": entry.kind}
