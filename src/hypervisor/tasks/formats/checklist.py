"""Plain check lists: any file with boxes, where it is asked for, or its name or a heading says
that these are tasks."""

from __future__ import annotations

import os

from hypervisor.tasks.formats import Format, Item, Splice
from hypervisor.tasks.formats.boxes import Box, boxes, paths, tick, unique

_NAMES = ("tasks", "task", "todo", "todos", "to-do", "tasklist", "task-list", "checklist")
_HEADINGS = ("tasks", "task list", "todo", "to do", "to-do", "todos", "next steps", "action items")
_LONGEST = 120


class CheckList(Format):
    """Items are boxes; one with boxes in it waits for those. There is no order between others."""

    name = "checklist"
    about = "Markdown lists of check boxes"
    names = tuple(f"{name}.md" for name in _NAMES)

    def recognises(self, path: str, text: str) -> bool:
        """By the file's name, or by a heading over some of its boxes; never with front matter,
        which makes boxes those of one task."""
        if not path.lower().endswith((".md", ".markdown")) or "[ ]" not in text or _headed(text):
            return False
        return _is_named(path) or any(_says_tasks(box) for box in boxes(text))

    def items(self, path: str, text: str) -> list[Item]:
        """Return the boxes, those under a heading that says tasks where the name does not."""
        found = boxes(text)
        if not _is_named(path) and any(map(_says_tasks, found)):
            found = [box for box in found if _says_tasks(box)]
        ids = unique(map(_id, found))
        above: list[int] = []
        parents: list[int | None] = []
        for place, box in enumerate(found):
            while above and (found[above[-1]].indent >= box.indent
                             or found[above[-1]].under != box.under):  # fmt: skip
                above.pop()
            parents.append(above[-1] if above else None)
            above.append(place)
        inside: dict[int, list[str]] = {}
        for place, parent in enumerate(parents):
            if parent is not None and not found[place].done:
                inside.setdefault(parent, []).append(ids[place])
        return [
            Item(
                ids[place],
                box.text,
                "done" if box.done else "ready",
                f"[{box.mark}]",
                box.whole,
                box.line,
                tuple(inside.get(place, ())),
                None if parents[place] is None else ids[parents[place] or 0],
                paths(box.whole),
            )
            for place, box in enumerate(found)
        ]

    def mark(self, text: str, item: Item, state: str) -> list[Splice] | None:
        """Tick the box of what is done."""
        if state != "done":
            return None
        return next(tick(box) for box in boxes(text) if box.line == item.line)


def _headed(text: str) -> bool:
    return text.removeprefix("\ufeff").startswith(("---\n", "---\r\n"))


def _is_named(path: str) -> bool:
    return os.path.splitext(os.path.basename(path))[0].lower() in _NAMES


def _says_tasks(box: Box) -> bool:
    return any(head.title.strip(" :").lower() in _HEADINGS for head in box.under)


def _id(box: Box) -> str:
    chain = [head.title for head in box.under if head.level > 1]
    told = "/".join([*chain, box.text])
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…{_digest(told)}"


def _digest(text: str) -> str:
    import hashlib

    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


FORMAT = CheckList()
