"""compound-engineering: `todos/002-ready-p2-wire-parser.md`. The status stands in the file and in
its name, which its tools look at."""

from __future__ import annotations

import os

from hypervisor.system.late import late
from hypervisor.tasks.family import AOPS
from hypervisor.tasks.task import Family, TaskFiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.config.settings import Settings
    from hypervisor.tasks.read import Document
    from hypervisor.tasks.task import Task

_NAME = late(r"(?i)(\d{3,})-(pending|ready|complete)-(p\d)-(.+\.md)")
_STATES = {"pending": "draft", "ready": "ready", "complete": "done"}


class Compound(TaskFiles):
    """Tasks by number. Where name and front matter disagree, somebody has to say which is right."""

    name = "compound-engineering"
    about = "todos/002-ready-p2-slug.md: the status in the file and in its name"
    always = True

    def family(self, above: str, folder: str) -> Family | None:
        """They are known by the names of the files."""
        return None

    def usual(self) -> Family:
        """Its three words: what is pending has still to be approved of."""
        fields = {**AOPS.fields, "id": "issue_id", "depends_on": "dependencies"}
        words = {"ready": "ready", "done": "complete"}
        return Family(self.name, fields, words, (), states=_STATES, told=True, kind=self)

    def is_task(self, document: Document, family: Family) -> bool:
        return _NAME.fullmatch(os.path.basename(document.path)) is not None

    def amended(self, task: Task, document: Document, settings: Settings) -> Task:
        """Compare with the name, and take from it what the file does not say."""
        found = _NAME.fullmatch(os.path.basename(document.path))
        if found is None:
            return task
        number, word, priority, _ = found.groups()
        by_name = _STATES[word.lower()]
        held, state = "", by_name if task.status is None else task.state
        if state != by_name:
            state = "unknown"
            held = f"its name says {word} and its status '{task.status}': make them one"
        return task.but(
            id=task.id or number, priority=task.priority or priority, held=held, state=state
        )

    def new_name(self, name: str, state: str) -> str:
        """What is done is called complete."""
        found = _NAME.fullmatch(name) if state == "done" else None
        return f"{found[1]}-complete-{found[3]}-{found[4]}" if found else name


FORMAT = Compound()
