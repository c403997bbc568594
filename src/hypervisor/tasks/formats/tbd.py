"""tbd: `.tbd/…/issues/is-….md`, which its tool owns. What an issue blocks stands in that issue."""

from __future__ import annotations

import os

from hypervisor.tasks.family import AOPS
from hypervisor.tasks.task import Family, TaskFiles
from hypervisor.tasks.task_files import parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.config.settings import Settings
    from hypervisor.tasks.read import Document
    from hypervisor.tasks.task import Task

_STATES = {
    "open": "ready",
    "in_progress": "in_progress",
    "blocked": "blocked",
    "deferred": "waiting",
    "closed": "done",
}
_HOLDS = {"blocked": "blocked", "paused": "waiting"}


class Tbd(TaskFiles):
    """Issues by id. A merge of its tool loses what was written by hand, so nothing is."""

    name = "tbd"
    about = "issues of tbd: read only, its tool owns them"
    writes = False

    def family(self, above: str, folder: str) -> Family | None:
        """Anywhere below `.tbd`."""
        inside = parts(folder, above)
        return self.usual() if inside[:1] == [".tbd"] else None

    def usual(self) -> Family:
        fields = {
            **AOPS.fields, "type": "kind", "parent": "parent_id", "tags": "labels",
            "assignee": "delegate", "depends_on": "depends_on",
        }  # fmt: skip
        return Family(self.name, fields, {}, (), states=_STATES, told=True, kind=self)

    def is_task(self, document: Document, family: Family) -> bool:
        return os.path.basename(document.path).startswith("is-")

    def amended(self, task: Task, document: Document, settings: Settings) -> Task:
        """An open issue may be on hold, put off, or delegated; a closed one may be cancelled."""
        hold = document.raw_text("hold")
        state = task.state
        if state == "done" and document.raw_text("resolution") in ("canceled", "duplicate"):
            state = "cancelled"
        elif state == "ready" and task.assignee:
            state = "in_progress"
        elif state == "ready" and hold:
            state = _HOLDS.get(hold, "waiting")
        elif state == "ready" and is_later(document.raw_text("deferred_until")):
            state = "waiting"
        # Whom it is delegated to is at it: that is no question of persons.
        return task.but(state=state, assignee=None, assignees=[])

    def closing(self, task_id: str) -> list[str]:
        return ["tbd", "close", task_id, "--reason", "done"]


def is_later(stamp: str | None) -> bool:
    """True if an ISO date, or a time, is still to come; what is none of them is taken to be."""
    if not stamp:
        return False
    from datetime import UTC, datetime

    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        return True
    return (at if at.tzinfo else at.replace(tzinfo=UTC)) > datetime.now(UTC)


FORMAT = Tbd()
