"""The decision about one task: close it, or say whose it is; and link its project.

Pure: a document and its task in, a plan out. The plan of a task to which the plan was applied is
empty, so that a second run changes no byte.
"""

from __future__ import annotations

from typing import NamedTuple

from hypervisor.config.settings import Settings
from hypervisor.system.text import one_line
from hypervisor.tasks import edit
from hypervisor.tasks.assign import assign, names_nobody_readable
from hypervisor.tasks.dependencies import link_target
from hypervisor.tasks.front_matter import is_closed_by_reason
from hypervisor.tasks.read import Document
from hypervisor.tasks.task import Task
from hypervisor.tasks.words import word_for, written
from hypervisor.triage import assignee, complexity, words
from hypervisor.triage.words import Words

LINKED = "added_wikilink"


class Plan(NamedTuple):
    """What triage wants of one task.

    `action` is "close", "assign:<who>" or "none". `changes` name the edits, as "status->done",
    "complexity->mechanical", "assignee->bot" and "added_wikilink". `rule` says which rule chose
    the action and what in the task it hit, `notes` what could not be done and why, `edits` is for
    `tasks.edit`.
    """

    action: str
    changes: tuple[str, ...]
    rule: str
    close_reason: str | None = None
    complexity: str | None = None
    notes: tuple[str, ...] = ()
    edits: tuple[edit.Edit, ...] = ()


def decide(
    document: Document, task: Task, settings: Settings, *, children: bool | None = None
) -> Plan:
    """Return what triage wants of `task`, which was read from `document`.

    `children` says whether other tasks name it as their parent, None if that isn't known; only
    the complexity rules ask. A task that triage closes is not assigned to anybody: it is
    finished; its link is added all the same.
    """
    found = words.read(document.body, task.title)
    closed = _closure(document, task, found, settings)
    if closed is not None:
        chosen = _close(task, document, settings, *closed)
    else:
        chosen = _assign(document, task, found, settings, children)
    return _link(chosen, task, found, settings)


def stands(changes: list[str], document: Document, task: Task, settings: Settings) -> bool:
    """Return whether the `changes` of an earlier plan are what the task holds now."""
    for change in changes:
        name, _, value = change.partition("->")
        if name == LINKED:
            try:
                if _project_line(task, words.read(document.body, task.title), settings):
                    return False
            except ValueError:
                return False
        elif {"status": task.status, "assignee": task.assignee, "complexity": task.complexity}.get(
            name
        ) != value:
            return False
    return bool(changes)


def _closure(
    document: Document, task: Task, found: Words, settings: Settings
) -> tuple[str, str] | None:
    """Return why the task counts as closed, as a word and as the rule that hit, or None."""
    for heading in settings.triage.close_headings:
        if heading in found.sections:
            return "has_close_reason", f"heading '## {heading}'"
    if task.state == "done":
        return "status_done", f"status {one_line(task.status, 40)}"
    if not task.family.told and is_closed_by_reason(document):
        return "has_close_reason_field", "key close_reason"
    return None


def _close(task: Task, document: Document, settings: Settings, reason: str, rule: str) -> Plan:
    closed = Plan("close", (), rule, close_reason=reason)
    if task.state == "done":
        return closed
    word = word_for("done", task, document, settings)
    if word is None:
        note = f"status unchanged: no word for done is known in the family {task.family.name}"
        return closed._replace(notes=(note,))
    return closed._replace(changes=(f"status->{word}",), edits=(written(word, task, document),))


def _assign(
    document: Document, task: Task, found: Words, settings: Settings, children: bool | None
) -> Plan:
    rules = settings.triage
    changes: list[str] = []
    edits: list[edit.Edit] = []
    level = task.complexity
    if rules.complexity and not level:
        level, why = complexity.classify(found, task.type or "task", task.tags, children)
        changes.append(f"complexity->{level}")
        edits.append(edit.SetKey(task.family.fields["complexity"], level))
    if task.assignee is not None:
        who, rule = task.assignee, "assignee already set"
    elif names_nobody_readable(document, task):
        who, rule = "", "assignee holds something that is not a name"
    else:
        who, rule = assignee.choose(found, task.tags, level if rules.complexity else None, rules)
        if rules.complexity and rule.startswith("complexity ") and not task.complexity:
            rule = f"{rule}: {why}"
        if who:
            changes.append(f"assignee->{who}")
            edits.append(assign(document, task, who))
    return Plan(
        f"assign:{who}" if who else "none",
        tuple(changes),
        rule,
        complexity=level if rules.complexity else None,
        edits=tuple(edits),
    )


def _project_line(task: Task, found: Words, settings: Settings) -> str | None:
    project = link_target(task.project or "")
    return words.line_for(project, settings.triage.links, found.links)


def _link(chosen: Plan, task: Task, found: Words, settings: Settings) -> Plan:
    if not settings.triage.wikilinks or not task.project:
        return chosen
    try:
        line = _project_line(task, found, settings)
    except ValueError:
        note = f"no link: the project '{one_line(task.project, 60)}' can't be the target of one"
        return chosen._replace(notes=(*chosen.notes, note))
    if line is None:
        return chosen
    return chosen._replace(
        changes=(*chosen.changes, LINKED), edits=(*chosen.edits, edit.InsertLine(line))
    )
