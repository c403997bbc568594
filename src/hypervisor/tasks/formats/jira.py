"""Jira: its CSV export, in which a column stands once for each value that an issue has there."""

from __future__ import annotations

from hypervisor.tasks.dependencies import Dependencies
from hypervisor.tasks.formats.rows import Rows, cell, has
from hypervisor.tasks.item import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.tasks.formats.rows import Row, StatusClass

_CATEGORIES = {"to do": "ready", "in progress": "in_progress", "done": "done"}


class Jira(Rows):
    """Issues by key; the site's own words are known by their category."""

    name = "jira"
    about = "CSV of Jira issues: read only"
    is_work = True
    id_key = "Issue key"

    def knows(self, row: Row) -> bool:
        return has(row, "Issue key", "Summary")

    def state(self, row: Row, word: str, status_class: StatusClass) -> str:
        """Return the class of the category, else of a resolution, else of the word."""
        category = _CATEGORIES.get(str(cell(row, "Status Category") or "").casefold())
        resolution = str(cell(row, "Resolution") or "").strip().casefold()
        if category is None and resolution not in ("", "unresolved"):
            category = "done"
        return category or status_class(word or None)

    def item(self, row: Row, status_class: StatusClass) -> Item | None:
        """Return the issue, which others may call by its number."""
        told = super().item(row, status_class)
        return told and told._replace(aliases=(*_values(cell(row, "Issue id")),))

    def parent(self, row: Row) -> str:
        return next(iter([*_values(cell(row, "Parent key")), *_values(cell(row, "Parent"))]), "")

    def links(self, row: Row) -> Dependencies:
        """Return the issues that block this one, and that it blocks."""
        waits, blocks = (
            _values(cell(row, f"{way} issue link (Blocks)")) for way in ("Inward", "Outward")
        )
        return Dependencies(waits, blocks, {}, [], [])


def _values(cells: object) -> list[str]:
    told = cells if isinstance(cells, list) else [cells]
    return [str(one).strip() for one in told if one and str(one).strip()]


FORMAT = Jira()
