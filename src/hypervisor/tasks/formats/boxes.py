"""The check boxes of a Markdown file, with what stands around each.

What is a box, GFM says (see `markdown`), or a tool by a pattern of its own.
"""

from __future__ import annotations

import re
from bisect import bisect
from functools import lru_cache
from itertools import accumulate

from hypervisor.tasks import markdown
from hypervisor.tasks.formats import Splice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hypervisor.tasks.structure import Heading, Structure

_STARTS = re.compile(r"[-*+#>]|\d{1,9}[.)]|```|~~~|<!--")
_DONE = ("x", "X")
# A mark that GFM does not know: its line is no box there, but whoever wrote it meant one.
_ODD = re.compile(
    r"^\ufeff?[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+\[([^\]\s xX])\][ \t]+(\S.*)$", re.MULTILINE
)
# What lacks a blank, and is no link.
_ALMOST = re.compile(
    r"^\ufeff?[ \t]*(?:[-*+]|\d{1,9}[.)])(?:\[[ xX]?\]|[ \t]+\[\]|[ \t]+\[[ xX]\](?=\w))"
    r"(?![(\[:])[ \t]*(\S)(.*)$",
    re.MULTILINE,
)
_TASK = re.compile(r"^(?:status|type: *task)\b", re.MULTILINE | re.IGNORECASE)
_NUMBER = re.compile(r"(?:^|\s|\ufeff)(\d{1,9})[.)]$")
LONGEST = 120
_NAME = r"[\w.@+-]*\.[A-Za-z]\w{0,7}"
_PATH = re.compile(rf"(?<![\w:/.@+-])(?:[\w.@+-]+/)+{_NAME}\b(?![/:])|`({_NAME})`")


class Page:
    """A text with its boxes at `places`: what is asked of few of them is looked up when it is
    asked."""

    def __init__(self, text: str, places: Sequence[int]) -> None:
        self.text = text
        self.places = places
        self._lines: list[str] = []
        self._starts: list[int] = []
        self._over: list[int] = []
        self._chains: list[tuple[Heading, ...]] = []

    def row(self, at: int) -> int:
        """Return the line, from 0, that a place is in."""
        if not self._starts:
            self._lines = self.text.split("\n")
            self._starts = [0, *accumulate(len(line) + 1 for line in self._lines)]
        return bisect(self._starts, at) - 1

    def line(self, row: int) -> str:
        """Return the line at a row, "" behind the last."""
        return self._lines[row] if row < len(self._lines) else ""

    def under(self, at: int) -> tuple[Heading, ...]:
        """Return the headings over a place, the outermost first."""
        if not self._chains:
            chain: tuple[Heading, ...] = ()
            self._chains.append(chain)
            for head in _scan(self.text).headings:
                chain = (*(one for one in chain if one.level < head.level), head)
                self._chains.append(chain)
                self._over.append(head.offset)
        return self._chains[bisect(self._over, at)]

    def entry(self, at: int) -> list[str]:
        """Return the lines of the entry whose mark is at a place, without those of boxes in it."""
        row, after = self.row(at), bisect(self.places, at)
        end = self.row(self.places[after]) if after < len(self.places) else len(self._lines)
        return _own(self._lines[row : max(end, row + 1)], _indent(self._lines[row]))


class Box:
    """A check box: what is between its brackets and where that stands in the text, and what follows
    it."""

    __slots__ = ("_page", "_whole", "at", "mark", "text")

    def __init__(self, page: Page, mark: str, at: int, text: str) -> None:
        self._page = page
        self._whole: str | None = None
        self.mark = mark
        self.at = at
        self.text = text

    @property
    def line(self) -> int:
        """Its line, from 1."""
        return self._page.row(self.at) + 1

    @property
    def done(self) -> bool:
        return self.mark.strip() in _DONE

    @property
    def indent(self) -> int:
        """How far its entry is indented."""
        return _indent(self._page.line(self._page.row(self.at)))

    @property
    def marker(self) -> str:
        """The number of its entry in a numbered list, "" for none."""
        before = self._page.text[max(0, self.at - 13) : self.at - 1].rstrip(" \t")
        found = _NUMBER.search(before) if before[-1:] in (".", ")") else None
        return found[1] if found else ""

    @property
    def under(self) -> tuple[Heading, ...]:
        return self._page.under(self.at)

    @property
    def lines(self) -> list[str]:
        """The lines of its entry, without those of boxes in it."""
        return [line.rstrip("\r") for line in self._page.entry(self.at)]

    @property
    def next_line(self) -> str:
        """The line after its own, whatever that is of."""
        return self._page.line(self._page.row(self.at) + 1)

    @property
    def whole(self) -> str:
        """What it says, with all the lines of its entry."""
        if self._whole is None:
            self._whole = "\n".join(self.lines).strip("\n").removeprefix("\ufeff")
        return self._whole


