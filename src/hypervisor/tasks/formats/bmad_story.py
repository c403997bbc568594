"""BMAD, of version 4: a story a file, `docs/stories/1.2.slug.md`, its state below `## Status`.

Other statuses in there are those of gates. Its sections belong to different roles, so that nothing
but the state is written.
"""

from __future__ import annotations

import os

from hypervisor.system.late import late
from hypervisor.tasks.body_status import section, word_in
from hypervisor.tasks.formats import Format, Splice
from hypervisor.tasks.item import Item
from hypervisor.tasks.task_files import text_of

_NAME = late(r"(\d+\.\d+)\.[^/]*\.md")
_TITLE = late(r"(?m)^# +(?:Story +[\d.]+ *[:-] *)?(.+?)[ \t#]*\r?$")
_RULES = ("coding-standards.md", "tech-stack.md", "source-tree.md")
_STATES = {
    "draft": "draft",
    "approved": "ready",
    "inprogress": "in_progress",
    "review": "in_progress",
    "readyforreview": "in_progress",
    "done": "done",
}


class Story(Format):
    """One item a file, by the number in its name."""

    name = "bmad-story"
    about = "stories of BMAD 4: docs/stories/1.2.slug.md with ## Status"
    pattern = r"\d+\.\d+\..+\.md"

    def recognises(self, path: str, text: str) -> bool:
        """By the name, and a state below the heading."""
        named = _NAME.fullmatch(os.path.basename(path))
        return named is not None and not text.startswith("---") and section(text) is not None

    def items(self, path: str, text: str) -> list[Item]:
        number, status, title = _NAME.fullmatch(os.path.basename(path)), section(text), ""
        if status is None:
            return []
        if head := _TITLE.search(text):
            title = head[1]
        word = word_in(status[1]) or status[1]
        state = _STATES.get(word.lower().replace(" ", "").replace("-", ""), "unknown")
        line = text.count("\n", 0, status.start(1)) + 1
        own = number[1] if number else os.path.basename(path)
        return [Item(own, title or own, state, word, text, line)]

    def mark(self, text: str, item: Item, state: str) -> list[Splice] | None:
        """Write the format's word in the place of the one that stands."""
        status = section(text)
        if state != "done" or status is None:
            return None
        start = text.index(item.word, status.start(1))
        return [] if item.state == "done" else [Splice(start, start + len(item.word), "Done")]

    def context(self, path: str, root: str) -> list[str]:
        """The rules for code that BMAD has its developers read."""
        folder = os.path.join(root, "docs/architecture")
        named = [os.path.join(folder, name) for name in _RULES]
        return [file for file in named if text_of(file)]


FORMAT = Story()
