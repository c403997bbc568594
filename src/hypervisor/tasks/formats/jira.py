"""Jira: its CSV export, in which a column stands once for each value that an issue has there, and
the JSON of its REST interface."""

from __future__ import annotations

from hypervisor.system.late import late
from hypervisor.tasks.dependencies import Dependencies, may_say
from hypervisor.tasks.formats.rows import Rows, cell, has
from hypervisor.tasks.item import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypervisor.tasks.formats.rows import Row, StatusClass

# By the name in a table, and by the key in JSON, which is never translated.
_CATEGORIES = {
    "to do": "ready", "in progress": "in_progress", "done": "done",
    "new": "ready", "indeterminate": "in_progress",
}  # fmt: skip
_LINK = late(r"(?i)(inward|outward) issue link \((.+)\)")
# What the issue key is called in other languages, and what only links look like in all of them.
_KEYS = frozenset((
    "vorgangsschlüssel", "clé de ticket", "clé de demande", "clave de incidencia",
    "clave de la incidencia", "chave da item", "chave do item", "chave da ocorrência",
    "chiave ticket", "chiave segnalazione", "issuesleutel", "klucz zgłoszenia", "ключ задачи",
    "ärendenyckel", "課題キー", "이슈 키", "问题关键字", "問題關鍵字",
))  # fmt: skip
_BLOCKS = late(r".*\S \(Blocks\)")
# How it begins what a link says of the issue that waits, and of the other one.
_WAITS = (
    "is blocked", "blocked", "depends", "is dependent", "requires", "needs", "waits", "is waiting",
    "has to be done after", "must be done after",
)  # fmt: skip
_HOLDS_UP = (
    "blocks", "is depended", "is required", "is needed", "has to be done before",
    "must be done before",
)  # fmt: skip


class Jira(Rows):
    """Issues by key; the site's own words are known by their category."""

    name = "jira"
    about = "CSV or JSON of Jira issues: read only"
    is_work = True
    id_key = "Issue key"

    def knows(self, row: Row) -> bool:
        return has(row, "Issue key", "Summary") or _is_json(row)

    def item(self, row: Row, status_class: StatusClass) -> Item | None:
        """Return the issue, which others may call by its number."""
        row = _as_table(row) if _is_json(row) else row
        told = super().item(row, status_class)
        if told is None:
            return None
        told = told._replace(aliases=(*_values(cell(row, "Issue id")),))
        if told.state == "ready" and not told.word and not has(row, "Status Category"):
            why = "its status was not exported: add status to the fields"
            return told._replace(state="waiting", held=why)
        return told

    def state(self, row: Row, word: str, status_class: StatusClass) -> str:
        """Return the class of the category, else of a resolution, else of the word."""
        category = _CATEGORIES.get(str(cell(row, "Status Category") or "").casefold())
        resolution = str(cell(row, "Resolution") or "").strip().casefold()
        if category is None and resolution not in ("", "unresolved"):
            category = "done"
        return category or status_class(word or None)

    def parent(self, row: Row) -> str:
        return next(iter([*_values(cell(row, "Parent key")), *_values(cell(row, "Parent"))]), "")

    def links(self, row: Row) -> Dependencies:
        """Return the issues that block this one, and that it blocks. A site may call its links
        otherwise: which of them blocks the other, such a column does not say."""
        told = Dependencies([], [], {}, [], [])
        for key in _as_table(row) if _is_json(row) else row:
            found = _LINK.fullmatch(key)
            if found is None or not (names := _values(cell(row, key))):
                continue
            if found[2].casefold() == "blocks":
                (told.waits if found[1].casefold() == "inward" else told.blocks).extend(names)
            elif may_say(found[2]):
                told.unread.append(key)
        return told


def is_translated(header: Sequence[str]) -> bool:
    """True for the columns of an export in another language than English."""
    plain = {name.casefold() for name in header}
    return "issue key" not in plain and (
        not plain.isdisjoint(_KEYS) or any(map(_BLOCKS.fullmatch, header))
    )


def _is_json(row: Row) -> bool:
    fields = row.get("fields")
    return (
        isinstance(fields, dict) and "key" in row and not {"summary", "status"}.isdisjoint(fields)
    )


def _as_table(row: Row) -> dict[str, object]:
    """Return the issue of a REST interface with the columns of a table."""
    fields = row["fields"]
    assert isinstance(fields, dict), "it is JSON"
    told: dict[str, object] = {
        "Issue key": row.get("key"),
        "Issue id": row.get("id"),
        "Summary": fields.get("summary"),
        "Resolution": _name(fields.get("resolution")),
        "Priority": _name(fields.get("priority")),
        "Parent": _name(fields.get("parent"), "key"),
    }
    status = fields.get("status")
    if isinstance(status, dict):
        told["Status"] = _name(status)
        told["Status Category"] = _name(status.get("statusCategory"), "key")
    waits: list[object] = []
    blocks: list[object] = []
    links = fields.get("issuelinks")
    for link in links if isinstance(links, list) else ():
        kind = link.get("type") if isinstance(link, dict) else None
        if not isinstance(kind, dict):
            continue
        for way in ("inward", "outward"):
            if (other := _name(link.get(f"{way}Issue"), "key")) is not None:
                phrase = str(kind.get(way) or "").casefold()
                is_block = kind.get("name") == "Blocks"
                if phrase.startswith(_WAITS) or (is_block and way == "inward"):
                    waits.append(other)
                elif phrase.startswith(_HOLDS_UP) or is_block:
                    blocks.append(other)
    return {**told, "Inward issue link (Blocks)": waits, "Outward issue link (Blocks)": blocks}


def _name(value: object, key: str = "name") -> object:
    return value.get(key) if isinstance(value, dict) else None


def _values(cells: object) -> list[str]:
    told = cells if isinstance(cells, list) else [cells]
    return [str(one).strip() for one in told if one and str(one).strip()]


FORMAT = Jira()