Hit = tuple[str, int, str]


# A file is asked what it is, what is in it, and what hangs together there.
@lru_cache(maxsize=2)
def boxes(text: str, *, odd: bool = False) -> Sequence[Box]:
    """Return the check boxes of `text` as GFM knows them, but for those in quotes; with `odd` those
    too that have another mark."""
    found = _scan(text)
    hits = [(text[at + 1], at + 1, told) for _, told, _, at in found.boxes]
    if odd and (more := outside(text, _ODD, found.hidden)):
        hits = sorted([*hits, *more], key=lambda hit: hit[1])
    return boxes_of(text, hits)


@lru_cache(maxsize=2)
def boxes_like(text: str, pattern: re.Pattern[str], *, in_code: bool) -> Sequence[Box]:
    """Return the check boxes of `text` by a tool's own rule.

    `pattern`, which is searched for, matches a line up to its end; its groups are what is between
    the brackets, and the text. With `in_code` those in code and comments count.
    """
    return boxes_of(text, outside(text, pattern, () if in_code else _scan(text).hidden))


def almost_boxes(text: str) -> list[int]:
    """Return the lines, from 1, that were meant as boxes, and are none to Markdown."""
    found = outside(text, _ALMOST, ()) and outside(text, _ALMOST, _scan(text).hidden)
    return [text.count("\n", 0, at) + 1 for _, at, _ in found]


def _scan(text: str) -> Structure:
    # A byte order mark is no part of the first line, but has a place.
    return markdown.scan(f" {text[1:]}" if text.startswith("\ufeff") else text)


def boxes_of(text: str, hits: Sequence[Hit]) -> list[Box]:
    """Return the check boxes that are at `hits`: what is between the brackets, where that stands,
    and the text."""
    page = Page(text, [at for _, at, _ in hits])
    return [Box(page, mark, at, title) for mark, at, title in hits]


def outside(
    text: str, pattern: re.Pattern[str], hidden: Sequence[tuple[int, int]]
) -> list[Hit]:  # fmt: skip
    """Return where `pattern` finds boxes, see `boxes_like`, but for those in the spans `hidden`."""
    found = [(hit[1], hit.start(1), hit[2].strip()) for hit in pattern.finditer(text)]
    if not hidden:
        return found
    starts = [start for start, _ in hidden]
    places = (bisect(starts, at) - 1 for _, at, _ in found)
    return [
        hit for hit, place in zip(found, places, strict=True)
        if place < 0 or hit[1] >= hidden[place][1]
    ]  # fmt: skip


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


def is_headed(text: str, *, task: bool) -> bool:
    """True for a text with front matter; with `task`, with one that has a status or the type of a
    task."""
    text = text.removeprefix("\ufeff")
    if not text.startswith(("---\n", "---\r\n")):
        return False
    return not task or _TASK.search(text[: text.find("\n---", 3) + 1]) is not None


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


def shortened(text: str) -> str:
    """Return `text` as an id: what is too long for one keeps its head and ends in a hash."""
    if len(text) <= LONGEST:
        return text
    import hashlib

    return f"{text[:LONGEST]}…{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"


def unique(ids: Iterable[str]) -> list[str]:
    """Return `ids` with an ordinal behind each that stood before: `a`, `a (2)`."""
    seen: dict[str, int] = {}
    told = []
    for one in ids:
        seen[one] = seen.get(one, 0) + 1
        told.append(one if seen[one] == 1 else f"{one} ({seen[one]})")
    return told
