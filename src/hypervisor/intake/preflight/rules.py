"""What a task's own file says against working on it now."""

from __future__ import annotations

from typing import NamedTuple

from hypervisor.config.settings import Settings, as_name
from hypervisor.config.tools import is_name
from hypervisor.intake.preflight import unknown
from hypervisor.intake.preflight.tools import ToolRules
from hypervisor.system.patterns import TooSlow
from hypervisor.system.text import one_line, shell
from hypervisor.tasks import markdown
from hypervisor.tasks.front_matter import is_closed_by_reason
from hypervisor.tasks.read import Document
from hypervisor.tasks.task import Task

COMPLETE, CANCELLED = "complete", "cancelled"


class Verdict(NamedTuple):
    """The group that an item goes to, the kind it is counted as there, and why.

    `assignees` are those that nobody knows, where the item is held for that, `words` the statuses
    and keys.
    """

    group: str
    kind: str
    reason: str
    assignees: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


class Rules:
    """The rules of the settings for one purpose: "work", or "triage", which is what assigns tasks
    and so takes any that is not finished. `tools` are those that the workers were given. With
    `hold_unknown`, assignees that nobody knows hold a task."""

    def __init__(
        self,
        settings: Settings,
        purpose: str,
        tools: tuple[str, ...] = (),
        hold_unknown: bool = True,
    ) -> None:
        self._settings = settings
        self._hold_unknown = hold_unknown
        self._for_work = purpose == "work"
        self._tools = ToolRules(settings, tools)
        self._close_headings = settings.triage.close_headings

    def verdict(self, document: Document, task: Task) -> Verdict | None:
        """Return why the task isn't ready, as far as its own file tells, else None."""
        finished = self._finished(document, task)
        if finished is not None or not self._for_work:
            return finished
        return (
            (Verdict("held", "disagreement", one_line(task.held, 200)) if task.held else None)
            or held_by_status(task.state, task.status)
            or _recurs(task)
            or _unread(task)
            or self._needs_human(task)
            or self._is_somebodys(task)
            or self._needs_tool(document, task)
        )

    def _finished(self, document: Document, task: Task) -> Verdict | None:
        if task.held:
            return None
        ended = finished(task.state, task.status)
        if ended is not None or not self._for_work:
            return ended
        closed = self._closed_by(document, task)
        if closed is None:
            return None
        which = shell(task.id or document.path)
        reason = f"already complete: {closed}; `hypervisor triage {which}` sets its status"
        return Verdict("skipped", COMPLETE, reason)

    def _closed_by(self, document: Document, task: Task) -> str | None:
        if any(map(document.text.__contains__, self._close_headings)):
            body = markdown.without_own_section(document.body)
            for heading in markdown.headings(body):
                if heading.level == 2 and heading.title in self._close_headings:
                    return f"it has a '## {heading.title}' section"
        # Where a format decides, a reason that is left over says nothing.
        if not task.family.told and is_closed_by_reason(document):
            return "it has a close_reason"
        return None

    def _needs_human(self, task: Task) -> Verdict | None:
        settings = self._settings
        why = None
        for name in task.assignees:
            if as_name(name) in settings.humans:
                why = f"assignee {one_line(name, 40)}"
        for tag in task.tags:
            if tag.lower() in settings.human_tags:
                why = why or f"tag {one_line(tag, 40)}"
        if task.type is not None and task.type.lower() in settings.human_types:
            why = why or f"type {one_line(task.type, 40)}"
        if task.complexity is not None and task.complexity.lower() in settings.human_complexities:
            why = why or f"complexity {one_line(task.complexity, 40)}"
        return Verdict("held", "needs_human", f"needs a human ({why})") if why else None

    def _is_somebodys(self, task: Task) -> Verdict | None:
        names = unknown.assignees(task, self._settings) if self._hold_unknown else ()
        if not names:
            return None
        shown = ", ".join(one_line(name, 40) for name in names)
        reason = f"assigned to {shown}, and no setting says whether that is a person or an agent"
        return Verdict("held", unknown.KIND, f"{reason}: {unknown.mend(names[0])}", names)

    def _needs_tool(self, document: Document, task: Task) -> Verdict | None:
        try:
            tool = self._tools.needed(document, task.title)
        except TooSlow as error:
            tool, pattern = error.args
            reason = (
                f"whether it needs {one_line(tool, 60)} can't be told: the pattern "
                f"{one_line(repr(pattern), 80)} takes too long; fix it in [preflight.tools]"
            )
            return Verdict("held", "slow_pattern", reason)
        if tool is None:
            return None
        shown = one_line(tool, 60)
        mend = "do it yourself (/hypervisor:pull)"
        if is_name(tool):
            mend += f", or hypervisor allow QUEUE --tools {tool}"
        return Verdict("held", "needs_tool", f"needs {shown}, which workers lack: {mend}")


def _recurs(task: Task) -> Verdict | None:
    if not task.recurs:
        return None
    reason = "it recurs: done would end it for good; complete this time in the tool that repeats it"
    return Verdict("held", "recurring", reason)


def _unread(task: Task) -> Verdict | None:
    if not task.unread:
        return None
    return Verdict("held", unknown.KEY, unread(task.unread[0]), words=(*task.unread,))


def unread(key: str) -> str:
    """Return in words that what stands under a key may be a dependency, and what helps."""
    shown = one_line(key, 60)
    return (
        f"the value of {shown} can't be read as dependencies: list ids or file names, "
        f"or write [preflight] ignore_keys = ['{shown}'] into hypervisor.toml"
    )


def finished(state: str, word: str | None) -> Verdict | None:
    """Return the verdict on what has ended, going by the class of its status and the word for it;
    None for what has not."""
    if state == "done":
        return Verdict(
            "skipped", COMPLETE, f"already complete: its status is '{one_line(word, 40)}'"
        )
    if state == "cancelled":
        return Verdict("skipped", CANCELLED, f"cancelled: its status is '{one_line(word, 40)}'")
    return None


def held_by_status(state: str, word: str | None) -> Verdict | None:
    """Return the verdict on what is open, as `finished` does; None for what is ready."""
    if state == "ready":
        return None
    shown = one_line(word, 40)
    if state == "unknown":
        reason = f"unknown status '{shown}': add it to [status] in hypervisor.toml"
        return Verdict("held", unknown.STATUS, reason, words=(word,) if word else ())
    kind, reason = _HELD_BY_STATUS[state]
    plain = word is None or word.casefold().replace("_", " ") == reason
    return Verdict("held", kind, reason if plain else f"{reason} (status '{shown}')")


_HELD_BY_STATUS = {
    "in_progress": ("in_progress", "in progress"),
    "blocked": ("blocked", "blocked"),
    "waiting": ("waiting", "waiting"),
    "failed": ("failed", "failed"),
    "draft": ("draft", "draft"),
}
