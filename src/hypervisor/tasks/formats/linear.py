"""Linear: its CSV export. The dates tell how an issue stands, whatever a team calls its states."""

from __future__ import annotations

from hypervisor.tasks.dependencies import Dependencies
from hypervisor.tasks.formats.rows import Rows, cell, has

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.tasks.formats.rows import Row, StatusClass

_DATES = (("Completed", "done"), ("Canceled", "cancelled"), ("Archived", "cancelled"),
          ("Started", "in_progress"))  # fmt: skip
_UNSTARTED = ("backlog", "todo", "triage")


class Linear(Rows):
    """Issues by id."""

    name = "linear"
    about = "CSV of Linear issues: read only"
    is_work = True
    id_key = "ID"

    def knows(self, row: Row) -> bool:
        return has(row, "ID", "Team", "Title", "Status")

    def state(self, row: Row, word: str, status_class: StatusClass) -> str:
        """Return the class that the dates tell, else that of a word beyond doubt; an export
        without dates has its words only."""
        for column, state in _DATES:
            if str(cell(row, column) or "").strip():
                return state
        if not any(has(row, column) for column, _ in _DATES):
            return "ready" if word.casefold() in _UNSTARTED else status_class(word or None)
        state = super().state(row, word, status_class)
        return "ready" if state == "unknown" else state

    def title(self, row: Row) -> str:
        """Return the title, without the quote that keeps spreadsheets from running it."""
        told = str(cell(row, "Title") or "")
        return told[1:] if told[:1] == "'" and told[1:2] in ("=", "+", "-", "@") else told

    def links(self, row: Row) -> Dependencies:
        told = str(cell(row, "Blocked by") or "").split(",")
        return Dependencies([one.strip() for one in told if one.strip()], [], {}, [], [])

    def parent(self, row: Row) -> str:
        return str(cell(row, "Parent issue") or "").strip()


FORMAT = Linear()
