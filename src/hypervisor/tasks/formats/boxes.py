"""The check boxes of a Markdown file, line by line: what is an item of a list, by GFM's rules.

One pass over the lines, since a list of ten thousand boxes is read again for each that is ticked;
the tests compare it with markdown-it.
"""

from __future__ import annotations

import re

from hypervisor.system.records import NamedTuple
from hypervisor.tasks.formats import Splice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

GFM = re.compile(r"(?:[-*+]|\d{1,9}[.)])[ \t]+\[([ \txX])\][ \t]+(\S.*)")
_ENTRY = re.compile(r"([-*+]|\d{1,9}[.)])([ \t]+|$)")
_HEADING = re.compile(r"(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_FENCE = re.compile(r"(`{3,})[^`]*$|(~{3,})")
_RULE = re.compile(r"(?:\*[ \t]*){3,}$|(?:-[ \t]*){3,}$|(?:_[ \t]*){3,}$")
_DONE = ("x", "X")
_NAME = r"[\w.@+-]*\.[A-Za-z]\w{0,7}"
_PATH = re.compile(rf"(?<![\w:/.@+-])(?:[\w.@+-]+/)+{_NAME}\b(?![/:])|`({_NAME})`")


class Heading(NamedTuple):
    """A heading: its level, its text, and its line, from 1."""

    level: int
    title: str
    line: int


class Box(NamedTuple):
    """A check box: what is between its brackets and where that stands in the text, what follows it,
    its line, from 1, how far its entry is indented, the headings that it is under, and the lines
    of its entry, without those of boxes in it."""

    mark: str
    at: int
    text: str
    line: int
    indent: int
    under: tuple[Heading, ...]
    lines: list[str]

    @property
    def done(self) -> bool:
        """True if it is ticked."""
        return self.mark.strip() in _DONE

    @property
    def whole(self) -> str:
        """What it says, with all the lines of its entry."""
        return "\n".join(self.lines).strip("\n")


def boxes(text: str, pattern: re.Pattern[str] = GFM, *, everywhere: bool = False) -> Iterator[Box]:
    """Yield the check boxes of `text`.

    `pattern` matches a list entry with a box, from its marker on; its groups are what is between
    the brackets, and the text. With `everywhere` those in fences and comments count, however far
    they are indented.
    """
    under: tuple[Heading, ...] = ()
    # Where the content of the open list entries starts.
    open_at: list[int] = []
    fence = ""
    comment = paragraph = False
    at = int(text.startswith("\ufeff"))
    last: Box | None = None
    for number, raw in enumerate(text[at:].split("\n"), 1):
        start, at = at, at + len(raw) + 1
        line = raw.removesuffix("\r")
        body = line.lstrip(" \t")
        if not body:
            if last is not None:
                last.lines.append("")
            paragraph = False
            continue
        lead = line[: len(line) - len(body)]
        indent = len(lead.expandtabs(4)) if "\t" in lead else len(lead)
        hidden = fence != "" or comment
        if fence:
            if body.startswith(fence) and not body.strip(fence[0] + " \t"):
                fence = ""
        elif comment:
            comment = "-->" not in body
        else:
            while open_at and indent < open_at[-1] and not (paragraph and not _starts(body)):
                open_at.pop()
            beyond = indent - (open_at[-1] if open_at else 0)
            if beyond < 4 and (found := _FENCE.match(body)):
                fence, hidden = found[1] or found[2], True
            elif beyond < 4 and body.startswith("<!--"):
                comment, hidden = "-->" not in body, True
            elif beyond >= 4 and not everywhere:
                hidden = True
            elif not open_at and body[0] == "#" and (head := _HEADING.match(body)):
                level = len(head[1])
                heading = Heading(level, (head[2] or "").strip(), number)
                under = (*(one for one in under if one.level < level), heading)
                last, paragraph = None, False
                continue
        found = pattern.match(body) if everywhere or not hidden else None
        entry = None if hidden or _RULE.match(body) else _ENTRY.match(body)
        if entry is not None:
            blanks = len(entry[2])
            open_at.append(indent + len(entry[1]) + (blanks if 0 < blanks < 5 else 1))
        paragraph = not hidden
        if found is not None:
            place = start + len(lead) + found.start(1)
            last = Box(found[1], place, found[2].strip(), number, indent, under, [line])
            yield last
        elif last is not None and open_at and (entry is None or indent > last.indent):
            last.lines.append(line)
        else:
            last = None


def _starts(body: str) -> bool:
    return bool(_ENTRY.match(body)) or body.startswith(("#", "```", "~~~", "<!--", ">"))


def tick(box: Box, mark: str = "x") -> list[Splice]:
    """Return the edit that puts `mark` into a box; none if a tick is there."""
    return [] if box.done else [Splice(box.at, box.at + len(box.mark), mark)]


def paths(text: str) -> tuple[str, ...]:
    """Return the files that a text names: what has an ending, and a slash or the quotes of code."""
    found = ((match[1] or match[0]).removeprefix("./") for match in _PATH.finditer(text))
    return tuple(dict.fromkeys(one for one in found if not one.startswith("../")))


def unique(ids: Iterable[str]) -> list[str]:
    """Return `ids` with an ordinal behind each that stood before: `a`, `a (2)`."""
    seen: dict[str, int] = {}
    told = []
    for one in ids:
        seen[one] = seen.get(one, 0) + 1
        told.append(one if seen[one] == 1 else f"{one} ({seen[one]})")
    return told
