"""The check boxes of a Markdown file, with what stands around each.

What is a box, GFM says (see `markdown`), or a tool by a pattern of its own.
"""

from __future__ import annotations

import re
from bisect import bisect

from hypervisor.system.records import NamedTuple
from hypervisor.tasks import markdown
from hypervisor.tasks.formats import Splice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.tasks.structure import Heading

_STARTS = re.compile(r"[-*+#>]|\d{1,9}[.)]|```|~~~|<!--")
_DONE = ("x", "X")
_NAME = r"[\w.@+-]*\.[A-Za-z]\w{0,7}"
_PATH = re.compile(rf"(?<![\w:/.@+-])(?:[\w.@+-]+/)+{_NAME}\b(?![/:])|`({_NAME})`")


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
        return "\n".join(line.rstrip("\r") for line in self.lines).strip("\n")


def boxes(text: str) -> list[Box]:
    """Return the check boxes of `text` as GFM knows them, but for those in quotes."""
    found = markdown.scan(text)
    hits = [(text[one.offset + 1], one.offset + 1, one.text) for one in found.boxes]
    return _boxes(text, hits, found.headings)


def boxes_like(text: str, pattern: re.Pattern[str], *, in_code: bool) -> list[Box]:
    """Return the check boxes of `text` by a tool's own rule.

    `pattern`, which is searched for, matches a line up to its end; its groups are what is between
    the brackets, and the text. With `in_code` those in code and comments count.
    """
    found = markdown.scan(text)
    starts = [start for start, _ in found.hidden]
    hits = []
    for hit in pattern.finditer(text):
        at = hit.start(1)
        place = bisect(starts, at) - 1
        if in_code or place < 0 or at >= found.hidden[place][1]:
            hits.append((hit[1], at, hit[2].strip()))
    return _boxes(text, hits, found.headings)


def _boxes(text: str, hits: list[tuple[str, int, str]], headings: Iterable[Heading]) -> list[Box]:
    heads = list(headings)
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    rows = [bisect(starts, at) - 1 for _, at, _ in hits]
    ends = sorted({*rows, *(head.line - 1 for head in heads), len(lines)})
    found = []
    under: tuple[Heading, ...] = ()
    for (mark, at, title), row in zip(hits, rows, strict=True):
        while heads and heads[0].line - 1 < row:
            head = heads.pop(0)
            under = (*(one for one in under if one.level < head.level), head)
        line = lines[row].expandtabs(4)
        indent = len(line) - len(line.lstrip(" "))
        own = _own(lines[row : ends[bisect(ends, row)]], indent)
        found.append(Box(mark, at, title, row + 1, indent, under, own))
    return found


def _own(lines: list[str], indent: int) -> list[str]:
    """Return those of `lines` that are of the entry in the first, which is indented by `indent`."""
    blank = False
    for place, raw in enumerate(lines[1:], 1):
        line = raw.expandtabs(4)
        body = line.lstrip(" ")
        if body.strip() and len(line) - len(body) <= indent and (blank or _STARTS.match(body)):
            return lines[:place]
        blank = not body.strip()
    return lines


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
