"""Tasks and odd files as callers are shown them: plain values, bounded."""

from __future__ import annotations

from hypervisor.intake.index import Entry, TaskIndex
from hypervisor.intake.preflight.front_matter import as_json
from hypervisor.ledger import Claim
from hypervisor.system.quick_json import loads
from hypervisor.system.text import one_line
from hypervisor.worker import asks

LONGEST_BODY = 64 * 1024
_SHOWN_ODD = 20
_BEFORE = 400


def failure(message: str, **more: object) -> dict[str, object]:
    """Return the answer of a call that failed."""
    return {"success": False, "message": message, **more}


def brief(index: TaskIndex, entry: Entry) -> dict[str, object]:
    """Return a task as lists show it: what its front matter says, without its text."""
    task = entry.task
    assert task is not None
    item_id = entry.id or entry.path
    return {
        "id": item_id,
        "title": task.title,
        "type": task.type,
        "status": task.status,
        "priority": _number(task.priority),
        "order": int(entry.order) if entry.order == int(entry.order) else entry.order,
        "parent": task.parent,
        "depends_on": task.depends_on,
        "soft_depends_on": list(entry.soft_depends_on),
        "due": task.due,
        "project": task.project,
        "tags": task.tags,
        "assignee": task.assignee,
        "complexity": task.complexity,
        "path": entry.path,
        "children": [child.id for child in index.children(item_id)],
        "blocks": [other.id for other in index.blocks(item_id)],
    }


def whole(index: TaskIndex, entry: Entry) -> dict[str, object]:
    """Return a task with every key of its front matter and its text. Raises BrokenFile, OSError."""
    document = index.document(entry)
    told: dict[str, object] = {key: as_json(one) for key, one in (document.meta or {}).items()}
    told |= brief(index, entry)
    body = document.body.strip("\r\n")
    cut = "\n… (cut here: read the file)" if len(body) > LONGEST_BODY else ""
    return told | {"body": body[:LONGEST_BODY] + cut}


def of_claim(index: TaskIndex, claim: Claim) -> dict[str, object]:
    """Return what was claimed: a task, or another file or a row with what to do with it."""
    entry = index.at(claim.path) if claim.path is not None and claim.payload is None else None
    if entry is not None and entry.task is not None:
        told = whole(index, entry)
    else:
        told = {"id": claim.id, "title": claim.title, "path": claim.path, "body": ""}
        if claim.payload is not None:
            told["row"] = claim.payload
    if claim.worktree is not None:
        told |= {"branch": claim.branch, "work_in": claim.worktree, "file": claim.file}
    if claim.instructions:
        told["instructions"] = claim.instructions
    if claim.answer is not None:
        told["answer_schema"] = loads(claim.answer)
    if asked := asks(index.root, claim):
        told["asks"] = asked
    if claim.before is not None:
        # Why an earlier attempt ended, in the words of others.
        told["before"] = one_line(claim.before, _BEFORE)
    return told


def odd_files(index: TaskIndex) -> dict[str, object]:
    """Return the files that are no usable tasks, each with the line and the mend; {} if none."""
    found = index.odd()
    if not found:
        return {}
    shown = [_odd(entry) for entry in found[:_SHOWN_ODD]]
    return {"odd_files": shown, "odd_count": len(found)}


def _odd(entry: Entry) -> dict[str, object]:
    if entry.broken is not None:
        line, what, fix = entry.broken
    else:
        assert entry.judged is not None and entry.judged.unusable is not None
        key, line, what = entry.judged.unusable
        what, fix = f"{key} {what}", f"write {key} as a plain value"
    path = one_line(entry.path)
    return {"path": path, "line": line, "reason": one_line(what), "fix": one_line(fix, 300)}


def _number(raw: str | None) -> int | str | None:
    if raw is not None and raw.isascii() and raw.isdigit() and len(raw) < 10:
        return int(raw)
    return raw
