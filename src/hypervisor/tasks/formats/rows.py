"""Rows: of a table, of JSON lines, of a JSON array. A row is never written, whoever owns it."""

from __future__ import annotations

from hypervisor.tasks.dependencies import Dependencies, entries_of
from hypervisor.tasks.formats import Format, Item, Splice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Set

    Row = Mapping[str, object]
    StatusClass = Callable[[str | None], str]

_TITLES = ("title", "name", "summary", "prompt", "text")
_STATES = ("status", "state")
_FLAGS = ("done", "completed", "closed")
# What a word means in any column of that name; other words are data.
_SAFE = frozenset(("done", "cancelled", "in_progress", "blocked", "draft"))


class Rows(Format):
    """What all rows have in common; without a tool of their own, a status counts where its word is
    beyond doubt."""

    name = "rows"
    about = "CSV, TSV, JSON lines or a JSON array: a row an item, with --instructions"
    is_work = False
    id_key: str | None = None

    def recognises(self, path: str, text: str) -> bool:
        """Rows are known by their columns; see `knows`."""
        return False

    def items(self, path: str, text: str) -> list[Item]:
        """Rows are read one by one; see `item`."""
        return []

    def mark(self, text: str, item: Item, state: str) -> list[Splice] | None:
        """Nothing is written."""
        return None

    def knows(self, columns: Set[str]) -> bool:
        """True if rows with these columns are this tool's."""
        return True

    def item(self, row: Row, status_class: StatusClass) -> Item | None:
        """Return what a row says of its item, its `id` "" where it has none of its own; None for a
        row that is none. `status_class` gives the class of a status word."""
        word = self.word(row)
        state = self.state(row, word, status_class)
        told = self.links(row)
        parent = self.parent(row)
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
        )

    def title(self, row: Row) -> str:
        """Return the first line of what says what the item is, "" for nothing."""
        folded = {key.casefold(): key for key in row}
        told = (row[folded[name]] for name in _TITLES if name in folded)
        found = next((one for one in told if isinstance(one, str) and one.strip()), "")
        return found.strip().split("\n")[0]

    def word(self, row: Row) -> str:
        """Return the status as written, "" for none."""
        folded = {key.casefold(): key for key in row}
        return next((_text(row[folded[name]]) for name in _STATES if name in folded), "")

    def state(self, row: Row, word: str, status_class: StatusClass) -> str:
        """Return the class of the row's state."""
        if any(row.get(key) is True for key in row if key.casefold() in _FLAGS):
            return "done"
        state = status_class(word or None)
        return state if state in _SAFE else "ready"

    def links(self, row: Row) -> Dependencies:
        """Return what the item waits for, and what waits for it."""
        return entries_of(())

    def parent(self, row: Row) -> str:
        """Return the id of the item that this is a part of, "" for none."""
        return ""

    def closing(self, item_id: str) -> list[str] | None:
        """Return the command by which the tool that owns the row closes an item."""
        return None


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, dict | list | bool) else str(value).strip()


FORMAT = Rows()
