"""taskmd: the Markdown files below the folder that `.taskmd.yaml` names."""

from __future__ import annotations

import os

from hypervisor.system.late import late
from hypervisor.tasks.family import AOPS
from hypervisor.tasks.task import Family, TaskFiles
from hypervisor.tasks.task_files import parts, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.config.settings import Settings
    from hypervisor.tasks.read import Document
    from hypervisor.tasks.task import Task

_WORDS = {
    "ready": "pending",
    "in_progress": "in-progress",
    "blocked": "blocked",
    "done": "completed",
    "cancelled": "cancelled",
}
_STATES = {word: state for state, word in _WORDS.items()}
_SKIPPED = frozenset(("node_modules", "vendor", "dist", "build", "out", "target"))
_DIR = late(r"(?m)^dir:[ \t]*[\"']?([^\"'#\r\n]*?)[\"']?[ \t]*(?:#.*)?\r?$")
_NAME = late(r"(\d+)-(.+)\.md")


class Taskmd(TaskFiles):
    """Tasks by id, which is a text: `001` is not `1`."""

    name = "taskmd"
    about = "tasks of taskmd: Markdown files below the dir of .taskmd.yaml"

    def family(self, above: str, folder: str) -> Family | None:
        """Below the folder of the configuration, `tasks` by itself."""
        text = text_of(above, ".taskmd.yaml") or text_of(above, ".taskmd.yml")
        told = _DIR.search(text)
        own = os.path.normpath(os.path.join(above, told[1] if told and told[1] else "tasks"))
        inside = parts(folder, own)
        if inside[:1] == [".."]:
            return None
        skipped = [name for name in inside if name in _SKIPPED]
        return self.usual().but(detect=(*skipped,))

    def usual(self) -> Family:
        """Its own words; what a task touches is worked on by one at a time."""
        fields = {**AOPS.fields, "depends_on": "dependencies", "files": "touches"}
        return Family(self.name, fields, _WORDS, (), states=_STATES, told=True, kind=self)

    def is_task(self, document: Document, family: Family) -> bool:
        """Not in the folders that the tool leaves out."""
        return not family.detect

    def amended(self, task: Task, document: Document, settings: Settings) -> Task:
        """An id that the file does not give is in its name."""
        found = _NAME.fullmatch(os.path.basename(document.path))
        return task.but(id=found[1]) if task.id is None and found else task


FORMAT = Taskmd()
