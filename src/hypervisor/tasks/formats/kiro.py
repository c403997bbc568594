"""Kiro and cc-sdd: `.kiro/specs/NAME/tasks.md`, boxes with numbers; what has parts is worked on by
these, and its own box is left to the tool.

What is optional (`[ ]*`) and checkpoints, which are for a person, are left out. A spec of cc-sdd
whose tasks nobody has approved is a draft.
"""

from __future__ import annotations

import json
import os
import re

from hypervisor.tasks.formats.box_format import Entry, Links, in_turn
from hypervisor.tasks.formats.boxes import Box, boxes_like, shortened
from hypervisor.tasks.formats.numbered import leaves, number_of, of_task, parts, working
from hypervisor.tasks.formats.spec_folders import SpecFolders, beside
from hypervisor.tasks.item import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_BOX = re.compile(r"^\ufeff?[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+\[([^\]\n])\](\*?[ \t]+\S.*)$", re.M)
_PARALLEL = re.compile(r"\(P\)[ \t]*")
# The tool writes the star behind the box.
_OPTIONAL = re.compile(r"(?:\d+(?:\.\d+)*\.?)?\*(?=\s)")
_CHECKPOINT = re.compile(r"(?:final )?checkpoint\b", re.IGNORECASE)
_DEPENDS = re.compile(r"_Depends:([^_\n]*)_?", re.IGNORECASE)
_ID = re.compile(r"\d+(?:\.\d+)*")
_WAVES = re.compile(r'\{\s*"waves"\s*:')
_STATES = {"-": "in_progress", "~": "in_progress"}


class Kiro(SpecFolders):
    """Items are the boxes that have no parts."""

    name = "kiro"
    about = "tasks.md of a spec of Kiro or cc-sdd"
    tops = (".kiro",)

    def entries(self, path: str, text: str, near: str | None = None) -> list[Entry]:
        return working(_wanted(text, near))

    def state(self, box: Box) -> str:
        """A mark that stays after a crash is one of work, too: a person sees to it."""
        return _STATES.get(box.mark) or super().state(box)

    def links(self, found: Sequence[Entry], text: str) -> Sequence[Links]:
        """By the waves that Kiro notes, else one after the other; `(P)` stands beside others."""
        inside = parts(_wanted(text))
        waits = in_turn([[(one.id, one.parallel, one.box.done) for one in found]])
        done = {one.id for one in found if one.box.done}
        waits |= _by_waves(text, [one.id for one in found], done, inside)
        marked = "epends:" in text
        told = []
        for one in found:
            named = [
                leaf
                for clause in _DEPENDS.findall(one.box.whole if marked else "")
                for number in _ID.findall(clause)
                for leaf in leaves(number, inside)
            ]
            told.append(Links([*waits.get(one.id, ()), *named]))
        return told

    def items(self, path: str, text: str) -> list[Item]:
        """Return the items, drafts where the spec is not approved."""
        found = super().items(path, text)
        if _is_approved(path):
            return found
        word = "tasks not approved in spec.json"
        return [
            one._replace(state="draft", word=word) if one.state == "ready" else one
            for one in found
        ]  # fmt: skip

    def context(self, path: str, root: str) -> list[str]:
        """The spec's requirements and design, and what steers the project."""
        top = os.path.dirname(os.path.dirname(os.path.dirname(path)))
        steering = os.path.join(top, "steering")
        named = beside(path, ("requirements.md", "bugfix.md", "design.md"))
        return [*named, *([steering] if os.path.isdir(steering) else [])]

    def notes(self, path: str) -> list[str]:
        """Say how many boxes are left out."""
        from hypervisor.tasks.formats.mark import text_of

        text = text_of(path)[1]
        wanted = {one.box.at for one in _wanted(text)}
        left = sum(box.at not in wanted and not box.done for box in _boxes(text))
        told = "optional box or checkpoint is" if left == 1 else "optional boxes or checkpoints are"
        return [f"{left} open {told} left out"] if left else []


def _boxes(text: str) -> Sequence[Box]:
    return boxes_like(text, _BOX, in_code=False)


def _wanted(text: str, near: str | None = None) -> list[Entry]:
    found = []
    for box in of_task(_boxes(text), near):
        number, title = number_of(box)
        if _OPTIONAL.match(box.text) or _CHECKPOINT.match(title):
            continue
        parallel = _PARALLEL.match(title)
        title = title[parallel.end() :] if parallel else title
        name = number or shortened(box.text)
        found.append(Entry(name, title or name, box, parallel is not None))
    return found


def _by_waves(
    text: str, ids: list[str], done: set[str], inside: dict[str, list[Entry]]
) -> dict[str, list[str]]:
    """Return what the items in waves wait for: what is open of the wave before their own."""
    known = set(ids)
    return in_turn(
        [(leaf, True, leaf in done)
         for name in wave for leaf in leaves(name, inside) if leaf in known]
        for wave in _waves(text)
    )  # fmt: skip


def _waves(text: str) -> list[list[str]]:
    start = _WAVES.search(text)
    if start is None:
        return []
    try:
        told = json.JSONDecoder().raw_decode(text, start.start())[0]["waves"]
    except (ValueError, RecursionError):
        return []
    lists = [one.get("tasks") if isinstance(one, dict) else one for one in told] \
        if isinstance(told, list) else []  # fmt: skip
    return [[str(name) for name in one] for one in lists if isinstance(one, list)]


def _is_approved(path: str) -> bool:
    """True unless a `spec.json` beside the file says that its tasks are not approved."""
    try:
        with open(os.path.join(os.path.dirname(path), "spec.json"), encoding="utf-8-sig") as source:
            told = json.load(source)
    except FileNotFoundError:
        return True
    except (OSError, ValueError, RecursionError):
        return False
    approvals = told.get("approvals") if isinstance(told, dict) else None
    tasks = approvals.get("tasks") if isinstance(approvals, dict) else None
    return isinstance(tasks, dict) and tasks.get("approved") is True


FORMAT = Kiro()
