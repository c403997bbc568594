"""ccpm: `.claude/epics/NAME/`, a numbered file a task beside `epic.md`."""

from __future__ import annotations

import os
import time

from hypervisor.system.late import late
from hypervisor.tasks.edit import SetKey
from hypervisor.tasks.family import AOPS
from hypervisor.tasks.header_edit import Stamp
from hypervisor.tasks.task import Family, TaskFiles
from hypervisor.tasks.task_files import parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.config.settings import Settings
    from hypervisor.tasks.edit import Edit
    from hypervisor.tasks.read import Document
    from hypervisor.tasks.task import Task

_TASK = late(r"\d+\.md")
_WORDS = {"ready": "open", "in_progress": "in-progress", "done": "closed"}
_STATES = {
    "open": "ready",
    "in-progress": "in_progress",
    "closed": "done",
    "completed": "done",
}


class Ccpm(TaskFiles):
    """Tasks by the number that their file is called by."""

    name = "ccpm"
    about = "epics of ccpm: .claude/epics/NAME/12.md beside epic.md"

    def family(self, above: str, folder: str) -> Family | None:
        """Beside an epic, or below all of them, or where their plans are."""
        inside = parts(folder, above)
        if inside[:2] in ([".claude", "epics"], [".claude", "prds"]):
            return self.usual()
        epics = os.path.basename(os.path.dirname(above)) == "epics"
        beside = epics and os.path.isfile(os.path.join(above, "epic.md"))
        return self.usual() if beside and inside[:1] in ([], ["updates"]) else None

    def usual(self) -> Family:
        """Its own words, and no others for what is ready."""
        return Family(
            self.name, {**AOPS.fields, "title": "name"}, _WORDS, (), states=_STATES, told=True,
            kind=self,
        )  # fmt: skip

    def is_task(self, document: Document, family: Family) -> bool:
        """A number is all of its name, and it lies beside its epic."""
        folder, name = os.path.split(document.path)
        return bool(_TASK.fullmatch(name)) and "updates" not in folder.split("/")[-2:]

    def amended(self, task: Task, document: Document, settings: Settings) -> Task:
        """Two that are in conflict are never out at once, and what is not parallel goes alone."""
        apart = [os.path.basename(document.path)]
        if (document.raw_text("parallel") or "").casefold() in ("false", "no"):
            apart = ["."]
        one = document.raw_text("conflicts_with")
        told = document.raw_list("conflicts_with") or ([one] if one else [])
        apart += [f"{int(other)}.md" if other.isdigit() else other for other in told]
        # Numbers are written with zeros until they are those of an issue.
        apart += [f"{other}.md" for other in told if other.isdigit()]
        return task.but(apart=tuple(dict.fromkeys(apart)))

    def ending(self, document: Document, task: Task, state: str, at: float) -> list[Edit]:
        return [SetKey("updated", Stamp(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))))]


FORMAT = Ccpm()
