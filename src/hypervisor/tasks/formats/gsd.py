"""GSD: `.planning/ROADMAP.md`, a phase an item. Nothing is written: its tool keeps a table and a
state file in step with the boxes."""

from __future__ import annotations

import os
import re

from hypervisor.tasks.formats import Format, Splice
from hypervisor.tasks.formats.box_format import BoxFormat, Entry, Links, in_turn
from hypervisor.tasks.formats.boxes import boxes
from hypervisor.tasks.formats.spec_folders import beside, listed
from hypervisor.tasks.item import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PHASE = re.compile(r"\*{0,2}Phase (\d+(?:\.\d+)*):?\s*", re.IGNORECASE)
_SECTION = re.compile(r"^#{2,4}[ \t]+\**Phase (\d+(?:\.\d+)*)\b.*$", re.MULTILINE | re.IGNORECASE)
_HEADING = re.compile(r"^#{1,4}[ \t]", re.MULTILINE)
_DEPENDS = re.compile(
    r"^[ \t]*[-*]?[ \t]*\*\*Depends on:?\*\*:?(.*)$", re.MULTILINE | re.IGNORECASE
)
_NUMBER = re.compile(r"\d+(?:\.\d+)*")


class Gsd(BoxFormat):
    """Items are phases, by their numbers."""

    name = "gsd"
    about = "ROADMAP.md of GSD: phases; nothing is written"
    names = ("roadmap.md",)

    def recognises(self, path: str, text: str) -> bool:
        folder, name = os.path.split(os.path.realpath(path))
        return name.lower() == "roadmap.md" and os.path.basename(folder) == ".planning"

    def below(self, folder: str) -> list[str]:
        """`.planning` stands for its roadmap."""
        file = os.path.join(folder, "ROADMAP.md")
        return [file] if self.recognises(file, "") and os.path.isfile(file) else []

    def entries(self, path: str, text: str, near: str | None = None) -> list[Entry]:
        """Return the boxes of phases."""
        found = []
        for box in boxes(text, odd=True):
            phase = _PHASE.match(box.text)
            if phase is not None:
                title = box.text[phase.end() :].replace("**", "").strip()
                found.append(Entry(phase[1], title or f"Phase {phase[1]}", box))
        return found

    def links(self, found: Sequence[Entry], text: str) -> Sequence[Links]:
        """By what the phase's own section says; one that says nothing goes behind the one before
        it."""
        waits = in_turn([[(one.id, False, one.box.done) for one in found]])
        for number, section in _sections(text).items():
            if told := _DEPENDS.search(section):
                waits[number] = _NUMBER.findall(told[1].split("(")[0])
        return [Links(waits.get(one.id, ())) for one in found]

    find = Format.find

    def bare(self, path: str, text: str) -> list[Item]:
        """Return the phases as they are."""
        return self.items(path, text)

    def items(self, path: str, text: str) -> list[Item]:
        """Return the phases, each with its section; one is done by its box, or when there are as
        many summaries as plans of it."""
        sections = _sections(text)
        phases = os.path.join(os.path.dirname(path), "phases")
        folders = listed(phases)
        found = []
        for one in super().items(path, text):
            names = [name for name in folders if _is_of(name, one.id)]
            inside = [file for name in names for file in listed(os.path.join(phases, name))]
            plans = sum(file.endswith("PLAN.md") for file in inside)
            told = one._replace(text="\n\n".join([one.text, sections.get(one.id, "")]).strip())
            if one.state == "ready" and plans and plans <= sum(
                file.endswith("SUMMARY.md") for file in inside
            ):  # fmt: skip
                told = told._replace(state="done", word="each plan has its summary")
            found.append(told)
        return found

    def mark(self, text: str, item: Item, state: str) -> list[Splice] | None:
        """Nothing is written."""
        return None

    def context(self, path: str, root: str) -> list[str]:
        """The project, its requirements, and where it stands."""
        return beside(path, ("PROJECT.md", "REQUIREMENTS.md", "STATE.md"))


def _sections(text: str) -> dict[str, str]:
    """Return the text of each phase's own section."""
    told = {}
    for found in _SECTION.finditer(text):
        end = _HEADING.search(text, found.end())
        told[found[1]] = text[found.start() : end.start() if end else len(text)].strip()
    return told


def _is_of(folder: str, number: str) -> bool:
    found = _NUMBER.match(folder)
    return found is not None and _plain(found[0]) == _plain(number)


def _plain(number: str) -> str:
    return ".".join(part.lstrip("0") or "0" for part in number.split("."))


FORMAT = Gsd()
