"""The check boxes of a Markdown file, with what stands around each.

What is a box, GFM says (see `markdown`), or a tool by a pattern of its own.
"""

from __future__ import annotations

import re
from bisect import bisect

from hypervisor.tasks import markdown
from hypervisor.tasks.formats import Splice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hypervisor.tasks.structure import Heading

_STARTS = re.compile(r"[-*+#>]|\d{1,9}[.)]|```|~~~|<!--")
_DONE = ("x", "X")
# A mark that GFM does not know: its line is no box there, but whoever wrote it meant one.
_ODD = re.compile(
    r"^\ufeff?[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+\[([^\]\s xX])\][ \t]+(\S.*)$", re.MULTILINE
)
_NAME = r"[\w.@+-]*\.[A-Za-z]\w{0,7}"
_PATH = re.compile(rf"(?<![\w:/.@+-])(?:[\w.@+-]+/)+{_NAME}\b(?![/:])|`({_NAME})`")


class Page:
    """A text with its boxes: what is asked of few of them is looked up when it is asked."""

    def __init__(self, text: str, headings: Sequence[Heading]) -> None:
        self.text = text
        self.lines = text.split("\n")
        self.rows: list[int] = []
        self._headings = headings
        self._over = [head.line - 1 for head in headings]
        self._chains: list[tuple[Heading, ...]] = []
        self._ends: list[int] = []

    def under(self, row: int) -> tuple[Heading, ...]:
        """Return the headings over a row, from 0, the outermost first."""
        if not self._chains:
            chain: tuple[Heading, ...] = ()
            self._chains.append(chain)
            for head in self._headings:
                chain = (*(one for one in chain if one.level < head.level), head)
                self._chains.append(chain)
        return self._chains[bisect(self._over, row)]

    def entry(self, row: int) -> list[str]:
        """Return the lines of the entry that starts at a row, without those of boxes in it."""
        if not self._ends:
            self._ends = sorted({*self.rows, *self._over, len(self.lines)})
        end = self._ends[bisect(self._ends, row)]
        return _own(self.lines[row:end], _indent(self.lines[row]))


class Box:
    """A check box: what is between its brackets and where that stands in the text, what follows it,
    and its line, from 1."""

    __slots__ = ("_page", "at", "line", "mark", "text")

    def __init__(self, page: Page, mark: str, at: int, text: str, line: int) -> None:
        self._page = page
        self.mark = mark
        self.at = at
        self.text = text
        self.line = line

    @property
    def done(self) -> bool:
        """True if it is ticked."""
        return self.mark.strip() in _DONE

    @property
    def indent(self) -> int:
        """How far its entry is indented."""
        return _indent(self._page.lines[self.line - 1])

    @property
    def under(self) -> tuple[Heading, ...]:
        """The headings that it is under."""
        return self._page.under(self.line - 1)

    @property
    def lines(self) -> list[str]:
        """The lines of its entry, without those of boxes in it."""
        return [line.rstrip("\r") for line in self._page.entry(self.line - 1)]

    @property
    def whole(self) -> str:
        """What it says, with all the lines of its entry."""
        return "\n".join(self.lines).strip("\n").removeprefix("\ufeff")


Hit = tuple[str, int, str]


def boxes(text: str, *, odd: bool = False) -> list[Box]:
    """Return the check boxes of `text` as GFM knows them, but for those in quotes; with `odd` those
    too that have another mark."""
    found = markdown.scan(text)
    hits = [(text[one.offset + 1], one.offset + 1, one.text) for one in found.boxes]
    if odd and (more := _outside(text, _ODD, found.hidden)):
        hits = sorted([*hits, *more], key=lambda hit: hit[1])
    return _boxes(text, hits, found.headings)


def boxes_like(text: str, pattern: re.Pattern[str], *, in_code: bool) -> list[Box]:
    """Return the check boxes of `text` by a tool's own rule.

    `pattern`, which is searched for, matches a line up to its end; its groups are what is between
    the brackets, and the text. With `in_code` those in code and comments count.
    """
    found = markdown.scan(text)
    return _boxes(text, _outside(text, pattern, () if in_code else found.hidden), found.headings)


def boxes_of(text: str, hits: Sequence[Hit]) -> list[Box]:
    """Return the check boxes that are at `hits`: what is between the brackets, where that stands,
    and the text."""
    return _boxes(text, hits, markdown.scan(text).headings)


def _outside(
    text: str, pattern: re.Pattern[str], hidden: Sequence[tuple[int, int]]
) -> list[Hit]:  # fmt: skip
    starts = [start for start, _ in hidden]
    found = []
    for hit in pattern.finditer(text):
        at = hit.start(1)
        place = bisect(starts, at) - 1
        if place < 0 or at >= hidden[place][1]:
            found.append((hit[1], at, hit[2].strip()))
    return found


def _boxes(text: str, hits: Sequence[Hit], headings: Sequence[Heading]) -> list[Box]:
    # The scan takes a lone return for the end of a line; lines are counted as others count them.
    if "\r" in text.replace("\r\n", ""):
        headings = [head._replace(line=text.count("\n", 0, head.offset) + 1) for head in headings]
    page = Page(text, headings)
    found = []
    line, before = 1, 0
    for mark, at, title in hits:
        line += text.count("\n", before, at)
        before = at
        page.rows.append(line - 1)
        found.append(Box(page, mark, at, title, line))
    return found


def _indent(line: str) -> int:
    line = line.expandtabs(4)
    return len(line) - len(line.lstrip(" "))


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


def tick(text: str, at: int, mark: str = "x") -> list[Splice]:
    """Return the edit that puts `mark` into the box whose mark stands at `at`; none if a tick is
    there."""
    end = text.index("]", at)
    return [] if text[at:end].strip() in _DONE else [Splice(at, end, mark)]


def paths(text: str) -> tuple[str, ...]:
    """Return the files that a text names: what has an ending, and a slash or the quotes of code."""
    if "." not in text:
        return ()
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
