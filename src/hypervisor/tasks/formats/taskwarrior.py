"""Taskwarrior: what `task export` prints."""

from __future__ import annotations

import time

from hypervisor.tasks.dependencies import Dependencies
from hypervisor.tasks.formats.rows import Rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.tasks.formats.rows import Row, StatusClass

_HEX = frozenset("0123456789abcdefABCDEF-")
# What the tool takes for the beginning of one.
_SHORTEST = 8
_WORDS = {
    "pending": "ready",
    "waiting": "waiting",
    "recurring": "draft",
    "completed": "done",
    "deleted": "cancelled",
}


class Taskwarrior(Rows):
    """Tasks by uuid: their numbers change with each run of the tool."""

    name = "taskwarrior"
    about = "task export: read only"
    is_work = True
    id_key = "uuid"
    cancelled_will_do = True

    def knows(self, row: Row) -> bool:
        return {"uuid", "description", "entry"} <= row.keys()

    def title(self, row: Row) -> str:
        return str(row.get("description") or "").split("\n")[0]

    def state(self, row: Row, word: str, status_class: StatusClass) -> str:
        """Return the class of the status; what is put off waits, what was started is taken."""
        state = _WORDS.get(word, "unknown")
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        if state == "ready" and any(str(row.get(key) or "") > now for key in ("wait", "scheduled")):
            return "waiting"
        return "in_progress" if state == "ready" and row.get("start") else state

    def links(self, row: Row) -> Dependencies:
        """Return the tasks that this one depends on; older versions list them in one text."""
        told = row.get("depends")
        waits = told if isinstance(told, list) else str(told or "").split(",")
        return Dependencies([str(one) for one in waits if one], [], {}, [], [])

    def closing(self, item_id: str) -> list[str] | None:
        """Do as `Rows.closing`; what is no uuid may be a filter of many, or a setting such as
        `rc:FILE`."""
        if len(item_id) < _SHORTEST or not _HEX.issuperset(item_id):
            return None
        return ["task", item_id, "done"]


FORMAT = Taskwarrior()
