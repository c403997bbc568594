"""Rows of CSV, TSV and JSONL sources as items with stable ids."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from json.encoder import encode_basestring_ascii as quoted
from typing import BinaryIO, NamedTuple

from hypervisor.config.settings import Settings
from hypervisor.system import strict_json
from hypervisor.system.reading import MIB, NotReadable, open_file, read_file
from hypervisor.system.text import count, one_line
from hypervisor.tasks import formats
from hypervisor.tasks.formats.json_spans import skip_blanks
from hypervisor.tasks.formats.rows import Rows as RowFormat
from hypervisor.tasks.formats.rows import cell as cell_of
from hypervisor.tasks.walk import Found, Problem, SourceError

_TABLES = (".csv", ".tsv")
_LINES = (".jsonl", ".ndjson")
_ARRAY = ".json"
_LARGEST_ARRAY = 64 * MIB
# A row goes to a worker as it is, so one that nobody could read is a mistake. Millions of rows are
# none, yet a file that somebody writes to all the time has to end somewhere.
_LARGEST = 1024 * MIB
_LONGEST_LINE = MIB
_MOST_LINES = 5_000_000
_MOST_COLUMNS = 1000
_MOST_BROKEN = 10_000
# Each row carries the names of all columns, also of those that it leaves out: a short line under a
# long header is a large row. All together may be so many times the file, and this much anyway.
_MOST_TIMES, _MOST_ANYWAY = 32, 64 * MIB
_CELL = 8
_as_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_LONGEST_ID = 500
_QUOTED = re.compile(r'"[^"]*"')


class _Row(NamedTuple):
    line: int
    cells: dict[str, object] | None
    trouble: str = ""
    fix: str = ""


def holds_rows(name: str) -> bool:
    """Return whether a file of this name is read row by row."""
    return name.lower().endswith(_TABLES + _LINES)


class Rows:
    """Makes rows into items.

    With an id column a row's id is its cell there; without, it is the one by which the tool that
    the rows are from knows it, else a hash of the row, and for rows that equal an earlier one the
    hash and their ordinal. So an id outlives rows added above it.
    """

    def __init__(self, id_column: str | None, settings: Settings, kind: RowFormat | None) -> None:
        """`kind` is the format of all of them; None tells it by their columns."""
        self._id_column = id_column
        self._status_class = settings.status_class
        self._ignored = settings.ignore_keys
        self._kind = kind
        self._kinds: dict[str, RowFormat] = {}
        self._equal: dict[str, int] = {}
        self._broken: Counter[str] = Counter()

    def of_file(self, path: str, origin: str) -> Iterator[Found]:
        """Yield the rows of the file at `path`; a row that can't be read is one broken entry.

        Raises SourceError for a file that is not a table at all, or too large.
        """
        try:
            descriptor, status = open_file(path)
            with open(descriptor, "rb") as source:
                if status.st_size > _LARGEST:
                    raise SourceError(f"{origin}: larger than 1024 MiB", "divide it")
                _refuse_conflict(source, path)
                lines = _Lines(source, status.st_size, path)
                name = path.lower()
                if name.endswith(_TABLES):
                    read = _table(lines, path, self._id_column)
                elif name.endswith(_ARRAY):
                    read = _json_array(source.read().decode("utf-8-sig"), origin)
                else:
                    read = _json_lines(lines)
                for number, row in enumerate(read, 1):
                    yield self._found(row, path, origin, number)
        except OSError as error:
            raise SourceError(f"{origin}: can't be read: {error.strerror}") from None
        except NotReadable as error:
            raise SourceError(f"{origin}: {error.what}", error.fix) from None

    def of_lines(self, data: bytes, origin: str) -> Iterator[Found]:
        """Yield the rows of JSON lines that come from a pipe."""
        for row in _json_lines(_Lines(io.BytesIO(data), len(data), origin)):
            yield self._found(row, None, origin)

    def _found(self, row: _Row, path: str | None, origin: str, number: int = 0) -> Found:
        def odd(*problem: str) -> Found:
            return Found(
                path, origin=origin, line=row.line, problem=Problem(*problem), number=number
            )

        if row.cells is None:
            self._broken[origin] += 1
            if self._broken[origin] > _MOST_BROKEN:
                what = f"{origin}: more than {_MOST_BROKEN:,} rows can't be read"
                raise SourceError(what, "fix the first ones; it may not be a file of rows")
            return odd("broken", "row", row.trouble, row.fix)
        kind = self._kinds.get(origin)
        if kind is None:
            kind = self._kinds[origin] = self._kind or formats.of_row(row.cells)
        cells = row.cells
        if self._ignored:
            cells = {key: cells[key] for key in cells if key not in self._ignored}
        item = kind.item(cells, self._status_class)
        if item is None:
            return odd("skipped", "not_a_task", f"no item of {kind.name}")
        if self._id_column is None:
            row_id = item.id or self._hash(row.cells)
        else:
            cell = cell_of(row.cells, self._id_column)
            row_id = "" if cell is None or isinstance(cell, dict | list | bool) else str(cell)
            row_id = row_id.strip()
            if not row_id:
                reason = f"no id in '{one_line(self._id_column, 60)}'"
                return odd("broken", "row", reason, "give the row an id there")
            if len(row_id) > _LONGEST_ID:
                reason = f"its id is longer than {_LONGEST_ID} characters"
                return odd("broken", "row", reason, "give the row a shorter one")
        return Found(
            path, row.cells, row_id, origin, row.line, None, item, kind.name, kind.is_work, number
        )

    def _hash(self, cells: dict[str, object]) -> str:
        digest = hashlib.blake2b(_canonical(cells).encode(), digest_size=8).hexdigest()
        row_id = f"row-{digest}"
        ordinal = self._equal[row_id] = self._equal.get(row_id, 0) + 1
        return row_id if ordinal == 1 else f"{row_id}-{ordinal}"


def _refuse_conflict(source: BinaryIO, path: str) -> None:
    """Raise SourceError for a file in which a merge has left its marks: it says two things."""
    ours = 0
    for line, raw in enumerate(iter(lambda: source.readline(_LONGEST_LINE), b""), 1):
        if raw.startswith(b"<<<<<<< "):
            ours = line
        elif ours and raw.startswith(b">>>>>>> "):
            what = f"{path}:{ours}: a merge conflict begins here"
            raise SourceError(what, "resolve it and commit")
    source.seek(0)


def _canonical(cells: dict[str, object]) -> str:
    """Return a row as JSON, in the order of its keys."""
    told = []
    for key in sorted(cells):
        value = cells[key]
        # Most values are texts or numbers, and the encoder takes its time to begin.
        if isinstance(value, str):
            written = quoted(value)
        else:
            written = str(value) if value.__class__ is int else _as_json(value)
        told.append(f"{quoted(key)}:{written}")
    return f"{{{','.join(told)}}}"


class _BadLine(Exception):
    """A line that is none of a table; the lines after it still are."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


