"""What a scan of a Markdown body finds, and the book it keeps while it reads."""

from __future__ import annotations

import re

from hypervisor.system.records import NamedTuple
from hypervisor.tasks import blocks


class Heading(NamedTuple):
    """A heading of the document itself, not of a list entry or a quote.

    `line` counts from 1 in the body; `offset` and `end` are the body's characters from the start
    of its first line to the start of the line after it.
    """

    level: int
    title: str
    line: int
    offset: int
    end: int


class Box(NamedTuple):
    """A list entry that starts with `[ ]` or `[x]`; `offset` is that of the bracket."""

    checked: bool
    text: str
    line: int
    offset: int


class Comment(NamedTuple):
    """An HTML comment that stands as a block of its own: its first to after its last line."""

    offset: int
    end: int


class Structure(NamedTuple):
    """All of a body's structure.

    `hidden` are the spans of whole lines that are code, comments or quotes; `unclosed` is where a
    fence or an HTML block opens that runs to the end of the body, else None.
    """

    headings: tuple[Heading, ...]
    boxes: tuple[Box, ...]
    comments: tuple[Comment, ...]
    hidden: tuple[tuple[int, int], ...]
    unclosed: int | None


class Container:
    """An open quote (`need` < 0), or a list entry whose content is indented by `need`."""

    __slots__ = ("empty", "need")

    def __init__(self, need: int, empty: bool = False) -> None:
        self.need = need
        self.empty = empty


class State:
    """Where a scan stands: open containers, the open leaf, and what was found so far."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.stack: list[Container] = []
        # The open leaf: "" none, "p" paragraph, "f" fence, "h" HTML, "c" indented code.
        self.leaf = ""
        self.leaf_start = 0
        self.fence = ""
        self.html_end = blocks.COMMENT_END
        self.is_comment = False
        self.box_of_leaf = False
        self.headings: list[Heading] = []
        self.boxes: list[Box] = []
        self.comments: list[Comment] = []
        self.hidden: list[tuple[int, int]] = []
        self.counted_to = 0
        self.line = 1

    def _hide(self, start: int, end: int) -> None:
        if self.hidden and self.hidden[-1][1] == start:
            self.hidden[-1] = (self.hidden[-1][0], end)
        else:
            self.hidden.append((start, end))

    def _count_to(self, at: int) -> int:
        self.line += self.text.count("\n", self.counted_to, at)
        self.counted_to = at
        return self.line

    def _add_heading(self, level: int, title: str, start: int, after: int) -> None:
        self.headings.append(Heading(level, title, self._line_of(start), start, after))

    def _add_box(self, mark: str, text: str, start: int) -> None:
        self.box_of_leaf = True
        self.boxes.append(Box(mark != " ", text.rstrip(" \t"), self._line_of(start), start))

    def _line_of(self, at: int) -> int:
        # A setext heading starts before lines that were counted already.
        if at < self.counted_to:
            return self.line - self.text.count("\n", at, self.counted_to)
        return self._count_to(at)


_CLOSING_MARKS = re.compile(r"(?:^|[ \t]+)#+$")


def ending_removed(title: str) -> str:
    """Return the text of an ATX heading without blanks and the marks that may close it."""
    return _CLOSING_MARKS.sub("", title.strip(" \t\n")).rstrip(" \t")
