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
from hypervisor.tasks.formats import Splice
from hypervisor.tasks.formats.box_format import BoxFormat, Entry, Links, in_turn
from hypervisor.tasks.formats.boxes import boxes, boxes_of, tick
from hypervisor.tasks.item import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# The tool writes `T001`; people write `T1`, `T-001`, `**T001**` and `[T001]` as well.
_PLAIN_ID = r"T(?:ASK)?-?\d+(?:\.\d+)*[a-z]?"
_ID = re.compile(rf"\s*[\[(*`_]*({_PLAIN_ID})[\])*`_]*[:.]?(?=\s|$|\[)", re.IGNORECASE)
_ANY_ID = re.compile(
    rf"(?<![a-z0-9])({_PLAIN_ID})(?![a-z0-9])"
    rf"(?:\s*(?:[-–—]|to|through|\.{{2,3}})\s*({_PLAIN_ID})(?![a-z0-9]))?",
    re.IGNORECASE,
)
_WAITS = re.compile(
    r"(?<![a-z])(?:depend(?:s|ent|ing)?(?: (?:up)?on)?|dependenc(?:y|ies)|deps?|prerequisites?"
    r"|prereqs?|after|once|requires?|blocked by|needs|wait(?:s|ing)? for)\b([^);]*)",
    re.IGNORECASE,
)
# An item of another feature: `001-import T003`, `specs/001-import/tasks.md#T003`, and `T003 of …`.
_FEATURE = r"(?<![\w-])\d{3}-[\w-]{0,100}\w"
_CROSS = re.compile(
    rf"({_FEATURE})(?:/tasks\.md)?[/#: ]+({_PLAIN_ID})\b"
    rf"|\b({_PLAIN_ID}) (?:of|in|from) `?({_FEATURE})",
    re.IGNORECASE,
)
_LABEL = re.compile(r"\s*(?:[-–—]\s*)?\[([^\]]*)\](?!\()")
_PHASE = re.compile(r"\W*phase\b", re.IGNORECASE)
_TICKED = re.compile(r"\[([xX])\][ \t]+[\[(*`_]*[Tt](?:ask|ASK)?-?\d")
_DIGITS = re.compile(r"\d+")
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
        ids = {_plain(one.id): one.id for one in found}
        return [Links([*waits.get(one.id, ()), *_told(one.box.whole, ids)]) for one in found]

    def items(self, path: str, text: str) -> list[Item]:
        found = super().items(path, text)
        if _CROSS.search(text) is None:
            return found
        specs = os.path.dirname(os.path.dirname(path))
        return [
            one._replace(depends_on=(*one.depends_on, *_elsewhere(specs, one.text)))
            for one in found
        ]

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
    """Return each box that has an id, if its text holds `near`. Boxes without one are steps of the
    item that they are in."""
    told = []
    for box in boxes(text, odd=True):
        if near in box.text or near == "T":
            name, parallel, title = _parsed(box.text)
            if name:
                told.append((name, title or name, parallel, (box.mark, box.at, box.text)))
    own = boxes_of(text, [hit for *_, hit in told])
    return [
        Entry(name, title, box, parallel)
        for (name, title, parallel, _), box in zip(told, own, strict=True)
    ]


def _parsed(text: str) -> tuple[str, bool, str]:
    """Return the id that the text of a box begins with, "" for none, whether it is parallel, and
    its title. Labels stand behind the id, or before it."""
    name, parallel, at = "", False, 0
    while True:
        found = None if name else _ID.match(text, at)
        label = None if found else _LABEL.match(text, at)
        if found is not None:
            name, at = found[1], found.end()
        elif label is not None:
            parallel, at = parallel or label[1].strip().upper() == "P", label.end()
        else:
            return name, parallel, text[at:].lstrip(" \t:*-–—").rstrip(" \t:*")


def _phases(found: Sequence[Entry]) -> Iterator[list[tuple[str, bool, bool]]]:
    """Yield the items of each phase: of a heading that says so, else of one below the title."""

    def heading(one: Entry) -> int | None:
        heads = [head for head in one.box.under if head.level > 1] or one.box.under
        said = (head for head in heads if _PHASE.match(head.title))
        phase = next(said, heads[0] if heads else None)
        return None if phase is None else phase.line

    for _, phase in groupby(found, heading):
        yield [(one.id, one.parallel, one.box.done) for one in phase]


def _told(text: str, ids: Mapping[str, str]) -> list[str]:
    """Return the ids that an item says it depends on, those of a range too. `ids` are those that
    there are."""
    told: list[str] = []
    if len(_ANY_ID.findall(text)) < 2:
        return told
    for clause in _WAITS.finditer(text):
        for first, last in _ANY_ID.findall(_CROSS.sub("", clause[1])):
            told += [ids.get(_plain(name), name) for name in (first, last) if name]
            start, end = (int(_DIGITS.findall(name or first)[0]) for name in (first, last))
            if 0 < end - start < _LONGEST_RANGE:
                between = map(str, range(start + 1, end))
                told += [ids[number] for number in between if number in ids]
    return told


def _elsewhere(specs: str, text: str) -> list[str]:
    """Return the items of other features, below the folder `specs`, that an item waits for, as
    `FILE#id`, but for those that are done."""
    from hypervisor.tasks.formats.mark import text_of

    told = []
    for clause in _WAITS.finditer(text):
        for found in _CROSS.finditer(clause[1]):
            feature, name = found[1] or found[4], found[2] or found[3]
            file = os.path.join(specs, feature, "tasks.md")
            try:
                there = {_plain(one.id): one for one in _numbered(text_of(file)[1])}
            except (OSError, BrokenFile):
                there = {}
            one = there.get(_plain(name))
            if one is None or not one.box.done:
                told.append(f"{file}#{name if one is None else one.id}")
    return told


def _plain(name: str) -> str:
    """Return what an id has in common with other spellings of it."""
    return name.upper().removeprefix("T").removeprefix("ASK").removeprefix("-").lstrip("0")


FORMAT = SpecKit()
