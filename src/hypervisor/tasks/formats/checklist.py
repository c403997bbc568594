"""Plain check lists: any file with boxes, where it is asked for, or its name or a heading says
that these are tasks."""

from __future__ import annotations

import os
import re

from hypervisor.tasks.formats.box_format import BoxFormat, Entry, Links, nested
from hypervisor.tasks.formats.boxes import LONGEST, Box, boxes, is_headed, shortened, unique

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_TODO = r"tasks?|to[-_ ]?dos?|(?:tasks?|to[-_ ]?do)[-_ ]?list"
_NAME = re.compile(rf"(?:{_TODO}|checklist)\.(?:md|markdown)", re.IGNORECASE)
# A number, a sign or marks may stand around what a heading says, and a count behind it.
_HEADING = re.compile(
    r"[\W\d]*(?:(?:all|current|implementation|my|open|pending|project|remaining|upcoming) )?"
    rf"(?:{_TODO}|next steps|action items)\W*(?:\([^)]*\))?",
    re.IGNORECASE,
)
_ACCEPTANCE = re.compile(
    r"[\W\d]*(?:acceptance|(?:success|exit) criteria|definition of (?:done|ready)|legend)\b",
    re.IGNORECASE,
)
_ORDINAL = re.compile(r" \(\d+\)$")


class CheckList(BoxFormat):
    """Items are boxes; one with boxes in it waits for those. There is no order between others."""

    name = "checklist"
    about = "Markdown lists of check boxes"
    pattern = _NAME.pattern

    def recognises(self, path: str, text: str) -> bool:
        """By the file's name, or by a heading over some of its boxes; never with front matter of a
        task, which makes boxes those of that."""
        if not path.lower().endswith((".md", ".markdown")) or is_headed(text, task=_is_named(path)):
            return False
        if not any(mark in text for mark in ("[ ]", "[x]", "[X]")):
            return False
        found = boxes(text)
        return bool(found) and (_is_named(path) or any(map(_says_tasks, found)))

    def entries(self, path: str, text: str, near: str | None = None) -> list[Entry]:
        """Return the boxes, those under a heading that says tasks where the name does not."""
        found = [box for box in boxes(text, odd=True) if not _accepts(box)]
        if not _is_named(path) and any(map(_says_tasks, found)):
            found = [box for box in found if _says_tasks(box)]
        if near is not None and len(near) < LONGEST:
            plain = _ORDINAL.sub("", near)
            found = [box for box in found if near.endswith(box.text) or plain.endswith(box.text)]
        ids = unique(map(_id, found))
        return [Entry(one, box.text, box) for one, box in zip(ids, found, strict=True)]

    def links(self, found: Sequence[Entry], text: str) -> Sequence[Links]:
        """A box with boxes in it waits for those."""
        return nested(found, [not one.box.done for one in found])


def _is_named(path: str) -> bool:
    return _NAME.fullmatch(os.path.basename(path)) is not None


def _says_tasks(box: Box) -> bool:
    return any(_HEADING.fullmatch(head.title) for head in box.under)


def _accepts(box: Box) -> bool:
    """True for a box by which work is accepted, which is none itself."""
    return any(_ACCEPTANCE.match(head.title) for head in box.under)


def _id(box: Box) -> str:
    chain = [head.title for head in box.under if head.level > 1]
    return shortened("/".join([*chain, box.text]))


FORMAT = CheckList()
