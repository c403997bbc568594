"""GitLab: what `glab issue list --output json` or its REST interface prints."""

from __future__ import annotations

from hypervisor.tasks.formats.rows import Rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.tasks.formats.rows import Row, StatusClass

_WORDS = {
    "opened": "ready",
    "open": "ready",
    "reopened": "ready",
    "closed": "done",
    "merged": "done",
}


class GitLab(Rows):
    """Issues by the number that people see."""

    name = "gitlab"
    about = "JSON of GitLab issues: read only"
    is_work = True
    page = 30
    id_key = "iid"

    def knows(self, row: Row) -> bool:
        return {"iid", "title", "state"} <= row.keys()

    def state(self, row: Row, word: str, status_class: StatusClass) -> str:
        return _WORDS.get(word.casefold(), "unknown")

    def closing(self, item_id: str) -> list[str] | None:
        """Do as `Rows.closing`; instead of a number, the tool takes the address of any issue."""
        if not (item_id.isascii() and item_id.isdigit()):
            return None
        return ["glab", "issue", "close", item_id]


FORMAT = GitLab()
