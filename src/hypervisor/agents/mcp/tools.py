"""What each tool answers. Failures are answers too: nothing is raised to the client."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

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


class Tools:
    """The tools of one server. Each method returns what its tool answers."""

    def __init__(self, index: TaskIndex, dispatch: Dispatch) -> None:
        self.index = index
        self.dispatch = dispatch
        self._counts: dict[str, Any] = {}
        self._counts_of = -1

    def answer(self, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
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

    def claim_next_task(self, caller: str, project: str) -> dict[str, Any]:
        claim, why = self.dispatch.claim(caller, project)
        if claim is None:
            return {"message": f"QUEUE EMPTY: {why}", "task": None}
        task = of_claim(self.index, claim)
        return {"message": f"claimed {one_line(claim.id, 80)}", "task": task}

    def complete_task(
        self, id: str, force: bool, summary: str, commit: str, caller: str, note: str
    ) -> dict[str, Any]:
        report = {"summary": summary.strip() or "Completed through task_manager."}
        report |= _given(commit=commit, note=note)
        self.dispatch.done(id, report, caller=caller, force=force)
        return self._ended(id, "completed")

    def block_task(
        self, id: str, reason: str, evidence: str, next_step: str, caller: str, note: str
    ) -> dict[str, Any]:
        told = _given(reason=reason, evidence=evidence, next_step=next_step, note=note)
        if "reason" not in told:
            raise UsageError("a block needs a reason", "say in a sentence what stands in the way")
        self.dispatch.block(id, told, caller=caller)
        return self._ended(id, "blocked")

    def release_task(self, id: str, reason: str) -> dict[str, Any]:
        state = self.dispatch.release(id, reason.strip())
        return {"message": f"released {one_line(id, 80)}: it is {state}"}

    def _ended(self, item_id: str, how: str) -> dict[str, Any]:
        self.index.refresh()
        found = [entry for entry in self.index.find(item_id) if entry.task is not None]
        task = whole(self.index, found[0]) if len(found) == 1 else None
        return {"message": f"{how} {one_line(item_id, 80)}", "task": task}

    # -- one task --

    def get_task(self, id: str) -> dict[str, Any]:
        entry = self.dispatch.choosing.only(id)
        told = {"message": f"task {one_line(id, 80)}", "task": whole(self.index, entry)}
        holder = self.dispatch.holder(entry.id or entry.path)
        return told | ({"held": holder} if holder else {})

    def update_task(
        self, id: str, fields: dict[str, object], body: str, replace_body: bool, force: bool
    ) -> dict[str, Any]:
        entry = self.dispatch.choosing.only(id)
        item_id = entry.id or entry.path
        if "status" in fields and not force:
            self._refuse_status(item_id, entry, str(fields["status"]))
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

    def create_task(self, fields: dict[str, object], body: str) -> dict[str, Any]:
        made = create(self.index, fields, body)
        task = whole(self.index, made)
        unknown = [
            one_line(other, 80)
            for other in [task["parent"], *task["depends_on"]]
            if other and not self.index.find(other)
        ]
        note = f"; there is no task {', '.join(unknown)}" if unknown else ""
        return {"message": f"created {made.id} in {one_line(made.path)}{note}", "task": task}

    def _refuse_status(self, item_id: str, entry: Entry, status: str) -> None:
        """Refuse a status that belongs to the one who works on the task, or to a report."""
        holder = self.dispatch.holder(item_id)
        if holder:
            raise UsageError(f"{one_line(item_id, 80)} is {holder}", "its status is theirs to set")
        if self.index.settings.status_class(status or None) == "done":
            raise UsageError(
                "a task is completed with a report", "call complete_task, or say it with force"
            )

    # -- many tasks --

    def list_tasks(self, limit: int, **wanted: object) -> dict[str, Any]:
        found = (entry for entry in self.index.entries() if _is(entry, wanted))
        return self._listed(found, limit) | odd_files(self.index)

    def get_ready_tasks(self, project: str, caller: str, limit: int) -> dict[str, Any]:
        taken = self.dispatch.elsewhere()
        found = [
            entry
            for entry in self.dispatch.choosing.ready(caller, project)
            if (entry.id or entry.path) not in taken
        ]
        return self._listed(found, limit) | odd_files(self.index)

    def get_blocked_tasks(self, project: str, limit: int) -> dict[str, Any]:
        found = [entry for entry in self.index.entries() if _is_blocked(entry, project)]
        told = self._listed(found, limit)
        for task, entry in zip(told["tasks"], found, strict=False):
            assert entry.verdict is not None
            task["reason"] = entry.verdict.reason
        return told | odd_files(self.index)

    def get_children(self, id: str) -> dict[str, Any]:
        entry = self.dispatch.choosing.only(id)
        return self._listed(self.index.children(entry.id or entry.path), 0)

    def get_index_stats(self, include_projects: bool) -> dict[str, Any]:
        taken = self.dispatch.elsewhere()
        free = self.dispatch.choosing.ready()
        ready = sum((entry.id or entry.path) not in taken for entry in free)
        stats = self._counted() | {"ready": ready}
        stats["generated"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        if not include_projects:
            del stats["projects"]
        message = f"{count(stats['total'], 'task')}, {ready} ready, {stats['blocked']} blocked"
        return {"message": message, "stats": stats} | odd_files(self.index)

    def _counted(self) -> dict[str, Any]:
        """Count what the files tell, anew only if they changed."""
        if self._counts_of != self.index.version:
            entries = self.index.entries()
            tasks = [entry.task for entry in entries if entry.task is not None]

            def by(name: str) -> dict[str, int]:
                return dict(Counter(getattr(one, name) or "none" for one in tasks).most_common())

            self._counts = {
                "version": VERSION,
                "total": len(tasks),
                "blocked": sum(_is_blocked(entry, "") for entry in entries),
                "roots": sum(not task.parent for task in tasks),
                "by_status": by("status"),
                "by_type": by("type"),
                "projects": by("project"),
            }
            self._counts_of = self.index.version
        return dict(self._counts)

    def _listed(self, found: Iterable[Entry], limit: int) -> dict[str, Any]:
        entries = list(found)
        shown = entries if limit <= 0 else entries[:limit]
        tasks = [brief(self.index, entry) for entry in shown]
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
