"""Rows: of a table, of JSON lines, of a JSON array. A row is never written, whoever owns it."""

from __future__ import annotations

from hypervisor.system.records import NamedTuple
from hypervisor.tasks.dependencies import Dependencies, in_row, links_in
from hypervisor.tasks.formats import Format, Item, Splice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Row = Mapping[str, object]
    StatusClass = Callable[[str | None], str]

_TITLES = ("title", "name", "summary", "prompt", "text")
_STATES = ("status", "state")
_IDS = ("id", "key", "number", "custom_id")
_FLAGS = ("done", "completed", "closed")
_TICKED = ("true", "yes", "x", "done")
# What a word means in any column of that name; other words are data.
_SAFE = frozenset(("done", "cancelled", "in_progress", "blocked", "draft"))


class _Columns(NamedTuple):
    """The keys of a row by what they hold: `name` what others call it by, if anything does."""

    titles: tuple[str, ...]
    state: str | None
    name: str | None
    flags: tuple[str, ...]
    links: tuple[str, ...]


_NO_LINKS = Dependencies([], [], {}, [], [])
# By all the keys, which most rows have in common.
_known: dict[tuple[str, ...], _Columns] = {}
_MOST_KNOWN = 1000


def _columns(row: Row) -> _Columns:
    keys = (*row,)
    found = _known.get(keys)
    if found is None:
        folded = {key.casefold(): key for key in keys}
        found = _Columns(
            tuple(folded[name] for name in _TITLES if name in folded),
            next((folded[name] for name in _STATES if name in folded), None),
            next((key for key in keys if key.casefold() in _IDS), None),
            tuple(key for key in keys if key.casefold() in _FLAGS),
            tuple(links_in(keys)),
        )
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[keys] = found
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
        columns = _columns(row)
        name = "" if columns.name is None else _text(row[columns.name])
        word = "" if columns.state is None else _text(row[columns.state])
        if columns.flags and not word:
            word = _ticked(row)
        state = self.state(row, word, status_class)
        told, parent = self.links(row), self.parent(row)
        held = f"the value of {told.unread[0]} can't be read as dependencies" \
            if told.unread else ""  # fmt: skip
        return Item(
            _text(row.get(self.id_key)) if self.id_key is not None else "",
            self.title(row),
            state,
            word,
            "",
            0,
            tuple(told.waits),
            parent or None,
            (),
            _text(row.get("priority", row.get("Priority"))) or None,
            tuple(told.blocks),
            -1,
            held,
            (name,) if name else (),
        )

    def title(self, row: Row) -> str:
        """Return the first line of what says what the item is, "" for nothing."""
        for key in _columns(row).titles:
            told = row[key]
            if isinstance(told, str) and (told := told.strip()):
                return told.split("\n", 1)[0]
        return ""

    def state(self, row: Row, word: str, status_class: StatusClass) -> str:
        """Return the class of the row's state."""
        if _ticked(row):
            return "done"
        state = status_class(word or None)
        return state if state in _SAFE else "ready"

    def links(self, row: Row) -> Dependencies:
        """Return what the item waits for, and what waits for it: only what has a name can be named
        by others."""
        columns = _columns(row)
        if not columns.links or columns.name is None or not _text(row[columns.name]):
            return _NO_LINKS
        return in_row({key: row[key] for key in columns.links})

    def parent(self, row: Row) -> str:
        """Return the id of the item that this is a part of, "" for none."""
        return ""

    def closing(self, item_id: str) -> list[str] | None:
        """Return the command by which the tool that owns the row closes an item."""
        return None


def _ticked(row: Row) -> str:
    """Return the first column that says that the item has ended, "" for none."""
    flags = _columns(row).flags
    return next((key for key in flags if str(row[key]).strip().casefold() in _TICKED), "") \
        if flags else ""  # fmt: skip


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, dict | list | bool) else str(value).strip()


FORMAT = Rows()
