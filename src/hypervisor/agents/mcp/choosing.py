"""Which tasks a caller may have, and in which order."""

from __future__ import annotations

from collections.abc import Iterator

from hypervisor.config.settings import as_name
from hypervisor.intake.index import Entry, TaskIndex
from hypervisor.intake.preflight.unknown import assignees, counted
from hypervisor.system.errors import HypervisorError
from hypervisor.system.text import one_line
from hypervisor.triage import complexity, words


class Choosing:
    """The tasks of an index, as callers may have them."""

    def __init__(self, index: TaskIndex) -> None:
        self.index = index

    def ready(self, caller: str = "", project: str = "") -> Iterator[Entry]:
        """Yield the tasks that the files say are ready, best first, that `caller` may have.

        Those are nobody's, the caller's own, or left to any machine. Without a caller, all but
        those of assignees that nobody knows.
        """
        for entry in self.index.ready():
            if self._is_free_for(entry, caller) and self.fits(entry, caller, project):
                yield entry

    def fits(self, entry: Entry | None, caller: str, project: str) -> bool:
        """Whether an item is of the project, and of a complexity that the caller is held to."""
        task = entry.task if entry is not None else None
        if project and (task is None or (task.project or "").lower() != project.lower()):
            return False
        allowed = self.index.settings.callers.get(caller.lower())
        if not allowed:
            return True
        return entry is not None and self.complexity(entry).lower() in allowed

    def is_bound(self, caller: str) -> bool:
        """Whether a caller is held to some complexity."""
        return bool(self.index.settings.callers.get(caller.lower()))

    def complexity(self, entry: Entry) -> str:
        """Return the complexity of a task: its own word, else what the rules of triage say."""
        task = entry.task
        if task is None:
            return ""
        if task.complexity:
            return task.complexity
        if entry.level is None:
            try:
                found = words.read(self.index.document(entry).body, task.title)
            except (HypervisorError, OSError):
                return ""
            children = bool(self.index.children(entry.id or entry.path))
            kind = task.type or "task"
            entry.level = complexity.classify(found, kind, task.tags, children).complexity
        return entry.level

    def only(self, item_id: str) -> Entry:
        """Return the one task of this id. Raises HypervisorError if there is none, or more."""
        found = [entry for entry in self.index.find(item_id) if entry.task or entry.broken]
        if not found:
            import difflib

            near = difflib.get_close_matches(item_id, self.index.ids(), 1)
            hint = f"the closest id is {one_line(near[0], 80)}" if near else "see list_tasks"
            raise HypervisorError(f"no task '{one_line(item_id, 80)}'", hint)
        if len(found) > 1:
            paths = ", ".join(one_line(entry.path) for entry in found[:5])
            raise HypervisorError(
                f"{len(found)} files have the id {one_line(item_id, 80)}: {paths}",
                "remove the copy, or give it an id of its own",
            )
        if found[0].broken is not None:
            line, what, fix = found[0].broken
            where = found[0].path if line is None else f"{found[0].path}:{line}"
            raise HypervisorError(f"{one_line(where)}: {what}", fix)
        return found[0]

    def unknown(self, caller: str) -> list[str]:
        """Return the assignees but `caller` whom nobody knows, of tasks that nothing else speaks
        against; who has most tasks comes first."""
        tasks = (entry.task for entry in self.index.ready() if entry.task is not None)
        found = counted(assignees(task, self.index.settings) for task in tasks)
        return [one.name for one in found if as_name(one.name) != as_name(caller)]

    def _is_free_for(self, entry: Entry, caller: str) -> bool:
        if entry.task is None or not entry.task.assignees:
            return True
        settings = self.index.settings
        if not caller:
            return not assignees(entry.task, settings)
        names = {as_name(name) for name in entry.task.assignees}
        own = {as_name(caller), as_name(settings.triage.automatable)}
        return names - settings.anyone <= own