class _Lines:
    """The lines of a file as text, each within bounds; iterating goes on after a _BadLine."""

    def __init__(self, source: BinaryIO, size: int, name: str) -> None:
        self.number = 0
        self.size = size
        self._source = source
        self._left = size
        self._name = name

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        # What is written to the file from now on is not read: it may never end.
        raw = self._source.readline(_LONGEST_LINE + 1)
        if len(raw) > self._left:
            raw = raw[: self._left]
        if not raw:
            raise StopIteration
        self._left -= len(raw)
        self.number += 1
        if self.number > _MOST_LINES:
            raise SourceError(f"{self._name}: more than {_MOST_LINES:,} lines", "divide it")
        if len(raw) > _LONGEST_LINE:
            while self._left > 0 and not raw.endswith(b"\n"):
                raw = self._source.readline(min(_LONGEST_LINE, self._left))
                self._left -= len(raw)
                if not raw:
                    break
            raise _BadLine("the line is longer than 1 MiB", "shorten or remove it")
        if b"\0" in raw:
            raise _BadLine("the line holds a NUL byte", "remove it")
        try:
            return raw.decode("utf-8-sig") if self.number == 1 else raw.decode()
        except UnicodeDecodeError:
            raise _NotText(self.number) from None


class _NotText(Exception):
    """A line that is not UTF-8, and its number."""

    def __init__(self, number: int) -> None:
        super().__init__("not UTF-8")
        self.number = number


