"""GitHub: what `gh issue list --json …` or its REST interface prints."""

from __future__ import annotations

from hypervisor.tasks.dependencies import Dependencies
from hypervisor.tasks.formats.rows import Rows
from hypervisor.tasks.item import Item

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.tasks.formats.rows import Row, StatusClass

_UNNAMED = "blocked by issues that are not named: have gh issue list --json tell blockedBy, too"
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
        """Return the issue, None for a pull request. Others that it counts, and does not name, keep
        it, too."""
        told = None if "pull_request" in row else super().item(row, status_class)
        if told is None or told.state != "ready":
            return told
        if _count(row, "blocked_by", "issue_dependencies_summary") > 0 and not told.depends_on:
            return told._replace(state="waiting", held=_UNNAMED)
        blockers = row.get("blockedBy")
        if _count(row, "totalCount", "blockedBy") > len(_nodes(blockers)):
            return told._replace(state="waiting", held=_UNNAMED)
        parts = _numbers(row.get("subIssues"), "closed")
        for key in ("sub_issues_summary", "subIssuesSummary"):
            parts += ["?"] * (_count(row, "total", key) - _count(row, "completed", key))
        return told._replace(state="") if parts else told

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
        url = str(row.get("parent_issue_url") or "")
        return "".join(_numbers([row.get("parent")])) or url.rpartition("/")[2]

    def closing(self, item_id: str) -> list[str] | None:
        """Do as `Rows.closing`; instead of a number, the tool takes the address of any issue."""
        if not (item_id.isascii() and item_id.isdigit()):
            return None
        return ["gh", "issue", "close", item_id, "--reason", "completed"]


def _numbers(nodes: object, but: str | None = None) -> list[str]:
    """Return the numbers of issues, without those whose state is `but`."""
    left = [one for one in _nodes(nodes) if str(one.get("state")).casefold() != but]
    return [str(one["number"]) for one in left if "number" in one]


def _nodes(told: object) -> list[dict[str, object]]:
    if isinstance(told, dict):
        told = told.get("nodes")
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


def _count(row: Row, key: str, of: str) -> int:
    """Return a number in what the row says of others."""
    told = row.get(of)
    number = told.get(key) if isinstance(told, dict) else 0
    return number if isinstance(number, int) else 0


FORMAT = GitHub()
