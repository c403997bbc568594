"""spec-kit: `specs/NNN-name/tasks.md`, boxes with ids `T001`, in phases.

A phase waits until the one before it is done; in a phase, what is not marked `[P]` waits for all
before it, and all after wait for it.
"""

from __future__ import annotations

import os
import re

from hypervisor.tasks.formats import Format, Item, Splice
from hypervisor.tasks.formats.boxes import Box, boxes, paths, tick

_ID = re.compile(r"(?:\*\*|`)?(T\d{3,}[a-z]?)(?:\*\*|`)?:?(?=\s|$|\[)")
_ANY_ID = re.compile(r"\bT(\d{3,})([a-z]?)(?:\s*(?:-|–|to|through)\s*T(\d{3,}))?\b")
_WAITS = re.compile(r"\b(?:depends? on|after|requires|blocked by|needs)\b:?([^);]*)", re.IGNORECASE)
_LABEL = re.compile(r"\s*\[([^\]]*)\]")
_SIBLINGS = ("plan.md", "spec.md", "research.md", "data-model.md", "contracts", "quickstart.md")
_CONSTITUTION = (".specify/memory/constitution.md", "memory/constitution.md")
_LONGEST_RANGE = 200


class SpecKit(Format):
    """Items are the boxes with an id: closing check lists and legends have none."""

    name = "spec-kit"
    about = "tasks.md of a spec-kit feature: phases, [P], (depends on T…)"
    names = ("tasks.md",)

    def recognises(self, path: str, text: str) -> bool:
        """By its name and ids: the folders around it can be named otherwise."""
        return os.path.basename(path).lower() == "tasks.md" and any(_numbered(text))

    def below(self, folder: str) -> list[str]:
        """A feature is a folder with `tasks.md` beside `spec.md` or `plan.md`, or below `specs`."""
        if not os.path.isfile(file := os.path.join(folder, "tasks.md")):
            return []
        beside = any(os.path.isfile(os.path.join(folder, name)) for name in _SIBLINGS[:2])
        above = os.path.basename(os.path.dirname(os.path.realpath(folder)))
        if not beside and above != "specs":
            return []
        from hypervisor.tasks.formats.mark import text_of

        return [file] if self.recognises(file, text_of(file)[1]) else []

    def items(self, path: str, text: str) -> list[Item]:
        """Return the boxes that have an id."""
        found = _numbered(text)
        waits = _waits([(box, item_id, parallel) for box, item_id, parallel, _ in found])
        return [
            Item(
                item_id,
                title,
                "done" if box.done else "ready",
                f"[{box.mark}]",
                box.whole,
                box.line,
                tuple(dict.fromkeys([*waits.get(item_id, ()), *_told(box.whole, item_id)])),
                None,
                paths(box.whole),
            )
            for box, item_id, _, title in found
        ]

    def mark(self, text: str, item: Item, state: str) -> list[Splice] | None:
        """Tick the box of what is done, as the file's other boxes are ticked."""
        if state != "done":
            return None
        found = _numbered(text)
        ticked = [box.mark for box, *_ in found if box.done]
        mark = "x" if not ticked or ticked.count("x") >= ticked.count("X") else "X"
        return next(tick(box, mark) for box, *_ in found if box.line == item.line)

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


def _numbered(text: str) -> list[tuple[Box, str, bool, str]]:
    """Return each box that has an id, with that, whether it is marked [P], and its title."""
    found = []
    for box in boxes(text):
        told = _ID.match(box.text)
        if told is None:
            continue
        at, labels = told.end(), []
        while label := _LABEL.match(box.text, at):
            labels.append(label[1].strip())
            at = label.end()
        found.append((box, told[1], "P" in labels, box.text[at:].strip(" :*") or told[1]))
    return found


def _waits(found: list[tuple[Box, str, bool]]) -> dict[str, list[str]]:
    """Return what each item waits for by its place: as few as say it all."""
    waits: dict[str, list[str]] = {}
    before: list[str] = []
    alone: str | None = None
    beside: list[str] = []
    phase = None
    for box, item_id, parallel in found:
        at = next((head.line for head in box.under if head.level == 2), None)
        if at != phase:
            phase = at
            before = [*([alone] if alone else []), *beside] or before
            alone, beside = None, []
        if box.done:
            continue
        if parallel:
            waits[item_id] = [alone] if alone else before
            beside.append(item_id)
        else:
            waits[item_id] = beside or ([alone] if alone else before)
            alone, beside = item_id, []
    return waits


def _told(text: str, item_id: str) -> list[str]:
    """Return the ids that an item says it depends on, those of a range too."""
    told: list[str] = []
    for clause in _WAITS.finditer(text):
        for number, letter, last in _ANY_ID.findall(clause[1]):
            told.append(f"T{number}{letter}")
            if last and 0 < int(last) - int(number) < _LONGEST_RANGE:
                more = range(int(number) + 1, int(last) + 1)
                told += [f"T{one:0{len(number)}}" for one in more]
    return [one for one in told if one != item_id]


FORMAT = SpecKit()
