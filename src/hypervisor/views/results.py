"""What came out of a queue, item by item, for spreadsheets and programs: the source's own columns
as they are, then ours."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from hypervisor.ledger import Ledger
from hypervisor.ledger.findings import Answer
from hypervisor.ledger.outcomes import OUTCOME
from hypervisor.system.errors import UsageError
from hypervisor.system.files import write_whole
from hypervisor.system.quick_json import loads
from hypervisor.system.text import one_line, shell
from hypervisor.views.summary import given_row, teller

_TASK = ("id", "path", "title")
_OURS = (
    "status", "proof", "reason", "item", "attempt", "model", "tokens", "usd", "started", "ended",
)  # fmt: skip
HEADS = tuple(f"hv.{name}" for name in _OURS)
# What a spreadsheet takes for a formula, but for numbers.
_ACTS = frozenset("=+-@\t\r")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_BLOCK = 1000
_encode = json.JSONEncoder(ensure_ascii=False).encode
_DONE: Mapping[str, object] = {"status": OUTCOME["done"].counts_as}

Values = dict[str, object]
Path = tuple[str, ...]
_ANSWER: Path = ("answer",)
_CHECK: Path = ("check",)


class Results:
    """The items of a queue with what became of them: each id once, its newest report of any
    generation, or those of one `generation`. Raises UsageError for what is unknown."""

    def __init__(self, ledger: Ledger, queue: str, generation: int | None = None) -> None:
        one = ledger.queues.get(queue, generation)
        chosen = [one] if generation is not None else ledger.queues.generations_of(queue)
        self._ledger = ledger
        self._queues = [row.no for row in chosen]
        self._schema = chosen[-1].answer
        self._tell = teller(ledger, chosen[-1])
        # How many texts were kept from acting as formulas, and which columns of a table the source
        # has that are ours as well.
        self.quoted = 0
        self.twice: list[str] = []

    def answers(self) -> Iterator[Answer]:
        """Yield the items, in the order of their source."""
        return self._ledger.queries.answers(self._ledger.queries.newest(self._queues))

    def rows(self) -> Iterator[tuple[Values, str | None, Values, Values]]:
        """Yield of each item what it was made from, its answer as JSON, what its checks said, and
        ours by the names of `HEADS`, bare."""
        answers = self.answers()
        used = self._ledger.queries.used(self._queues)
        for one in answers:
            item = one.result
            # What is done has no reason, and of many items most are.
            told = _DONE if item.state == "done" else self._tell(item, None)
            given = given_row(item)
            checks = item.report.get("checks", {}) if item.report and item.proof else {}
            tokens, usd = used.get(item.no, (None, None))
            yield (
                {"id": item.id, "path": item.path, "title": item.title} if given is None else given,
                item.answer,
                {**checks},
                {
                    "status": told["status"],
                    "proof": item.proof,
                    "reason": told.get("reason"),
                    "item": item.id,
                    "attempt": one.attempt,
                    "model": item.model,
                    "tokens": tokens,
                    "usd": None if usd is None else round(usd, 6),
                    "started": _moment(item.claimed_at),
                    "ended": _moment(item.ended_at),
                },
            )

    def jsonl(self) -> Iterator[str]:
        """Yield a line of JSON an item."""
        for given, answer, checks, ours in self.rows():
            told = None if answer is None else loads(answer)
            line = {"input": given, "answer": told, "hv": ours}
            if checks:
                line["check"] = checks
            yield _encode(line) + "\n"

    def csv(self, *, raw: bool = False) -> Iterator[str]:
        """Yield a table in blocks of lines. Unless it is `raw`, a text that a spreadsheet would
        take for a formula gets a `'` before it; how many did stands in `quoted`."""
        names, paths = self._columns(), self._paths()
        block = io.StringIO()
        write = csv.writer(block, lineterminator="\n").writerow
        safe = str if raw else self._safe
        said = self._said()
        heads = *names, *map(".".join, paths), *map(".".join, said), *HEADS
        self.twice = [name for name in names if heads.count(name) > 1]
        write([safe(name) for name in heads])
        for number, (given, answer, checks, ours) in enumerate(self.rows(), 1):
            flat = {} if answer is None else _flat(loads(answer), {}, _ANSWER)
            told = _flat(checks, {}, _CHECK) if checks else {}
            write([
                safe(value) if type(value) is str else _cell(value)
                for value in (
                    *map(given.get, names),
                    *map(flat.get, paths),
                    *map(told.get, said),
                    *ours.values(),
                )
            ])  # fmt: skip
            if number % _BLOCK == 0:
                yield block.getvalue()
                block.seek(0)
                block.truncate()
        yield block.getvalue()

    def _columns(self) -> list[str]:
        """Return the columns of all rows, in the order in which they come."""
        names: Values = {}
        for payload in self._ledger.queries.payloads(self._queues):
            names |= dict.fromkeys(_TASK if payload is None else loads(payload))
        return list(names)

    def _paths(self) -> list[Path]:
        """Return where in the answers values stand: as the schema has them, then others."""
        schema = None if self._schema is None else loads(self._schema)
        found = dict.fromkeys(_named(schema, _ANSWER))
        empty: dict[Path, None] = {}
        for answer in self._ledger.queries.accepted_answers(self._queues):
            flat = _flat(loads(answer), {}, _ANSWER)
            if flat.keys() <= found.keys():
                continue
            for path, value in flat.items():
                (empty if value is None else found).setdefault(path)
        # What is empty here may hold more elsewhere.
        filled = {path[:length] for path in found for length in range(len(path) + 1)}
        return [*found, *(path for path in empty if path not in filled)]

    def _said(self) -> list[Path]:
        """Return where in what checks said values stand, in the order in which they come."""
        found: dict[Path, None] = {}
        for report in self._ledger.queries.kept_by_checks(self._queues):
            found |= dict.fromkeys(_flat(loads(report)["checks"], {}, _CHECK))
        return list(found)

    def _safe(self, text: str) -> str:
        if text[:1] not in _ACTS or _NUMBER.fullmatch(text):
            return text
        self.quoted += 1
        return f"'{text}"

    def closing(self) -> tuple[list[str], int]:
        """Return a quoted command for each item that is done, by which the tool that owns its row
        closes it, and of how many there is none."""
        from hypervisor.tasks import formats
        from hypervisor.tasks.task_files import of_path

        told, without = [], 0
        for one in self.answers():
            if one.result.state != "done":
                continue
            row = given_row(one.result)
            command = None
            if row is not None:
                kind = formats.of_row(row)
                item = kind.item(row, lambda word: "ready")
                # What begins so is an option to whatever is run.
                if item is not None and item.id and not item.id.startswith("-"):
                    command = kind.closing(item.id)
            elif one.result.path is not None and not one.result.id.startswith("-"):
                family = of_path(os.path.join(self._ledger.root, one.result.path))
                if family is not None and family.kind is not None:
                    command = family.kind.closing(one.result.id)
            if command is None:
                without += 1
            else:
                told.append(shell(command))
        return told, without


def _flat(value: object, flat: dict[Path, object], path: Path) -> dict[Path, object]:
    """Note in `flat` each value in `value` that is not an object, or an empty one, by where it
    stands, and return it."""
    if type(value) is dict and value:
        for name, inner in value.items():
            if type(inner) is dict:
                _flat(inner, flat, (*path, name))
            else:
                flat[(*path, name)] = inner
    else:
        flat[path] = value
    return flat


def _named(schema: object, path: Path) -> Iterator[Path]:
    """Yield where a schema has values of the answer, as far as that can be told from the kinds and
    properties that it names."""
    known = schema.get("properties") if isinstance(schema, dict) else None
    if isinstance(known, dict):
        for name, inner in known.items():
            yield from _named(inner, (*path, name))
    elif len(path) > 1 and isinstance(schema, dict):
        words = "enum" in schema or "const" in schema
        if schema.get("type", "string" if words else "object") != "object":
            yield path


def write(path: str, texts: Iterable[str]) -> None:
    """Write a table, or JSON lines, to `path`, whole or not at all; earlier ones there are
    replaced. Raises UsageError where something else is there, and OSError."""
    shown, start = one_line(path), b""
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise UsageError(f"{shown}: there is no such folder", "make it, or name another file")
    if not os.path.basename(path) or (os.path.exists(path) and not os.path.isfile(path)):
        # A device would be replaced, and a pipe waited for.
        raise UsageError(f"--out '{shown}' is no file", "name one, or leave --out out to print it")
    if os.path.exists(path):
        with open(path, "rb") as there:
            start = there.readline(100_000)
    if start and b"hv.status" not in start and b'"hv": {"status": ' not in start:
        raise UsageError(
            f"{shown} is there, and holds no results", "name another file, or move it away"
        )
    write_whole(path, (text.encode("utf-8", "replace") for text in texts), mode=None)


def _cell(value: object) -> object:
    """Return how what is not text stands in a table; nothing in it can begin a formula."""
    plain = value is None or type(value) in (int, float)
    return value if plain else _encode(value)


def _moment(at: float | None) -> str | None:
    return None if at is None else _second(int(at))


@lru_cache(4096)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