def _table(lines: _Lines, path: str, id_column: str | None) -> Iterator[_Row]:
    csv.field_size_limit(_LONGEST_LINE)
    try:
        yield from _rows(lines, path, id_column)
    except _NotText as error:
        where = f"{path}:{error.number}: not UTF-8"
        raise SourceError(where, "convert the file to UTF-8") from None


def _rows(lines: _Lines, path: str, id_column: str | None) -> Iterator[_Row]:
    try:
        first = next(lines, "")
        told = ""
        while first and (not first.strip() or first.lower().startswith("sep=")):
            # Excel names the delimiter in a line of its own.
            told, first = first.strip()[4:5] or told, next(lines, "")
        delimiter = "\t" if path.lower().endswith(".tsv") else told or _delimiter(first)
        spaced = f"{delimiter} " in first
        reader = csv.reader(
            _Again(first, lines), delimiter=delimiter, strict=True, skipinitialspace=spaced
        )
        header = [name.strip() for name in next(reader, [])]
    except (csv.Error, _BadLine) as error:
        raise SourceError(f"{path}:1: not a table: {error}", "fix its first line") from None
    doubled = [name for name, count in Counter(header).items() if count > 1]
    # Jira has a column for each value of many.
    several = set(doubled) if {"issue key", "summary"} <= {*map(str.casefold, header)} else set()
    if (doubled and not several) or not any(header):
        what = f"two columns are called '{one_line(doubled[0], 60)}'" if doubled else "no columns"
        raise SourceError(f"{path}:1: {what}", "name each column once in the first line")
    if len(header) > _MOST_COLUMNS:
        raise SourceError(f"{path}:1: more than {_MOST_COLUMNS} columns", "divide the table")
    if id_column is not None and id_column not in header:
        same = [name for name in header if name.casefold() == id_column.casefold()]
        id_column = same[0] if len(same) == 1 else id_column
    if id_column is not None and id_column not in header:
        names = ", ".join(one_line(name, 40) for name in header[:20])
        raise SourceError(
            f"{path}: no column '{one_line(id_column, 60)}'", f"its columns are: {names}"
        )
    weight = sum(map(len, header)) + _CELL * len(header)
    left = _MOST_ANYWAY + _MOST_TIMES * lines.size
    while True:
        line = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _Row(line, None, f"not a row: {error}", "fix the quotes of the row")
            continue
        except _BadLine as error:
            yield _Row(lines.number, None, str(error), error.fix)
            continue
        if len(cells) > len(header):
            trouble = f"{len(cells)} cells under {count(len(header), 'column')}"
            yield _Row(line, None, trouble, "quote the cell that holds the delimiter")
        elif sum(map(len, cells)) > _LONGEST_LINE:
            yield _Row(line, None, "the row is longer than 1 MiB", "shorten or remove it")
        elif cells:
            left -= weight
            if left < 0:
                raise SourceError(
                    f"{path}:{line}: each row carries the names of all {len(header)} columns, and "
                    "they are too long for that",
                    "shorten them, or leave out columns that most rows don't have",
                )
            cells += [""] * (len(header) - len(cells))
            row: dict[str, object] = dict(zip(header, cells, strict=True))
            for name in several:
                row[name] = [cell for one, cell in zip(header, cells, strict=True) if one == name]
            yield _Row(line, row)


def _delimiter(first: str) -> str:
    """Return what is most often between the names in a header."""
    plain = _QUOTED.sub("", first)
    return max(",;\t|", key=plain.count)


class _Again:
    """The first line once more, then the rest. No generator: it goes on after an error."""

    def __init__(self, first: str, rest: _Lines) -> None:
        self._first: str | None = first
        self._rest = rest

    def __iter__(self) -> _Again:
        return self

    def __next__(self) -> str:
        first, self._first = self._first, None
        return next(self._rest) if first is None else first


