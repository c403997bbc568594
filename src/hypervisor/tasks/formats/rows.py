"""Rows: of a table, of JSON lines, of a JSON array. A row is never written, whoever owns it."""

from __future__ import annotations

from hypervisor.system.records import NamedTuple
from hypervisor.tasks.dependencies import Dependencies, folded, in_row, links_in
from hypervisor.tasks.formats import Format, Splice
from hypervisor.tasks.item import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Row = Mapping[str, object]
    StatusClass = Callable[[str | None], str]

_TITLES = ("title", "name", "summary", "prompt", "text")
# Of a text that is no title of its own.
_LONGEST = 200
_STATES = (
    "status", "state", "task status", "task_status", "issue status", "issue_status", "item status",
    "item_status", "ticket status", "ticket_status",
)  # fmt: skip
_IDS = ("id", "key", "number", "custom_id")
# As `folded` returns them, without an `is` before them.
_FLAGS = frozenset(("done", "completed", "complete", "closed", "finished", "resolved"))
_TICKED = frozenset(("true", "yes", "y", "1", "x", "done", "\u2713", "\u2714", "\u2705", "\u2611"))
# When a row was finished, which tells where it has no status.
_DATES = frozenset(("closedat", "completedat", "doneat", "finishedat", "resolvedat"))
# What a word means in any column of that name; other words are data.
_SAFE = frozenset(("done", "cancelled", "in_progress", "blocked", "draft"))


class _Columns(NamedTuple):
    """The keys of a row by what they hold: `name` what others call it by, if anything does, `dates`
    when it has ended; `spelt` are all of them by their small letters."""

    titles: tuple[str, ...]
    state: str | None
    name: str | None
    flags: tuple[str, ...]
    dates: tuple[str, ...]
    links: tuple[str, ...]
    spelt: Mapping[str, str]


_NO_LINKS = Dependencies([], [], {}, [], [])
# By all the keys, which most rows have in common.
_known: dict[tuple[str, ...], _Columns] = {}
_MOST_KNOWN = 1000
# The row that was asked about last: each is asked about eight times in a row.
_last: tuple[Row, _Columns] | None = None


def _columns(row: Row) -> _Columns:
    global _last
    if _last is not None and _last[0] is row:
        return _last[1]
    keys = (*row,)
    found = _known.get(keys)
    if found is None:
        spelt = {key.casefold(): key for key in keys}
        plain = {key: folded(key) for key in keys}
        found = _Columns(
            tuple(spelt[name] for name in _TITLES if name in spelt),
            next((spelt[name] for name in _STATES if name in spelt), None),
            next((key for key in keys if key.casefold() in _IDS), None),
            tuple(key for key in keys if plain[key].removeprefix("is") in _FLAGS),
            tuple(key for key in keys if plain[key] in _DATES),
            tuple(links_in(keys)),
            spelt,
        )
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[keys] = found
    _last = (row, found)
    return found


class Rows(Format):
    """What all rows have in common; without a tool of their own, a status counts where its word is
    beyond doubt."""

    name = "rows"
    about = "CSV, TSV, JSON lines or a JSON array: a row an item, with --instructions"
    is_work = False
    id_key: str | None = None
    # So many rows are all that the tool prints where nobody asks for more.
    page = 0

    def recognises(self, path: str, text: str) -> bool:
        """Rows are known by their columns; see `knows`."""
        return False

    def items(self, path: str, text: str) -> list[Item]:
        """Rows are read one by one; see `item`."""
        return []

    def mark(self, text: str, item: Item, state: str) -> list[Splice] | None:
        """Nothing is written."""
        return None

    def knows(self, row: Row) -> bool:
        """True if rows like this one are this tool's."""
        return True

    def item(self, row: Row, status_class: StatusClass) -> Item | None:
        """Return what a row says of its item, its `id` "" where it has none of its own; None for a
        row that is none. `status_class` gives the class of a status word."""
        word = self.word(row)
        state = self.state(row, word, status_class)
        told = self.links(row)
        parent, name = self.parent(row), self.name_of(row)
        held = f"the value of {told.unread[0]} can't be read as dependencies" \
            if told.unread else ""  # fmt: skip
        return Item(
            _text(cell(row, self.id_key)) if self.id_key is not None else "",
            self.title(row),
            state,
            word,
            "",
            0,
            tuple(told.waits),
            parent or None,
            (),
            _text(cell(row, "priority")) or None,
            tuple(told.blocks),
            -1,
            held,
            (name,) if name else (),
        )

    def title(self, row: Row) -> str:
        """Return the first line of what says what the item is, else of each text with a letter, ""
        for none: an id made of a row's content tells nobody which row it is."""
        columns = _columns(row)
        for key in columns.titles:
            told = row[key]
            if isinstance(told, str) and (told := told.strip()):
                return told.split("\n", 1)[0]
        texts = [told for key, told in row.items() if key != columns.name and type(told) is str]
        firsts = [told.strip().split("\n", 1)[0] for told in texts]
        return ", ".join(one for one in firsts if any(map(str.isalpha, one)))[:_LONGEST]

    def word(self, row: Row) -> str:
        """Return the status as written, "" for none."""
        key = _columns(row).state
        told = _text(row[key]) if key is not None else ""
        return told or _ticked(row) or _dated(row)

    def state(self, row: Row, word: str, status_class: StatusClass) -> str:
        """Return the class of the row's state; a date tells where there is no word."""
        if _ticked(row) or (word in row and _dated(row)):
            return "done"
        state = status_class(word or None)
        return state if state in _SAFE else "ready"

    def links(self, row: Row) -> Dependencies:
        """Return what the item waits for, and what waits for it: only what has a name can be named
        by others."""
        links = _columns(row).links
        if not links or not self.name_of(row):
            return _NO_LINKS
        return in_row({key: row[key] for key in links})

    def name_of(self, row: Row) -> str:
        """Return what other rows may call this one, "" for nothing."""
        key = _columns(row).name
        return "" if key is None else _text(row[key])

    def parent(self, row: Row) -> str:
        """Return the id of the item that this is a part of, "" for none."""
        return ""

    def closing(self, item_id: str) -> list[str] | None:
        """Return the command by which the tool that owns the row closes an item."""
        return None


def _ticked(row: Row) -> str:
    """Return the first column that says that the item has ended, "" for none."""
    for key in _columns(row).flags:
        if str(row[key]).strip().removesuffix("\ufe0f").casefold() in _TICKED:
            return key
    return ""


def _dated(row: Row) -> str:
    """Return the first column that says when the item has ended, "" for none."""
    for key in _columns(row).dates:
        if _text(row[key]):
            return key
    return ""


def cell(row: Row, name: str) -> object:
    """Return the value in a column, in whatever letters its name is written."""
    return row[name] if name in row else row.get(_columns(row).spelt.get(name.casefold(), name))


def has(row: Row, *names: str) -> bool:
    """True if a row has columns of these names, in whatever letters."""
    return all(name.casefold() in _columns(row).spelt for name in names)


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, dict | list | bool) else str(value).strip()


FORMAT = Rows()
