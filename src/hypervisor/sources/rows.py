"""Rows of CSV, TSV and JSONL sources as items with stable ids."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from hypervisor.sources.found import Found, Problem, SourceError
from hypervisor.system.text import one_line

_TABLES = (".csv", ".tsv")
_LINES = (".jsonl", ".ndjson")
_LARGEST_CELL = 64 * 1024 * 1024


class _Row(NamedTuple):
    line: int
    cells: dict[str, Any] | None
    trouble: str = ""
    fix: str = ""


def holds_rows(name: str) -> bool:
    """Return whether a file of this name is read row by row."""
    return name.lower().endswith(_TABLES + _LINES)


class Rows:
    """Makes rows into items.

    With an id column a row's id is its cell there; without, a hash of the row, and for rows that
    equal an earlier one the hash and their ordinal. So an id outlives rows added above it.
    """

    def __init__(self, id_column: str | None) -> None:
        self._id_column = id_column
        self._equal: Counter[str] = Counter()

    def of_file(self, path: str, origin: str) -> Iterator[Found]:
        """Yield the rows of the file at `path`; a row that can't be read is one broken entry.

        Raises SourceError for a file that is no table at all.
        """
        try:
            with open(path, "rb") as source:
                is_table = path.lower().endswith(_TABLES)
                read = _table(source, path, self._id_column) if is_table else _json_lines(source)
                for row in read:
                    yield self._found(row, path, origin)
        except OSError as error:
            raise SourceError(f"{origin}: can't be read: {error.strerror}") from None

    def of_lines(self, lines: Iterable[bytes], origin: str) -> Iterator[Found]:
        """Yield the rows of JSON lines that come from a pipe."""
        for row in _json_lines(lines):
            yield self._found(row, None, origin)

    def _found(self, row: _Row, path: str | None, origin: str) -> Found:
        found = Found(path, row.cells, origin=origin, line=row.line)
        if row.cells is None:
            return found._replace(problem=Problem("broken", "row", row.trouble, row.fix))
        if self._id_column is None:
            return found._replace(row_id=self._hash(row.cells))
        cell = row.cells.get(self._id_column)
        if isinstance(cell, (dict, list, bool)) or cell is None or not str(cell).strip():
            reason = f"no id in '{one_line(self._id_column, 60)}'"
            return found._replace(
                row=None, problem=Problem("broken", "row", reason, "give the row an id there")
            )
        return found._replace(row_id=str(cell).strip())

    def _hash(self, cells: dict[str, Any]) -> str:
        canonical = json.dumps(cells, sort_keys=True, separators=(",", ":"))
        digest = hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest()
        self._equal[digest] += 1
        ordinal = self._equal[digest]
        return f"row-{digest}" if ordinal == 1 else f"row-{digest}-{ordinal}"


def _table(source: Iterable[bytes], path: str, id_column: str | None) -> Iterator[_Row]:
    csv.field_size_limit(_LARGEST_CELL)
    lines = _decoded(source, path)
    first = next(lines, "")
    delimiter = "\t" if path.lower().endswith(".tsv") else _delimiter(first)
    reader = csv.reader(_again(first, lines), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise SourceError(f"{path}:1: not a table: {error}", "mend its first line") from None
    doubled = [name for name, count in Counter(header).items() if count > 1]
    if doubled or not any(header):
        what = f"two columns are called '{one_line(doubled[0], 60)}'" if doubled else "no columns"
        raise SourceError(f"{path}:1: {what}", "name each column once in the first line")
    if id_column is not None and id_column not in header:
        names = ", ".join(one_line(name, 40) for name in header[:20])
        raise SourceError(
            f"{path}: no column '{one_line(id_column, 60)}'", f"its columns are: {names}"
        )
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _Row(line, None, f"not a row: {error}", "mend the quotes of the row")
            continue
        if len(cells) > len(header):
            trouble = f"{len(cells)} cells under {len(header)} columns"
            yield _Row(line, None, trouble, "quote the cell that holds the delimiter")
        elif cells:
            cells += [""] * (len(header) - len(cells))
            yield _Row(line, dict(zip(header, cells, strict=True)))


def _delimiter(first: str) -> str:
    return ";" if "," not in first and ";" in first else ","


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _decoded(source: Iterable[bytes], path: str) -> Iterator[str]:
    for number, raw in enumerate(source, 1):
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise SourceError(f"{path}:{number}: not UTF-8", "convert the file to UTF-8") from None


def _json_lines(lines: Iterable[bytes]) -> Iterator[_Row]:
    for number, raw in enumerate(lines, 1):
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            if not text:
                continue
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield _Row(number, None, f"not JSON: {one_line(error, 120)}", "mend or remove the line")
            continue
        if "\\u" in text and not _is_unicode(value):
            yield _Row(number, None, "half of a character", "mend its \\u escape")
        elif isinstance(value, dict):
            yield _Row(number, value)
        else:
            kind = type(value).__name__
            yield _Row(number, None, f"a JSON {kind}, not an object", "write {…} on the line")


def _is_unicode(value: object) -> bool:
    """Say whether no text in `value` holds half a surrogate pair, which JSON can spell."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def is_json_lines(data: bytes) -> bool:
    """Return whether piped data starts as JSON lines do."""
    return data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"
