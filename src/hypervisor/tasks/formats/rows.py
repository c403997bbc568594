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
_STATUS_NAMES = ("name", "label", "value", "title", "status")
_IDS = ("id", "key", "number", "custom_id", "task_id", "task id", "uuid", "slug", "name", "#", "no")
# As `folded` returns them, without an `is` before them.
_FLAGS = frozenset(("done", "completed", "complete", "closed", "finished", "resolved"))
_TICKED = frozenset(("true", "yes", "y", "1", "x", "done", "\u2713", "\u2714", "\u2705", "\u2611"))
# When a row was finished, which tells where it has no status.
_DATES = frozenset(("closedat", "completedat", "doneat", "finishedat", "resolvedat"))


class _Columns(NamedTuple):
    """The keys of a row by what they hold: `name` what others call it by, if anything does, `dates`
    when it has ended; `stands` says whether any of them tells how the item stands, `spelt` are all
    of them by their small letters."""

    titles: tuple[str, ...]
    state: str | None
    name: str | None
    flags: tuple[str, ...]
    blocked: str | None
    dates: tuple[str, ...]
    stands: bool
    links: tuple[str, ...]
    spelt: Mapping[str, str]


_NO_LINKS = Dependencies([], [], {}, [], [])
# By all the keys, which most rows have in common.
_known: dict[tuple[str, ...], _Columns] = {}
_MOST_KNOWN = 1000
# The row that was asked about last: it is asked about time and again.
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
        state = next((spelt[name] for name in _STATES if name in spelt), None)
        flags = tuple(key for key in keys if plain[key].removeprefix("is") in _FLAGS)
        blocked = next((key for key in keys if plain[key] in ("blocked", "isblocked")), None)
        dates = tuple(key for key in keys if plain[key] in _DATES)
        found = _Columns(
            tuple(spelt[name] for name in _TITLES if name in spelt),
            state,
            next((spelt[name] for name in _IDS if name in spelt), None),
            flags,
            blocked,
            dates,
            bool(state or flags or blocked or dates),
            tuple(links_in(keys)),
            spelt,
        )
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[keys] = found
    _last = (row, found)
    return found


class Rows(Format):
    """What all rows have in common; those without a tool of their own are known by the words of
    the settings."""

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
        parent, name, title = self.parent(row), self.name_of(row), self.title(row)
        names = (name,) if name else ()
        if _columns(row).links and (label := self.label(row)):
            names = (*names, label)
        held = f"the value of {told.unread[0]} can't be read as dependencies" \
            if told.unread else ""  # fmt: skip
        return Item(
            _text(cell(row, self.id_key)) if self.id_key is not None else "",
            title,
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
            names,
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

    def label(self, row: Row) -> str:
        """Return the title, or the first text, by which another row may call this one."""
        columns = _columns(row)
        keys = columns.titles or [key for key in row if key not in columns.links]
        told = next((row[key] for key in keys if isinstance(row[key], str)), "")
        return str(told).strip().split("\n", 1)[0]

    def word(self, row: Row) -> str:
        """Return the status as written, "" for none."""
        columns = _columns(row)
        if not columns.stands:
            return ""
        told = _said(row[columns.state]) if columns.state is not None else ""
        return told or _ticked(row) or _dated(row) or ("blocked" if _is_blocked(row) else "")

    def state(self, row: Row, word: str, status_class: StatusClass) -> str:
        """Return the class of the row's state; a date tells where there is no word."""
        if not _columns(row).stands:
            return status_class(None)
        if _ticked(row) or (word in row and _dated(row)):
            return "done"
        state = status_class(word or None)
        if state == "ready" and _is_blocked(row):
            return "blocked"
        return "ready" if state == "unknown" and _is_code(row, word) else state

    def state_key(self, row: Row) -> str | None:
        """Return the column that a status is in, None for none."""
        return _columns(row).state

    def links(self, row: Row) -> Dependencies:
        """Return what the item waits for, and what waits for it."""
        links = _columns(row).links
        return in_row({key: row[key] for key in links}) if links else _NO_LINKS

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
    return next((key for key in _columns(row).flags if _is_ticked(row[key])), "")


def _is_code(row: Row, word: str) -> bool:
    """True for what HTTP answers, and for the state of a country: no words of a tracker."""
    if len(word) == 3 and word.isascii() and word.isdigit():
        return word[0] in "12345"
    return len(word) == 2 and word.isascii() and word.isupper() and has(row, "state")


def _is_blocked(row: Row) -> bool:
    key = _columns(row).blocked
    return key is not None and _is_ticked(row[key])


def _is_ticked(value: object) -> bool:
    return str(value).strip().removesuffix("\ufe0f").casefold() in _TICKED


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


def _said(value: object) -> str:
    """Return a status as text, which may be that of an object, or of a list of one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = next((value[key] for key in _STATUS_NAMES if value.get(key)), None)
    return _text(value)


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, dict | list | bool) else str(value).strip()


FORMAT = Rows()
