"""OpenSpec: `openspec/changes/NAME/tasks.md`. Its steps go one after the other.

The tool counts every line that looks like a box, in code and comments too, and by its own rules
of what a box is; so do we, since a line that only one of us counts is one too few or too many.
"""

from __future__ import annotations

import os
import re

from hypervisor.tasks.formats import Format, Item, Splice
from hypervisor.tasks.formats.boxes import Box, boxes_like, paths, tick

_BOX = re.compile(
    r"^[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]*"
    r"\[([ \t]*[^\]\s]?[ \t]*(?=\](?![(\[]))|[ \t]+(?=\]))\][ \t]*(\S.*)$",
    re.MULTILINE,
)
_NUMBER = re.compile(r"(?:\*\*)?(\d+(?:\.\d+)*[a-z]?)[.):]?(?:\*\*)?(?=\s)")


class OpenSpec(Format):
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

    def items(self, path: str, text: str) -> list[Item]:
        """Return the boxes, each of which waits for the one before it that is open."""
        found = _boxes(text)
        numbers = [_number(box) for box in found]
        items: list[Item] = []
        before: str | None = None
        for place, (box, number) in enumerate(zip(found, numbers, strict=True), 1):
            item_id = number if number and numbers.count(number) == 1 else f"step {place}"
            title = _NUMBER.sub("", box.text, count=1).strip() if number else box.text
            items.append(
                Item(
                    item_id,
                    title or box.text,
                    "done" if box.done else "ready",
                    f"[{box.mark}]",
                    box.whole,
                    box.line,
                    (before,) if before and not box.done else (),
                    None,
                    paths(box.whole),
                )
            )
            if not box.done:
                before = item_id
        return items

    def mark(self, text: str, item: Item, state: str) -> list[Splice] | None:
        """Tick the box of what is done."""
        if state != "done":
            return None
        return next(tick(box) for box in _boxes(text) if box.line == item.line)

    def context(self, path: str, root: str) -> list[str]:
        """The change's proposal, design and specs."""
        folder = os.path.dirname(path)
        named = (os.path.join(folder, name) for name in ("proposal.md", "design.md", "specs"))
        return [file for file in named if os.path.exists(file)]


def _boxes(text: str) -> list[Box]:
    return boxes_like(text, _BOX, in_code=True)


def _number(box: Box) -> str | None:
    found = _NUMBER.match(box.text)
    return found[1] if found else None


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


FORMAT = OpenSpec()
