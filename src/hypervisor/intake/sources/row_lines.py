"""The lines of a file of rows as text, and the rows that are made of them."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from hypervisor.system.reading import MIB
from hypervisor.tasks.walk import SourceError

# A row goes to a worker as it is, so one that nobody could read is a mistake. Millions of rows are
# none, yet a file that somebody writes to all the time has to end somewhere.
LONGEST_LINE = MIB
_MOST_LINES = 5_000_000
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class Row(NamedTuple):
    """The `cells` of a row that starts at a line; None for one that can't be read."""

    line: int
    cells: dict[str, object] | None
    trouble: str = ""
    fix: str = ""


class BadLine(Exception):
    """A line that is none of a table; the lines after it still are."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


class Lines:
    """The lines of a file as text, each within bounds; iterating goes on after a BadLine."""

    def __init__(self, source: BinaryIO, size: int, name: str) -> None:
        self.number = 0
        self.size = size
        self._source = source
        self._left = size
        self._name = name

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        # What is written to the file from now on is not read: it may never end.
        raw = self._source.readline(LONGEST_LINE + 1)
        if len(raw) > self._left:
            raw = raw[: self._left]
        if not raw:
            raise StopIteration
        self._left -= len(raw)
        self.number += 1
        if self.number > _MOST_LINES:
            raise SourceError(f"{self._name}: more than {_MOST_LINES:,} lines", "divide it")
        if len(raw) > LONGEST_LINE:
            while self._left > 0 and not raw.endswith(b"\n"):
                raw = self._source.readline(min(LONGEST_LINE, self._left))
                self._left -= len(raw)
                if not raw:
                    break
            raise BadLine("the line is longer than 1 MiB", "shorten or remove it")
        if self.number == 1 and raw[:2] in _UTF_16:
            raise NotText(1)
        if b"\0" in raw:
            raise BadLine("the line holds a NUL byte", "remove it")
        try:
            return raw.decode("utf-8-sig") if self.number == 1 else raw.decode()
        except UnicodeDecodeError:
            raise NotText(self.number) from None


class NotText(Exception):
    """A line that is not UTF-8, and its number."""

    def __init__(self, number: int) -> None:
        super().__init__("not UTF-8")
        self.number = number
