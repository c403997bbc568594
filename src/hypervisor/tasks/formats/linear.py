"""Linear: its CSV export, and the JSON of its API. The dates tell how an issue stands, or the type
of its state, whatever a team calls its states."""

from __future__ import annotations

from hypervisor.tasks.dependencies import Dependencies
from hypervisor.tasks.formats.rows import Rows, cell, has
from hypervisor.tasks.item import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.tasks.formats.rows import Row, StatusClass

_DATES = (("Completed", "done"), ("Canceled", "cancelled"), ("Archived", "cancelled"),
          ("Started", "in_progress"))  # fmt: skip
_UNSTARTED = ("backlog", "todo", "triage")
_TYPES = {
    "backlog": "ready", "unstarted": "ready", "triage": "ready", "started": "in_progress",
    "completed": "done", "canceled": "cancelled", "duplicate": "cancelled",
}  # fmt: skip


class Linear(Rows):
    """Issues by id."""

    name = "linear"
    about = "CSV or JSON of Linear issues: read only"
    is_work = True
    id_key = "ID"

    def knows(self, row: Row) -> bool:
        return has(row, "ID", "Team", "Title", "Status") or _is_json(row)

    def item(self, row: Row, status_class: StatusClass) -> Item | None:
        """Return the issue."""
        return super().item(_as_table(row) if _is_json(row) else row, status_class)

    def state(self, row: Row, word: str, status_class: StatusClass) -> str:
        """Return the class that the dates tell, else that of a word beyond doubt; an export
        without dates has its words only."""
        if "type" in row:
            return _TYPES.get(str(row["type"]), "unknown")
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
        waits, blocks = (_listed(cell(row, column)) for column in ("Blocked by", "Blocks"))
        return Dependencies(waits, blocks, {}, [], [])

    def parent(self, row: Row) -> str:
        return str(cell(row, "Parent issue") or "").strip()


def _is_json(row: Row) -> bool:
    return isinstance(row.get("state"), dict) and {"identifier", "title"} <= row.keys()


def _as_table(row: Row) -> dict[str, object]:
    """Return the issue of an API with the columns of a table."""
    state = row["state"]
    assert isinstance(state, dict), "it is JSON"
    told: dict[str, object] = {
        "ID": row["identifier"],
        "Title": row["title"],
        "Status": state.get("name"),
        "Priority": row.get("priorityLabel"),
        "Parent issue": _key(row.get("parent")),
        "Blocked by": _linked(row.get("inverseRelations"), "issue"),
        "Blocks": _linked(row.get("relations"), "relatedIssue"),
    }
    return told | {"type": state["type"]} if state.get("type") else told


def _linked(told: object, key: str) -> list[object]:
    nodes = told.get("nodes") if isinstance(told, dict) else told
    links = [one for one in nodes if isinstance(one, dict)] if isinstance(nodes, list) else []
    return [_key(one.get(key)) for one in links if one.get("type") == "blocks"]


def _key(issue: object) -> object:
    return issue.get("identifier") if isinstance(issue, dict) else None


def _listed(told: object) -> list[str]:
    names = told if isinstance(told, list) else str(told or "").split(",")
    return [name for one in names if (name := str(one or "").strip())]


FORMAT = Linear()
