"""Rows of JSON: lines, and one array of objects, in pages or with what a tool says around it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from hypervisor.intake.sources.row_lines import BadLine, Lines, NotText, Row
from hypervisor.system import strict_json
from hypervisor.system.reading import MIB, NotReadable, read_file
from hypervisor.system.text import one_line
from hypervisor.tasks import formats
from hypervisor.tasks.formats.json_spans import skip_blanks
from hypervisor.tasks.walk import SourceError

ARRAY = ".json"
_LARGEST_ARRAY = 64 * MIB


def holds_json_rows(path: str) -> bool:
    """Return whether the file at `path` is JSON, and one array of objects is all there is in it,
    but for what says something about that; also where the array is broken."""
    if not path.lower().endswith(ARRAY):
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
        first = skip_blanks(text, at + 1)
        if text[first : first + 1] == "[":
            # Pages, one after the other.
            return at if text[skip_blanks(text, first + 1) :][:1] in ("{", "]") else None
        # One without any is what a tool prints where there is nothing.
        return at if text[first : first + 1] in ("{", '"', "]") else None
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


def json_array(text: str, origin: str) -> Iterator[Row]:
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        what = f"{origin}:{line}: not JSON: {one_line(error, 120)}"
        end = error.pos if isinstance(error, json.JSONDecodeError) else 0
        pages = end > 0 and text[end : end + 1] == "["
        raise SourceError(what, "join its pages: jq -s add" if pages else "fix it") from None
    start = _array_in(text)
    assert start is not None, "`holds_json_rows` has seen it"
    line, counted = 1, 0
    for at, end in _rows_in(text, start):
        line, counted = line + text.count("\n", counted, at), at
        yield _json_row(line, text[at:end])


def _rows_in(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield where each row of the array at `start` stands, those of pages in it one by one."""
    at = skip_blanks(text, start + 1)
    while text[at : at + 1] != "]":
        value, end = _DECODER.raw_decode(text, at)
        inside = at if isinstance(value, list) else _page(text, at, value)
        if inside is None:
            yield at, end
        else:
            yield from _rows_in(text, inside)
        at = skip_blanks(text, end)
        at = skip_blanks(text, at + 1) if text[at : at + 1] == "," else at


def _page(text: str, at: int, value: object) -> int | None:
    """Return where the array in the object at a place starts, if it is a page of a tool's rows, and
    no row itself."""
    if not isinstance(value, dict) or formats.of_row(value).is_work:
        return None
    start = _in_object(text, at)
    if start is None:
        return None
    first = _DECODER.raw_decode(text, skip_blanks(text, start + 1))[0]
    return start if isinstance(first, dict) and formats.of_row(first).is_work else None


def json_lines(lines: Lines) -> Iterator[Row]:
    while True:
        try:
            text = next(lines).strip()
        except StopIteration:
            return
        except BadLine as error:
            yield Row(lines.number, None, str(error), error.fix)
            continue
        except NotText as error:
            yield Row(error.number, None, "not UTF-8", "convert the file to UTF-8")
            continue
        if text:
            yield _json_row(lines.number, text)


def _json_row(line: int, text: str) -> Row:
    try:
        decoder = strict_json.decoder()
        value, end = decoder.raw_decode(text)
        if end < len(text):
            decoder.decode(text)
    except (ValueError, RecursionError) as error:
        return Row(line, None, f"not JSON: {one_line(error, 120)}", "fix or remove it")
    trouble = strict_json.trouble(value, text)
    if trouble is not None:
        return Row(line, None, *trouble)
    if isinstance(value, dict):
        return Row(line, value)
    if isinstance(value, str):
        # A list of texts is one of prompts.
        return Row(line, {"prompt": value})
    return Row(line, None, f"{strict_json.KINDS[type(value)]}, not an object", "write {…} there")


def is_json_lines(data: bytes) -> bool:
    """Return whether piped data starts as JSON lines do."""
    return data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"
