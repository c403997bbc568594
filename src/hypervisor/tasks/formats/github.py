"""GitHub: what `gh issue list --json …` or its REST interface prints."""

from __future__ import annotations

from hypervisor.tasks.dependencies import Dependencies
from hypervisor.tasks.formats.rows import Rows
from hypervisor.tasks.item import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.tasks.formats.rows import Row, StatusClass

_DROPPED = frozenset(("not_planned", "duplicate"))


class GitHub(Rows):
    """Issues by number; pull requests come along, and are none."""

    name = "github"
    about = "JSON of GitHub issues: read only"
    is_work = True
    page = 30
    id_key = "number"
    cancelled_will_do = True

    def knows(self, row: Row) -> bool:
        told = str(row.get("state")).casefold()
        return {"number", "title"} <= row.keys() and told in ("open", "closed", "merged")

    def item(self, row: Row, status_class: StatusClass) -> Item | None:
        """Return the issue, None for a pull request."""
        return None if "pull_request" in row else super().item(row, status_class)

    def state(self, row: Row, word: str, status_class: StatusClass) -> str:
        """Return the class of the state, and of the reason why it was closed."""
        if word.casefold() not in ("closed", "merged"):
            return "ready" if word.casefold() == "open" else "unknown"
        why = str(row.get("stateReason") or row.get("state_reason") or "").casefold()
        return "cancelled" if why in _DROPPED else "done"

    def links(self, row: Row) -> Dependencies:
        """Return what newer versions of `gh` say of other issues."""
        waits, blocks = (_numbers(row.get(key), "closed") for key in ("blockedBy", "blocking"))
        return Dependencies(waits, blocks, {}, [], [])

    def parent(self, row: Row) -> str:
        return "".join(_numbers([row.get("parent")]))

    def closing(self, item_id: str) -> list[str] | None:
        """Do as `Rows.closing`; instead of a number, the tool takes the address of any issue."""
        if not (item_id.isascii() and item_id.isdigit()):
            return None
        return ["gh", "issue", "close", item_id, "--reason", "completed"]


def _numbers(nodes: object, but: str | None = None) -> list[str]:
    """Return the numbers of issues, without those whose state is `but`."""
    if isinstance(nodes, dict):
        nodes = nodes.get("nodes")
    found = [one for one in nodes if isinstance(one, dict)] if isinstance(nodes, list) else []
    left = [one for one in found if str(one.get("state")).casefold() != but]
    return [str(one["number"]) for one in left if "number" in one]


FORMAT = GitHub()
