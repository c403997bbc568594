"""What came out of a queue, item by item, for spreadsheets and programs: the source's own columns
as they are, then ours."""

from __future__ import annotations

import csv
import io
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import chain, islice

from hypervisor.ledger import Ledger
from hypervisor.ledger.findings import Answer
from hypervisor.ledger.outcomes import OUTCOME
from hypervisor.system.errors import UsageError
from hypervisor.system.files import write_whole
from hypervisor.system.quick_json import dumps, loads
from hypervisor.system.text import one_line, shell
from hypervisor.views.summary import teller

_TASK = dict.fromkeys(("id", "path", "title"))
_OURS = (
    "status", "proof", "reason", "item", "attempt", "model", "tokens", "usd", "started", "ended",
    "report",
)  # fmt: skip
HEADS = tuple(f"hv.{name}" for name in _OURS)
# What a spreadsheet takes for a formula, but for numbers; some take the wide forms too.
_ACTS = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_AT_ONCE = 100
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
        # How many texts were kept from acting as formulas, and what more than one column of a table
        # is called.
        self.quoted = 0
        self.twice: list[str] = []

    def blocks(self) -> Iterator[list[Answer]]:
        """Yield the items, in the order of their source, some at a time."""
        return self._ledger.outputs.answers(self._ledger.outputs.newest(self._queues))

    def told(self) -> Iterator[list[tuple[Answer, Values, tuple[object, ...]]]]:
        """Yield the items as `blocks` does, each with what its checks said, and ours."""
        blocks = self.blocks()
        used = self._ledger.outputs.used(self._queues)
        for block in blocks:
            # What is done has no reason, and of many items most are.
            odd = [item.no for item in block if item.state != "done"]
            ended = {one.no: self._tell(one, None) for one in self._ledger.queries.results_of(odd)}
            told: list[tuple[Answer, Values, tuple[object, ...]]] = []
            for item in block:
                how = _DONE if item.state == "done" else ended.get(item.no)
                if how is None:
                    # Its generation was deleted just now.
                    continue
                tokens, usd = used.get(item.no, (None, None))
                report = loads(item.report) if item.report else {}
                ours = (
                    how["status"],
                    item.proof,
                    how.get("reason"),
                    item.id,
                    item.attempt,
                    item.model,
                    tokens,
                    None if usd is None else round(usd, 6),
                    _moment(item.claimed_at),
                    _moment(item.ended_at),
                    report.get("summary") if how is _DONE else None,
                )
                told.append((item, report.get("checks", {}) if item.proof else {}, ours))
            yield told

    def jsonl(self) -> Iterator[str]:
        """Yield JSON, a line an item."""
        for item, checks, ours in chain.from_iterable(self.told()):
            # What is JSON stands as it is kept.
            given = item.payload or _encode(_of_task(item))
            said = f', "check": {_encode(checks)}' if checks else ""
            told = _encode(dict(zip(_OURS, ours, strict=True)))
            yield f'{{"input": {given}, "answer": {item.answer or "null"}, "hv": {told}{said}}}\n'

    def csv(self, *, raw: bool = False) -> Iterator[str]:
        """Yield a table in blocks of lines. Unless it is `raw`, a text that a spreadsheet would
        take for a formula gets a `'` before it; how many did stands in `quoted`."""
        names, paths, said = self._columns(), self._paths(), self._said()
        block = io.StringIO()
        write = csv.writer(block, lineterminator="\n").writerow
        acts = frozenset[str]() if raw else _ACTS
        heads = *names, *map(".".join, paths), *map(".".join, said), *HEADS
        self.twice = [name for name, times in Counter(heads).items() if times > 1]
        write([self._cell(name) if name[:1] in acts else name for name in heads])
        for told in self.told():
            made: list[Values | None] = loads(_array(item.payload for item, _, _ in told))
            answers: list[object] = loads(_array(item.answer for item, _, _ in told))
            for (item, checks, ours), row, answer in zip(told, made, answers, strict=True):
                given = _of_task(item) if row is None else row
                flat = {} if answer is None else _flat(answer, {}, _ANSWER)
                say = _flat(checks, {}, _CHECK) if checks else {}
                write([
                    value
                    if value is None
                    or (value[:1] not in acts if type(value) is str else type(value) is int)
                    else self._cell(value)
                    for value in (
                        *map(given.get, names),
                        *map(flat.get, paths),
                        *map(say.get, said),
                        *ours,
                    )
                ])  # fmt: skip
            yield block.getvalue()
            block.seek(0)
            block.truncate()
        yield block.getvalue()

    def _columns(self) -> list[str]:
        """Return the columns of all rows, in the order in which they come."""
        names: Values = {}
        for row in _loaded(self._ledger.outputs.payloads(self._queues)):
            names.update(row if isinstance(row, dict) else _TASK)
        return list(names)

    def _paths(self) -> list[Path]:
        """Return where in the answers values stand: as the schema has them, then others."""
        schema = None if self._schema is None else loads(self._schema)
        found = dict.fromkeys(_named(schema, _ANSWER))
        empty: dict[Path, None] = {}
        for answer in _loaded(self._ledger.outputs.accepted_answers(self._queues)):
            flat = _flat(answer, {}, _ANSWER)
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
        for report in self._ledger.outputs.kept_by_checks(self._queues):
            found |= dict.fromkeys(_flat(loads(report)["checks"], {}, _CHECK))
        return list(found)

    def _cell(self, value: object) -> object:
        """Return how a value stands in a table; nothing in it can begin a formula."""
        if type(value) is float:
            return value
        if type(value) is not str:
            return _encode(value)
        if _NUMBER.fullmatch(value):
            return value
        self.quoted += 1
        return f"'{value}"

    def closing(self) -> tuple[list[str], int]:
        """Return a quoted command for each item that is done, by which the tool that owns its row
        closes it, and of how many there is none."""
        from hypervisor.tasks import formats
        from hypervisor.tasks.task_files import of_path

        told, without = [], 0
        for item in chain.from_iterable(self.blocks()):
            if item.state != "done":
                continue
            command = None
            if item.payload is not None:
                row = loads(item.payload)
                kind = formats.of_row(row)
                known = kind.item(row, lambda word: "ready")
                # What begins so is an option to whatever is run.
                if known is not None and known.id and not known.id.startswith("-"):
                    command = kind.closing(known.id)
            elif item.path is not None and not item.id.startswith("-"):
                family = of_path(os.path.join(self._ledger.root, item.path))
                if family is not None and family.kind is not None:
                    command = family.kind.closing(item.id)
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
        raise UsageError(f"{shown}: no such folder", "make it, or name another file")
    if not os.path.basename(path) or (os.path.exists(path) and not os.path.isfile(path)):
        # A device would be replaced, and a pipe waited for.
        raise UsageError(
            f"--out '{shown}' is not a file", "name one, or leave out --out to print it"
        )
    if os.path.exists(path):
        with open(path, "rb") as there:
            start = there.readline(100_000)
    if start and b"hv.status" not in start and b'"hv": {"status": ' not in start:
        raise UsageError(
            f"{shown} exists, and does not hold results", "name another file, or move it away"
        )
    write_whole(path, (text.encode("utf-8", "replace") for text in texts), mode=None)


def _of_task(item: Answer) -> Values:
    return {"id": item.id, "path": item.path, "title": item.title}


def _encode(value: object) -> str:
    return dumps(value, ensure_ascii=False)


def _array(texts: Iterable[str | None]) -> str:
    """Return one array of some values in JSON: to read it is faster than one by one."""
    return f"[{','.join(['null' if text is None else text for text in texts])}]"


def _loaded(texts: Iterator[str | None]) -> Iterator[object]:
    while some := list(islice(texts, _AT_ONCE)):
        yield from loads(_array(some))


def _moment(at: float | None) -> str | None:
    return None if at is None else _second(int(at))


@lru_cache(4096)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
