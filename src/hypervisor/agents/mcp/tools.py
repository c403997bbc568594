"""The tools: what each takes, as its client is told, and what it answers. Failures are answers too:
nothing is raised to the client."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Iterable

from hypervisor.agents.mcp.answers import brief, failure, odd_files, of_claim, whole
from hypervisor.agents.mcp.claims import Dispatch
from hypervisor.agents.mcp.writing import create, update
from hypervisor.config.roots import refuse_all
from hypervisor.intake.index import Entry, TaskIndex
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.text import count, one_line

VERSION = 2
_BLOCKED = (
    "blocked", "waiting", "waits_for", "waits_in_batch", "missing_dependency", "cycle",
)  # fmt: skip


# What models write as a number or as text, and as one word or as several.
Id = str | int
Words = list[str] | str | None
# In the order in which a client is told of them.
NAMES = (
    "claim_next_task", "get_task", "complete_task", "block_task", "release_task", "suggest_task",
    "update_task", "create_task", "list_tasks", "get_ready_tasks", "get_blocked_tasks",
    "get_children", "get_index_stats",
)  # fmt: skip


class Tools:
    """The tools of one server: the methods of these NAMES, whose docstrings its client reads."""

    def __init__(self, index: TaskIndex, dispatch: Dispatch) -> None:
        self.index = index
        self.dispatch = dispatch
        self._counts: tuple[dict[str, int], dict[str, dict[str, int]]] = {}, {}
        self._counts_of = -1

    def answer(self, call: Callable[[], dict[str, object]]) -> dict[str, object]:
        """Return what `call` answers about the tasks as they are now, or why it can't."""
        try:
            refuse_all(self.index.root)
            self.index.refresh()
            return {"success": True} | call()
        except HypervisorError as error:
            return failure(self._shown(str(error)), task=None)
        except OSError as error:
            where = f"{one_line(error.filename)}: " if error.filename else ""
            return failure(self._shown(f"{where}{error.strerror or error}"), task=None)

    # -- claims and their ends --

    def claim_next_task(self, caller: str, project: str = "") -> dict[str, object]:
        """Claim the next task for `caller`, of `project` if given. Nobody else gets it."""
        claim, why = self.dispatch.claim(caller, project)
        if claim is None:
            return {"message": f"QUEUE EMPTY: {why}", "task": None}
        task = of_claim(self.index, claim)
        return {"message": f"claimed {one_line(claim.id, 80)}", "task": task}

    def complete_task(
        self,
        id: Id,
        force: bool = False,
        summary: str = "",
        commit: str = "",
        caller: str = "",
        note: str = "",
        answer: dict[str, object] | None = None,
    ) -> dict[str, object]:
        """Complete a task; `summary` says what was done, `note` what its owner should know beside
        it, `answer` is what its `answer_schema` asks for. Refused while boxes are open, unless
        `force`, and while the answer does not fit."""
        report: dict[str, object] = {**_given(summary=summary, commit=commit, note=note)}
        if answer is not None:
            report["answer"] = answer
        elif not summary.strip():
            report["summary"] = "Completed through task_manager."
        ended = self.dispatch.done(str(id), report, caller=caller, force=force)
        stands = "complete before, so this report was not kept:"
        return self._ended(str(id), "completed" if ended else stands)

    def block_task(
        self,
        id: Id,
        reason: str = "",
        evidence: str = "",
        next_step: str = "",
        caller: str = "",
        note: str = "",
    ) -> dict[str, object]:
        """End a task as blocked, with the reason why it can't be done."""
        told = _given(reason=reason, evidence=evidence, next_step=next_step, note=note)
        if "reason" not in told:
            raise UsageError("a block needs a reason", "say in a sentence what is in the way")
        self.dispatch.block(str(id), {**told}, caller=caller)
        return self._ended(str(id), "blocked")

    def release_task(self, id: Id, reason: str = "") -> dict[str, object]:
        """Give a claimed task back, so that another worker gets it."""
        state = self.dispatch.release(str(id), reason.strip())
        return {"message": f"released {one_line(id, 80)}: it is {state}"}

    def suggest_task(self, id: Id, title: str, body: str = "") -> dict[str, object]:
        """Tell of more work, found while you have the task `id`; a person decides on it. At most 5
        for one task."""
        made = one_line(self.dispatch.suggest(str(id), title, body), 120)
        return {"message": f"suggested {made}; a person decides on it", "suggested": made}

    def _ended(self, item_id: str, how: str) -> dict[str, object]:
        self.index.refresh()
        found = [entry for entry in self.index.find(item_id) if entry.task is not None]
        task = whole(self.index, found[0]) if len(found) == 1 else None
        return {"message": f"{how} {one_line(item_id, 80)}", "task": task}

    # -- one task --

    def get_task(self, id: Id) -> dict[str, object]:
        """Return one task: its fields, body, children and the tasks that it blocks."""
        entry = self.dispatch.choosing.only(str(id))
        task = whole(self.index, entry)
        holder = self.dispatch.holder(entry.id or entry.path)
        held = {"held": holder} if holder else {}
        return {"message": f"task {one_line(id, 80)}", "task": task, **held}

    def update_task(
        self,
        id: Id,
        title: str | None = None,
        type: str | None = None,
        status: str | None = None,
        priority: Id | None = None,
        order: Id | None = None,
        parent: str | None = None,
        depends_on: Words = None,
        soft_depends_on: Words = None,
        due: str | None = None,
        project: str | None = None,
        tags: Words = None,
        assignee: str | None = None,
        complexity: str | None = None,
        body: str = "",
        replace_body: bool = False,
        force: bool = False,
    ) -> dict[str, object]:
        """Change fields of a task; "" clears one. `body` is added, unless `replace_body`."""
        told: dict[str, object] = {
            "title": title, "type": type, "status": status, "priority": priority, "order": order,
            "parent": parent, "depends_on": depends_on, "soft_depends_on": soft_depends_on,
            "due": due, "project": project, "tags": tags, "assignee": assignee,
            "complexity": complexity,
        }  # fmt: skip
        fields = {name: value for name, value in told.items() if value is not None}
        entry = self.dispatch.choosing.only(str(id))
        item_id = entry.id or entry.path
        if status is not None and not force:
            self._refuse_status(item_id, entry, status)
        changed = update(
            self.index.root,
            entry.path,
            item_id,
            fields,
            self.index.settings,
            body=body,
            replace_body=replace_body,
        )
        self.index.refresh()
        now = self.index.at(entry.path)
        task = whole(self.index, now) if now is not None and now.task is not None else None
        what = ", ".join(changed) if changed else "nothing"
        message = f"updated {one_line(id, 80)}: {what}"
        return {"message": message, "task": task, "modified_fields": changed}

    def create_task(
        self,
        task_title: str,
        type: str = "",
        project: str = "",
        parent: str = "",
        depends_on: Words = None,
        soft_depends_on: Words = None,
        order: Id | None = None,
        priority: Id | None = None,
        due: str = "",
        tags: Words = None,
        body: str = "",
        assignee: str = "",
        complexity: str = "",
        status: str = "",
    ) -> dict[str, object]:
        """Make a new task in a file of its own."""
        fields: dict[str, object] = {
            "title": task_title, "type": type, "project": project, "parent": parent,
            "depends_on": depends_on, "soft_depends_on": soft_depends_on, "order": order,
            "priority": priority, "due": due, "tags": tags, "assignee": assignee,
            "complexity": complexity, "status": status,
        }  # fmt: skip
        made = create(self.index, fields, body)
        assert made.task is not None
        task, named = whole(self.index, made), [made.task.parent, *made.task.depends_on]
        unknown = [one_line(one, 80) for one in named if one and not self.index.find(one)]
        note = f"; there is no task {', '.join(unknown)}" if unknown else ""
        return {"message": f"created {made.id} in {one_line(made.path)}{note}", "task": task}

    def _refuse_status(self, item_id: str, entry: Entry, status: str) -> None:
        """Refuse a status that belongs to the one who works on the task, or to a report."""
        holder = self.dispatch.holder(item_id)
        if holder:
            raise UsageError(f"{one_line(item_id, 80)} is {holder}", "its status is theirs to set")
        if self.index.settings.status_class(status or None) == "done":
            raise UsageError(
                "a task is completed with a report", "call complete_task, with force if need be"
            )

    # -- many tasks --

    def list_tasks(
        self,
        project: str = "",
        status: str = "",
        type: str = "",
        priority: Id | None = None,
        priority_max: int | None = None,
        assignee: str = "",
        complexity: str = "",
        limit: int = 50,
    ) -> dict[str, object]:
        """List tasks by their fields, without bodies; `limit` 0 lists all."""
        wanted: dict[str, object] = {
            "project": project, "status": status, "type": type, "priority": priority,
            "priority_max": priority_max, "assignee": assignee, "complexity": complexity,
        }  # fmt: skip
        found = (entry for entry in self.index.entries() if _is(entry, wanted))
        return self._listed(found, limit) | odd_files(self.index)

    def get_ready_tasks(
        self, project: str = "", caller: str = "", limit: int = 1
    ) -> dict[str, object]:
        """List what can be worked on now, best first; `total` counts all."""
        taken = self.dispatch.elsewhere()
        found = [
            entry
            for entry in self.dispatch.choosing.ready(caller, project)
            if (entry.id or entry.path) not in taken
        ]
        return self._listed(found, limit) | odd_files(self.index)

    def get_blocked_tasks(self, project: str = "", limit: int = 50) -> dict[str, object]:
        """List tasks that are blocked or wait for others, each with the reason."""
        found = [entry for entry in self.index.entries() if _is_blocked(entry, project)]
        return self._listed(found, limit, reasons=True) | odd_files(self.index)

    def get_children(self, id: Id) -> dict[str, object]:
        """List the tasks that name this one as their parent."""
        entry = self.dispatch.choosing.only(str(id))
        return self._listed(self.index.children(entry.id or entry.path), 0)

    def get_index_stats(self, include_projects: bool = False) -> dict[str, object]:
        """Count the tasks: all, ready, blocked, by status, type and project."""
        taken = self.dispatch.elsewhere()
        free = self.dispatch.choosing.ready()
        ready = sum((entry.id or entry.path) not in taken for entry in free)
        numbers, tables = self._counted()
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        stats: dict[str, object] = {**numbers, **tables, "ready": ready, "generated": now}
        if not include_projects:
            del stats["projects"]
        message = f"{count(numbers['total'], 'task')}, {ready} ready, {numbers['blocked']} blocked"
        return {"message": message, "stats": stats} | odd_files(self.index)

    def _counted(self) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
        """Count what the files tell, anew only if they changed: all, and by a field's values."""
        if self._counts_of != self.index.version:
            entries = self.index.entries()
            tasks = [entry.task for entry in entries if entry.task is not None]

            def by(name: str) -> dict[str, int]:
                return dict(Counter(getattr(one, name) or "none" for one in tasks).most_common())

            numbers = {
                "version": VERSION,
                "total": len(tasks),
                "blocked": sum(_is_blocked(entry, "") for entry in entries),
                "roots": sum(not task.parent for task in tasks),
            }
            tables = {"by_status": by("status"), "by_type": by("type"), "projects": by("project")}
            self._counts, self._counts_of = (numbers, tables), self.index.version
        return self._counts

    def _listed(
        self, found: Iterable[Entry], limit: int, *, reasons: bool = False
    ) -> dict[str, object]:
        entries = list(found)
        shown = entries if limit <= 0 else entries[:limit]
        tasks = [brief(self.index, entry) for entry in shown]
        for task, entry in zip(tasks, shown, strict=True) if reasons else ():
            assert entry.verdict is not None
            task["reason"] = entry.verdict.reason
        all = count(len(entries), "task")
        message = f"{len(tasks)} of {all}" if len(entries) > len(shown) else all
        return {"message": message, "tasks": tasks, "count": len(tasks), "total": len(entries)}

    def _shown(self, text: str) -> str:
        return text.replace(f"{self.index.root}/", "")


def _is_blocked(entry: Entry, project: str) -> bool:
    if entry.verdict is None or entry.verdict.kind not in _BLOCKED:
        return False
    return not project or (entry.task is not None and _same(entry.task.project, project))


def _is(entry: Entry, wanted: dict[str, object]) -> bool:
    """Whether a task has the wanted values; what is empty or None is not asked for."""
    task = entry.task
    assert task is not None
    for name, value in wanted.items():
        if value in (None, ""):
            continue
        if name == "priority_max":
            if entry.judged is None or entry.judged.rank[0] > float(str(value)):
                return False
        elif name == "priority":
            if not (_same(task.priority, value) or _same(f"p{task.priority}", value)):
                return False
        elif not _same(getattr(task, name), value):
            return False
    return True


def _same(one: object, other: object) -> bool:
    return str(one or "").lower() == str(other).lower()


def _given(**texts: str) -> dict[str, str]:
    return {name: text.strip() for name, text in texts.items() if text.strip()}
