"""What of a ledger is not as hypervisor leaves it, where something has failed over it.

SQLite keeps any value in any column, so a disk or another program may have put in what the code
that reads it can't have. Looking for that costs more than a verb may: it is done after a failure.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator

from hypervisor.ledger import schema
from hypervisor.ledger.claim_ids import number_of
from hypervisor.ledger.outcomes import STATES
from hypervisor.ledger.store import LedgerError
from hypervisor.system.errors import HypervisorError
from hypervisor.system.folder import Folder
from hypervisor.system.state import LEDGER, State
from hypervisor.system.text import one_line

_KINDS = {"integer": "integer", "bigint": "integer", "real": "real", "text": "text"}
# Unix time up to the year 5000, a span in milliseconds, a count: code adds to them and shows them.
_TIMES = (0, 95_617_584_000)
_RANGES = {"lease_ms": (0, 1 << 50), "budget_ms": (0, 1 << 50), "item_ms": (0, 1 << 50)}
_COUNTS = (-1, 1 << 60)
_CLOCK = (schema.LEASED, schema.NEVER)
_ON_CLOCK = ("turn", "finish_no", "until", "value")
_WORDS = {
    ("item", "state"): STATES,
    ("queue", "state"): ("open", "paused", "cancelled", "replaced"),
}
_JSON = {
    ("queue", "preflight"): dict,
    ("queue", "commands"): list,
    ("queue", "may_write"): list,
    ("queue", "folders"): list,
    ("queue", "check_env"): list,
    ("queue", "check_base"): list,
    ("queue", "checks"): dict,
    ("queue", "tools"): list,
    ("item", "files"): list,
    ("item", "named"): list,
    ("item", "plan"): dict,
    ("claim", "report"): dict,
    ("agent", "models"): dict,
}
_LISTS_OF_TEXT = (
    "commands", "may_write", "folders", "check_env", "check_base", "tools", "files",
    "named",
)  # fmt: skip
# A column, and the table whose `no` it holds.
_LEADS = (("item", "queue", "queue"), ("item", "claim", "claim"), ("claim", "item", "item"))
_NEEDED = (
    ("meta", "key", ("machine", "inode", "ledger", "project")),
    ("counter", "name", ("position", "files", "ends")),
)


def explained(root: str, error: BaseException) -> LedgerError | None:
    """Return what is wrong with the embedded ledger of `root`, if that may have caused `error`;
    None where the ledger is right, or there is none of ours."""
    if isinstance(error, (LedgerError, OSError)):
        return None
    try:
        state = State.find(root)
        if state is None or state.folder.look(LEDGER) is None:
            return None
        what = _first(state.folder)
    except (HypervisorError, OSError):  # it can't be looked at: the error itself tells more
        return None
    if what is None:
        return None
    return LedgerError(
        f"{state.folder.path}/{LEDGER}: damaged: {what}",
        "restore it from a backup, or move it away and open the queue again",
    )


def _first(folder: Folder) -> str | None:
    from hypervisor.system.unproven import copied

    try:
        with copied(folder) as connection:
            # Not within the bounds of a stranger's: it may hold a million items.
            connection.set_progress_handler(None, 0)
            return next(_found(connection), None)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return one_line(error, 200)


def _found(connection: sqlite3.Connection) -> Iterator[str]:
    for table, columns in _tables().items():
        there = {row["name"] for row in connection.execute(f"pragma table_info ({table})")}
        if not there:
            yield f"it has no table {table}"
            continue
        for column, (kind, must) in columns.items():
            if column not in there:
                yield f"{table} has no column {column}"
                continue
            odd = _odd_value(connection, table, column, kind, must)
            if odd is not None:
                yield odd
    for number, token in connection.execute("select no, token from claim"):
        if number_of(token) != number:
            yield f"claim.token in row {number} is {one_line(token, 60)}"
    for table, column, other in _LEADS:
        gone = (
            f"select rowid, {column} from {table} "
            f"where {column} is not null and {column} not in (select no from {other})"
        )
        for number, value in connection.execute(gone):
            yield f"{table}.{column} in row {number} is {value}, and there is no such {other}"
    for table, column, names in _NEEDED:
        known = {row[0] for row in connection.execute(f"select {column} from {table}")}
        for name in names:
            if name not in known:
                yield f"{table} has no {name}"
    broken = connection.execute("pragma quick_check (1)").fetchone()[0]
    if broken != "ok":
        yield one_line(broken, 200)


def _tables() -> dict[str, dict[str, tuple[str, bool]]]:
    """Return the columns of each table of a ledger: their kind, and whether they are never null."""
    fresh = sqlite3.connect(":memory:")
    for statement in schema.fresh():
        fresh.execute(statement)
    found = {}
    for (table,) in fresh.execute("select name from sqlite_master where type = 'table'").fetchall():
        rows = fresh.execute(f"pragma table_info ({table})")
        found[table] = {row[1]: (_KINDS[row[2].lower()], bool(row[3])) for row in rows}
    fresh.close()
    return found


def _odd_value(
    connection: sqlite3.Connection, table: str, column: str, kind: str, must: bool
) -> str | None:
    """Return what stands in the first row that has no such value in `column`."""
    right = _test(table, column, kind)
    rows = connection.execute(f"select rowid, {column}, typeof({column}) from {table}")
    for number, value, stored in rows:
        if must if value is None else stored != kind or not right(value):
            told = "nothing" if value is None else one_line(str(value)[:200], 60)
            return f"{table}.{column} in row {number} is {told}"
    return None


def _test(table: str, column: str, kind: str) -> Callable[[object], bool]:
    place = table, column
    if place in _WORDS:
        return _WORDS[place].__contains__
    if place in _JSON:
        return lambda value: _is_json(str(value), _JSON[place], column in _LISTS_OF_TEXT)
    if place == ("item", "payload"):
        return lambda value: _is_json(str(value), object)
    if kind == "text":
        return lambda value: "\0" not in str(value)
    low, high = _CLOCK if column in _ON_CLOCK else _COUNTS
    low, high = _RANGES.get(column, (low, high)) if kind == "integer" else _TIMES
    return lambda value: isinstance(value, int | float) and low <= value <= high


def _is_json(text: str, kind: type, of_text: bool = False) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    fits = isinstance(value, kind)
    return fits and (not of_text or all(isinstance(one, str) for one in value))
