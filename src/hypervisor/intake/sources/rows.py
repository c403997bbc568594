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
from typing import BinaryIO

from hypervisor.config.settings import Settings
from hypervisor.intake.sources.json_rows import ARRAY, json_array, json_lines
from hypervisor.intake.sources.row_lines import LONGEST_LINE, BadLine, Lines, NotText, Row
from hypervisor.system.reading import MIB, NotReadable, open_file
from hypervisor.system.text import count, one_line
from hypervisor.tasks import formats
from hypervisor.tasks.formats import jira
from hypervisor.tasks.formats.rows import Rows as RowFormat
from hypervisor.tasks.formats.rows import cell as cell_of
from hypervisor.tasks.walk import Found, Problem, SourceError

_TABLES = (".csv", ".tsv")
_LINES = (".jsonl", ".ndjson")
_LARGEST = 1024 * MIB
_MOST_COLUMNS = 1000
_MOST_BROKEN = 10_000
# Each row carries the names of all columns, also of those that it leaves out: a short line under a
# long header is a large row. All together may be so many times the file, and this much anyway.
_MOST_TIMES, _MOST_ANYWAY = 32, 64 * MIB
_CELL = 8
_as_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_LONGEST_ID = 500
_QUOTED = re.compile(r'"[^"]*"')


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
                lines = Lines(source, status.st_size, path)
                name = path.lower()
                if name.endswith(_TABLES):
                    read = _table(lines, path, self._id_column)
                elif name.endswith(ARRAY):
                    read = json_array(source.read().decode("utf-8-sig"), origin)
                else:
                    read = json_lines(lines)
                for number, row in enumerate(read, 1):
                    yield self._found(row, path, origin, number)
        except OSError as error:
            raise SourceError(
                f"{origin}: can't be read: {error.strerror}", "make it readable for you"
            ) from None
        except NotReadable as error:
            raise SourceError(f"{origin}: {error.what}", error.fix) from None

    def of_lines(self, data: bytes, origin: str) -> Iterator[Found]:
        """Yield the rows of JSON lines that come from a pipe."""
        for row in json_lines(Lines(io.BytesIO(data), len(data), origin)):
            yield self._found(row, None, origin)

    def _found(self, row: Row, path: str | None, origin: str, number: int = 0) -> Found:
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
    for line, raw in enumerate(iter(lambda: source.readline(LONGEST_LINE), b""), 1):
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


def _table(lines: Lines, path: str, id_column: str | None) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_LINE)
    try:
        yield from _rows(lines, path, id_column)
    except NotText as error:
        where = f"{path}:{error.number}: not UTF-8"
        raise SourceError(where, "convert the file to UTF-8") from None


def _rows(lines: Lines, path: str, id_column: str | None) -> Iterator[Row]:
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
    except (csv.Error, BadLine) as error:
        raise SourceError(f"{path}:1: not a table: {error}", "fix its first line") from None
    doubled = [name for name, count in Counter(header).items() if count > 1]
    # Jira has a column for each value of many.
    several = set(doubled) if {"issue key", "summary"} <= {*map(str.casefold, header)} else set()
    if jira.is_translated(header):
        raise SourceError(
            f"{path}:1: an export of Jira whose columns are not in English",
            "export it again with English as the language of your Jira profile, or as JSON",
        )
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
            yield Row(line, None, f"not a row: {error}", "fix the quotes of the row")
            continue
        except BadLine as error:
            yield Row(lines.number, None, str(error), error.fix)
            continue
        if len(cells) > len(header):
            trouble = f"{len(cells)} cells under {count(len(header), 'column')}"
            yield Row(line, None, trouble, "quote the cell that holds the delimiter")
        elif sum(map(len, cells)) > LONGEST_LINE:
            yield Row(line, None, "the row is longer than 1 MiB", "shorten or remove it")
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
            yield Row(line, row)


def _delimiter(first: str) -> str:
    """Return what is most often between the names in a header."""
    plain = _QUOTED.sub("", first)
    return max(",;\t|", key=plain.count)


class _Again:
    """The first line once more, then the rest. No generator: it goes on after an error."""

    def __init__(self, first: str, rest: Lines) -> None:
        self._first: str | None = first
        self._rest = rest

    def __iter__(self) -> _Again:
        return self

    def __next__(self) -> str:
        first, self._first = self._first, None
        return next(self._rest) if first is None else first
