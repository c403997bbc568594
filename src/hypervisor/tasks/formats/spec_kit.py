"""spec-kit: `specs/NNN-name/tasks.md`, boxes with ids `T001`, in phases.

A phase waits until the one before it is done; in a phase, what is not marked `[P]` waits for all
before it, and all after wait for it.
"""

from __future__ import annotations

import json
import os
import re
from itertools import groupby

from hypervisor.system.errors import BrokenFile
from hypervisor.tasks.formats import Item, Splice
from hypervisor.tasks.formats.box_format import BoxFormat, Entry, Links, in_turn
from hypervisor.tasks.formats.boxes import boxes, tick

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ID = re.compile(r"(?:\*\*|`)?(T\d{3,}[a-z]?)(?:\*\*|`)?:?(?=\s|$|\[)")
_ANY_ID = re.compile(r"\bT(\d{3,})([a-z]?)(?:\s*(?:-|–|to|through)\s*T(\d{3,}))?\b")
_WAITS = re.compile(r"\b(?:depends? on|after|requires|blocked by|needs)\b:?([^);]*)", re.IGNORECASE)
_LABEL = re.compile(r"\s*\[([^\]]*)\]")
_TICKED = re.compile(r"\[([xX])\][ \t]+(?:\*\*|`)?T\d{3}")
_SIBLINGS = ("plan.md", "spec.md", "research.md", "data-model.md", "contracts", "quickstart.md")
_CONSTITUTION = (".specify/memory/constitution.md", "memory/constitution.md")
_LONGEST_RANGE = 200


class SpecKit(BoxFormat):
    """Items are the boxes with an id: closing check lists and legends have none."""

    name = "spec-kit"
    about = "tasks.md of a spec-kit feature: phases, [P], (depends on T…)"
    names = ("tasks.md",)

    def recognises(self, path: str, text: str) -> bool:
        """By its name and ids: the folders around it can be named otherwise."""
        return os.path.basename(path).lower() == "tasks.md" and any(_numbered(text))

    def below(self, folder: str) -> list[str]:
        """A feature is a folder with `tasks.md` beside `spec.md` or `plan.md`, or below `specs`;
        `.specify` stands for the one that the project is at."""
        if os.path.basename(os.path.realpath(folder)) == ".specify":
            folder = _current(folder)
        if not os.path.isfile(file := os.path.join(folder, "tasks.md")):
            return []
        beside = any(os.path.isfile(os.path.join(folder, name)) for name in _SIBLINGS[:2])
        above = os.path.basename(os.path.dirname(os.path.realpath(folder)))
        if not beside and above != "specs":
            return []
        from hypervisor.tasks.formats.mark import text_of

        try:
            return [file] if self.recognises(file, text_of(file)[1]) else []
        except BrokenFile:
            # What is wrong with it is told when its items are read.
            return [file]

    def entries(self, path: str, text: str, near: str | None = None) -> list[Entry]:
        return _numbered(text, near or "T")

    def links(self, found: Sequence[Entry], text: str) -> Sequence[Links]:
        """By the phases, and what an item says that it depends on."""
        waits = in_turn(_phases(found))
        return [Links([*waits.get(one.id, ()), *_told(one.box.whole)]) for one in found]

    def mark(self, text: str, item: Item, state: str) -> list[Splice] | None:
        """Tick the box of what is done, as the file's other boxes are ticked."""
        if state != "done":
            return None
        ticked = _TICKED.findall(text)
        return tick(text, item.at, "x" if ticked.count("x") * 2 > len(ticked) else "X")

    def context(self, path: str, root: str) -> list[str]:
        """The feature's plan, spec and design, and the project's constitution."""
        folder = os.path.dirname(path)
        named = [os.path.join(folder, name) for name in _SIBLINGS]
        while folder.startswith(root):
            named += [os.path.join(folder, name) for name in _CONSTITUTION]
            if folder == root:
                break
            folder = os.path.dirname(folder)
        return [file for file in named if os.path.exists(file)]

    def notes(self, path: str) -> list[str]:
        """Say which check lists of the feature have open boxes."""
        from hypervisor.tasks.formats.mark import text_of

        folder = os.path.join(os.path.dirname(path), "checklists")
        told = []
        try:
            lists = sorted(name for name in os.listdir(folder) if name.endswith(".md"))
        except OSError:
            return []
        for name in lists:
            left = sum(not box.done for box in boxes(text_of(os.path.join(folder, name))[1]))
            if left:
                told.append(f"checklists/{name} has {left} open box{'es' if left > 1 else ''}")
        return told


def _current(folder: str) -> str:
    """Return the feature that a `.specify` names, "" for none."""
    root = os.path.dirname(os.path.realpath(folder))
    told = os.environ.get("SPECIFY_FEATURE_DIRECTORY")
    if not told:
        try:
            with open(os.path.join(folder, "feature.json"), encoding="utf-8-sig") as source:
                told = json.load(source)["feature_directory"]
        except (OSError, ValueError, TypeError, KeyError):
            return ""
    named = os.path.join(root, told) if isinstance(told, str) else ""
    return named if os.path.realpath(named).startswith(os.path.join(root, "")) else ""


def _numbered(text: str, near: str = "T") -> list[Entry]:
    """Return each box that has an id, if its text holds `near`."""
    found = []
    for box in boxes(text, odd=True):
        told = _ID.match(box.text) if near in box.text else None
        if told is None:
            continue
        at, parallel = told.end(), False
        while label := _LABEL.match(box.text, at):
            parallel = parallel or label[1].strip() == "P"
            at = label.end()
        found.append(Entry(told[1], box.text[at:].strip(" :*") or told[1], box, parallel))
    return found


def _phases(found: Sequence[Entry]) -> Iterator[list[tuple[str, bool, bool]]]:
    """Yield the items of each heading of the second level."""

    def heading(one: Entry) -> int | None:
        return next((head.line for head in one.box.under if head.level == 2), None)

    for _, phase in groupby(found, heading):
        yield [(one.id, one.parallel, one.box.done) for one in phase]


def _told(text: str) -> list[str]:
    """Return the ids that an item says it depends on, those of a range too."""
    told: list[str] = []
    if len(_ANY_ID.findall(text)) < 2:
        return told
    for clause in _WAITS.finditer(text):
        for number, letter, last in _ANY_ID.findall(clause[1]):
            told.append(f"T{number}{letter}")
            if last and 0 < int(last) - int(number) < _LONGEST_RANGE:
                more = range(int(number) + 1, int(last) + 1)
                told += [f"T{one:0{len(number)}}" for one in more]
    return told


FORMAT = SpecKit()
