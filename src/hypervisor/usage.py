"""Tokens out of a Claude Code worker's transcript, per item; unknown is None, never 0.

One response stands in the transcript as one row per content block, all with the same message id:
an id counts once, with the largest figure of each kind (a first row may be partial). Rows of the
model "<synthetic>" are the client's own texts.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TextIO

from hypervisor import gemini_usage
from hypervisor.system.reading import MIB, NotReadable, open_file, read_end

KINDS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
# What the verbs print when they hand out and end items; see cli/handout.py.
_CLAIM = re.compile(r'^claim ([0-9]+-[a-z2-9]{4})$|"token": "([0-9]+-[a-z2-9]{4})"', re.MULTILINE)
_ENDED = re.compile(r"^(?:accepted|released) ([0-9]+-[a-z2-9]{4})", re.MULTILINE)

# So much of a transcript's end is looked at for an error.
_TAIL = 1 << 18
# Rows hold what a worker read, pictures too.
_LARGEST, _LONGEST_ROW = 256 * MIB, 32 * MIB

Tokens = tuple[int, int, int, int]


class Usage:
    """What a worker has used: `total`, and the share of each claim's token in `items`.

    The message that ends an item and asks for the next counts to the item that it ends; what
    belongs to no item is overhead. `complete` is true when the transcript's last message is a
    final one. `known` is false for a transcript of an unknown shape. Gemini CLI never sees a token:
    its shares are in `by_id`, by the items' ids, in the order of their claims.
    """

    __slots__ = ("by_id", "complete", "items", "known", "total")

    def __init__(self) -> None:
        self.known = True
        self.complete = False
        self.total: Tokens = (0, 0, 0, 0)
        self.items: dict[str, Tokens] = {}
        self.by_id: list[tuple[str, Tokens]] = []


def claims_in(text: str) -> list[str]:
    """Return the tokens of the claims that an output of `next` or `done --next` hands out."""
    return [plain or quoted for plain, quoted in _CLAIM.findall(text)]


def read_transcript(path: str) -> Usage:
    """Return what the worker of this transcript has used. Raises OSError."""
    try:
        descriptor, status = open_file(path)
    except NotReadable as error:
        raise OSError(errno.EINVAL, error.what, path) from None
    with open(descriptor, encoding="utf-8", errors="replace") as source:
        if status.st_size > _LARGEST:
            raise OSError(errno.EFBIG, "larger than 256 MiB", path)
        rows = _rows(source)
        first = next(rows, "")
        return _of_gemini(rows) if gemini_usage.is_gemini(first) else sum_up(chain((first,), rows))


def _rows(source: TextIO) -> Iterator[str]:
    """Yield the lines of a transcript; what is longer than any row of it is passed over."""
    whole = True
    while line := source.readline(_LONGEST_ROW):
        ends = line.endswith("\n")
        if whole and (ends or len(line) < _LONGEST_ROW):
            yield line
        whole = ends


def _of_gemini(rows: Iterable[str]) -> Usage:
    usage = Usage()
    total, usage.by_id = gemini_usage.sum_up(rows)
    usage.known = usage.complete = total is not None
    usage.total = total or usage.total
    return usage


def last_error(path: str) -> str | None:
    """Return the error in which the worker of this transcript ended, in the client's words."""
    try:
        rows = read_end(path, _TAIL).decode("utf-8", "replace").splitlines()
    except (OSError, NotReadable):
        return None
    for line in reversed(rows):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        message = row.get("message") if isinstance(row, dict) else None
        if not isinstance(message, dict) or row.get("type") not in ("assistant", "user"):
            continue
        if message.get("model") != "<synthetic>":
            return None
        return " ".join(_texts(message.get("content"))) or None
    return None


def sum_up(rows: Iterable[str]) -> Usage:
    """Return the usage told by the JSON lines of a transcript; a torn last line is passed over."""
    usage = Usage()
    seen: dict[str, tuple[str | None, list[int]]] = {}
    current: list[str] = []
    for line in rows:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(row, dict):
            usage.known = False
            continue
        if row.get("type") == "assistant":
            _assistant(row, usage, seen, current)
        elif row.get("type") == "user":
            for text in _results(row):
                ended = set(_ENDED.findall(text))
                current[:] = [token for token in current if token not in ended]
                current += [token for token in claims_in(text) if token not in current]
    totals = [0, 0, 0, 0]
    for token, figures in seen.values():
        totals = [a + b for a, b in zip(totals, figures, strict=True)]
        if token is not None:
            share = usage.items.get(token, (0, 0, 0, 0))
            usage.items[token] = _add(share, figures)
    usage.total = _add((0, 0, 0, 0), totals)
    return usage


def _assistant(
    row: dict[str, object],
    usage: Usage,
    seen: dict[str, tuple[str | None, list[int]]],
    current: list[str],
) -> None:
    message = row.get("message")
    if not isinstance(message, dict):
        usage.known = False
        return
    if message.get("model") == "<synthetic>":
        usage.complete = True
        return
    told, name = message.get("usage"), message.get("id")
    if not isinstance(told, dict) or not isinstance(name, str):
        usage.known = False
        return
    figures = [told.get(kind) or 0 for kind in KINDS]
    if not all(isinstance(figure, int) for figure in figures) or KINDS[1] not in told:
        usage.known = False
        return
    first = seen.setdefault(name, (current[0] if current else None, [0, 0, 0, 0]))
    first[1][:] = [max(a, b) for a, b in zip(first[1], figures, strict=True)]
    usage.complete = message.get("stop_reason") in ("end_turn", "stop_sequence", "max_tokens")


def _results(row: dict[str, object]) -> Iterable[str]:
    message = row.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    for block in content if isinstance(content, list) else []:
        if isinstance(block, dict) and block.get("type") == "tool_result":
            yield from _texts(block.get("content"))


def _texts(body: object) -> Iterable[str]:
    if isinstance(body, str):
        yield body
    for part in body if isinstance(body, list) else []:
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]


def _add(share: Tokens, figures: Iterable[int]) -> Tokens:
    one, two, three, four = (a + b for a, b in zip(share, figures, strict=True))
    return one, two, three, four