def holds_json_rows(path: str) -> bool:
    """Return whether the file at `path` is JSON, and one array of objects is all there is in it,
    but for what says something about that; also where the array is broken."""
    if not path.lower().endswith(_ARRAY):
        return False
    try:
        data, _ = read_file(path, _LARGEST_ARRAY)
        start = _array_in(data.decode("utf-8-sig"))
    except (OSError, NotReadable, ValueError, RecursionError):
        return False
    return start is not None


_DECODER = json.JSONDecoder()


def _array_in(text: str) -> int | None:
    """Return where the array of objects, or of texts, starts that is the JSON `text`, or the only
    one of objects in the object that it is; None where there is none.

    Raises ValueError for what is no JSON."""
    at = skip_blanks(text, 0)
    if text[at : at + 1] == "[":
        # One without any is what a tool prints where there is nothing.
        return at if text[skip_blanks(text, at + 1) :][:1] in ("{", '"', "]") else None
    if text[at : at + 1] != "{":
        return None
    return _in_object(text, at)


def _in_object(text: str, at: int, deepest: int = 5) -> int | None:
    """Do as `_array_in` for the object at a place: where it has no array, one in its objects is
    meant, as in `{"data": {"issues": […]}}`, up to so many levels down."""
    found: list[int] = []
    inside: list[int] = []
    at = skip_blanks(text, at + 1)
    while text[at : at + 1] == '"':
        _, at = _DECODER.raw_decode(text, at)
        at = skip_blanks(text, skip_blanks(text, at) + 1)
        try:
            value, end = _DECODER.raw_decode(text, at)
        except ValueError:
            if text[at : at + 1] == "[" and text[skip_blanks(text, at + 1) :][:1] == "{":
                found.append(at)
            if not found:
                raise
            break
        if isinstance(value, list) and any(isinstance(one, dict) for one in value):
            found.append(at)
        elif isinstance(value, dict) and deepest:
            nested = _in_object(text, at, deepest - 1)
            inside += [] if nested is None else [nested]
        at = skip_blanks(text, end)
        at = skip_blanks(text, at + 1) if text[at : at + 1] == "," else at
    return (found or inside)[0] if len(found or inside) == 1 else None


def _json_array(text: str, origin: str) -> Iterator[_Row]:
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        what = f"{origin}:{line}: not JSON: {one_line(error, 120)}"
        raise SourceError(what, "fix it") from None
    start = _array_in(text)
    assert start is not None, "`holds_json_rows` has seen it"
    at, line, counted = skip_blanks(text, start + 1), 1, 0
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        end = _DECODER.raw_decode(text, at)[1]
        yield _json_row(line, text[at:end])
        at = skip_blanks(text, end)
        at = skip_blanks(text, at + 1) if text[at : at + 1] == "," else at


def _json_lines(lines: _Lines) -> Iterator[_Row]:
    while True:
        try:
            text = next(lines).strip()
        except StopIteration:
            return
        except _BadLine as error:
            yield _Row(lines.number, None, str(error), error.fix)
            continue
        except _NotText as error:
            yield _Row(error.number, None, "not UTF-8", "convert the file to UTF-8")
            continue
        if text:
            yield _json_row(lines.number, text)


def _json_row(line: int, text: str) -> _Row:
    try:
        decoder = strict_json.decoder()
        value, end = decoder.raw_decode(text)
        if end < len(text):
            decoder.decode(text)
    except (ValueError, RecursionError) as error:
        return _Row(line, None, f"not JSON: {one_line(error, 120)}", "fix or remove it")
    trouble = strict_json.trouble(value, text)
    if trouble is not None:
        return _Row(line, None, *trouble)
    if isinstance(value, dict):
        return _Row(line, value)
    if isinstance(value, str):
        # A list of texts is one of prompts.
        return _Row(line, {"prompt": value})
    return _Row(line, None, f"{strict_json.KINDS[type(value)]}, not an object", "write {…} there")


def is_json_lines(data: bytes) -> bool:
    """Return whether piped data starts as JSON lines do."""
    return data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"
