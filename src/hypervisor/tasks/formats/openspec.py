"""OpenSpec: `openspec/changes/NAME/tasks.md`. Its steps go one after the other.

The tool counts every line that looks like a box, in code and comments too, and by its own rules
of what a box is; so do we, since a line that only one of us counts is one too few or too many.
"""

from __future__ import annotations

import os
import re
from collections import Counter

from hypervisor.tasks.formats.box_format import BoxFormat, Entry, Links, in_turn, parts_first
from hypervisor.tasks.formats.boxes import boxes_like

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_BOX = re.compile(
    r"^\ufeff?[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]*"
    r"\[([ \t]*[^\]\s]?[ \t]*(?=\](?![(\[]))|[ \t]+(?=\]))\][ \t]*(\S.*)$",
    re.MULTILINE,
)
_NUMBER = re.compile(r"(?:\*\*)?(\d+(?:\.\d+)*[a-z]?)[.):]?(?:\*\*)?(?=\s)")


class OpenSpec(BoxFormat):
    """Items are the boxes, with their numbers as ids where these are unique."""

    name = "openspec"
    about = "tasks.md of an OpenSpec change: one step after the other"
    names = ("tasks.md",)

    def recognises(self, path: str, text: str) -> bool:
        """By the folder: `changes` of an `openspec`, but for what is archived."""
        parts = os.path.realpath(path).split(os.sep)[:-1]
        if not path.lower().endswith(".md") or "openspec" not in parts:
            return False
        rest = parts[len(parts) - parts[::-1].index("openspec") :]
        return rest[:1] == ["changes"] and "archive" not in rest and "specs" not in rest

    def below(self, folder: str) -> list[str]:
        """A change is a folder with `tasks.md` below `openspec/changes`; `openspec` and `changes`
        stand for all of them."""
        real = os.path.realpath(folder)
        if os.path.basename(real) == "openspec":
            folder = os.path.join(folder, "changes")
            real = os.path.join(real, "changes")
        if os.path.basename(real) == "changes" and "openspec" in real.split(os.sep):
            changes = [os.path.join(folder, name) for name in sorted(_listed(folder))]
        else:
            changes = [folder]
        files = [os.path.join(change, "tasks.md") for change in changes]
        return [file for file in files if os.path.isfile(file) and self.recognises(file, "")]

    def entries(self, path: str, text: str, near: str | None = None) -> list[Entry]:
        """Return the boxes that say something."""
        found = boxes_like(text, _BOX, in_code=True)
        if near is not None and near[0].isdigit():
            found = [box for box in found if near in box.text]
        numbers = [_NUMBER.match(box.text) for box in found]
        count = Counter(number[1] for number in numbers if number)
        return [
            Entry(
                number[1] if number and count[number[1]] == 1 else f"step {place}",
                box.text[number.end() :].strip() if number else box.text,
                box,
            )
            for place, (box, number) in enumerate(zip(found, numbers, strict=True), 1)
        ]

    def links(self, found: Sequence[Entry], text: str) -> Sequence[Links]:
        """Each waits for the one before it that is open, and goes behind those that are in it."""
        waits = in_turn([[(one.id, False, one.box.done) for one in parts_first(found)]])
        return [Links(waits.get(one.id, ())) for one in found]

    def notes(self, path: str) -> list[str]:
        """None: OpenSpec takes for a box whatever was meant as one."""
        return []

    def context(self, path: str, root: str) -> list[str]:
        """The change's proposal, design and specs."""
        folder = os.path.dirname(path)
        named = (os.path.join(folder, name) for name in ("proposal.md", "design.md", "specs"))
        return [file for file in named if os.path.exists(file)]


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


FORMAT = OpenSpec()
