"""beads: `.beads/issues.jsonl`, an export of its database. What is written there is lost."""

from __future__ import annotations

import os

from hypervisor.tasks.dependencies import Dependencies, in_row
from hypervisor.tasks.formats.rows import Rows
from hypervisor.tasks.formats.tbd import is_later
from hypervisor.tasks.item import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.tasks.formats.rows import Row, StatusClass

_WORDS = {
    "open": "ready",
    "in_progress": "in_progress",
    "hooked": "in_progress",
    "blocked": "blocked",
    "deferred": "waiting",
    "closed": "done",
}
# Notes and machinery of the tool.
_NO_ITEMS = frozenset(("gate", "molecule", "message", "agent", "role", "rig", "merge-request"))
_NO_STATES = frozenset(("pinned", "tombstone"))


class Beads(Rows):
    """Issues by id; an epic is a container of others."""

    name = "beads"
    about = "issues.jsonl of beads: an export, read only"
    is_work = True
    id_key = "id"
    waits_with_parent = True

    def below(self, folder: str) -> list[str]:
        """`.beads` stands for the export in it."""
        files = (os.path.join(folder, name) for name in ("issues.jsonl", "beads.jsonl"))
        named = os.path.basename(os.path.realpath(folder)) == ".beads"
        return [file for file in files if named and os.path.isfile(file)][:1]

    def knows(self, row: Row) -> bool:
        """By the kind that each issue has, or where that is left out by its times."""
        issue = {"id", "title", "status"} <= row.keys()
        timed = {"priority", "created_at", "updated_at"} <= row.keys()
        return (issue and ("issue_type" in row or timed)) or "_type" in row

    def item(self, row: Row, status_class: StatusClass) -> Item | None:
        """Return the issue, None for what the tool keeps beside issues."""
        if row.get("issue_type") in _NO_ITEMS or row.get("status") in _NO_STATES:
            return None
        if "_type" in row or row.get("pinned") or row.get("ephemeral") or row.get("is_template"):
            return None
        told = super().item(row, status_class)
        other = _link(row, "conditional-blocks")
        if told and other and told.state == "ready":
            why = f"it is for the case that {other} fails: work on it by hand then"
            return told._replace(state="waiting", held=why)
        return told

    def state(self, row: Row, word: str, status_class: StatusClass) -> str:
        """Return the class of the tool's own word; an epic is worked on by its children."""
        later = word == "open" and is_later(str(row.get("defer_until") or ""))
        state = "waiting" if later else _WORDS.get(word, "unknown")
        by_parts = row.get("issue_type") == "epic" and state in ("ready", "in_progress")
        return "" if by_parts else state

    def links(self, row: Row) -> Dependencies:
        """Return what the issue says it waits for; it is the one that waits, whatever the type."""
        told = in_row({"dependencies": row.get("dependencies")})
        parents = {self.parent(row)}
        return told._replace(waits=[one for one in told.waits if one not in parents])

    def parent(self, row: Row) -> str:
        return _link(row, "parent-child") or str(row.get("parent") or "")

    def closing(self, item_id: str) -> list[str]:
        return ["bd", "close", item_id, "--reason", "done"]


def _link(row: Row, kind: str) -> str:
    """Return the id of the first issue that a link of this kind leads to, "" for none."""
    links = row.get("dependencies")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("type") == kind:
            return str(link.get("depends_on_id") or "")
    return ""


FORMAT = Beads()
