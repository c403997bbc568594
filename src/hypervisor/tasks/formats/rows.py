"""Rows: of a table, of JSON lines, of a JSON array. A row is never written, whoever owns it."""

from __future__ import annotations

from functools import lru_cache

from hypervisor.tasks.dependencies import Dependencies, folded, in_row
from hypervisor.tasks.formats import Format, Item, Splice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Row = Mapping[str, object]
    StatusClass = Callable[[str | None], str]

_TITLES = ("title", "name", "summary", "prompt", "text")
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
            held=held,
            aliases=(name,) if name else (),
        )

    def title(self, row: Row) -> str:
        """Return the first line of what says what the item is, "" for nothing."""
        by_name = {key.casefold(): key for key in row}
        told = (row[by_name[name]] for name in _TITLES if name in by_name)
        found = next((one for one in told if isinstance(one, str) and one.strip()), "")
        return found.strip().split("\n")[0]

    def word(self, row: Row) -> str:
        """Return the status as written, "" for none."""
        by_name = {key.casefold(): key for key in row}
        told = next((_text(row[by_name[name]]) for name in _STATES if name in by_name), "")
        return told or next((key for key in row if _is_flagged(key, row[key])), "")

    def state(self, row: Row, word: str, status_class: StatusClass) -> str:
        """Return the class of the row's state."""
        told = word not in ("", *row)
        if any(_is_flagged(key, row[key], told=told) for key in row):
            return "done"
        state = status_class(word or None)
        return state if state in _SAFE else "ready"

    def links(self, row: Row) -> Dependencies:
        """Return what the item waits for, and what waits for it: only what has a name can be named
        by others."""
        return in_row(row if self.name_of(row) else {})

    def name_of(self, row: Row) -> str:
        """Return what other rows may call this one, "" for nothing."""
        return next((_text(row[key]) for key in row if key.casefold() in _IDS), "")

    def parent(self, row: Row) -> str:
        """Return the id of the item that this is a part of, "" for none."""
        return ""

    def closing(self, item_id: str) -> list[str] | None:
        """Return the command by which the tool that owns the row closes an item."""
        return None


def _is_flagged(key: str, value: object, *, told: bool = False) -> bool:
    """True if a value says that its row is finished; a date does not where a status is `told`."""
    says = _says(key)
    if says == "date":
        return not told and _text(value) != ""
    return says == "flag" and str(value).strip().removesuffix("\ufe0f").casefold() in _TICKED


@lru_cache(maxsize=1024)
def _says(key: str) -> str:
    name = folded(key)
    return "date" if name in _DATES else "flag" if name.removeprefix("is") in _FLAGS else ""


def cell(row: Row, name: str) -> object:
    """Return the value in a column, in whatever letters its name is written."""
    if name in row:
        return row[name]
    return next((row[key] for key in row if key.casefold() == name.casefold()), None)


def has(row: Row, *names: str) -> bool:
    """True if a row has columns of these names, in whatever letters."""
    return {name.casefold() for name in names} <= {key.casefold() for key in row}


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, dict | list | bool) else str(value).strip()


FORMAT = Rows()
