"""Fields of a task changed in its file, and no byte besides."""

from __future__ import annotations

import os
from collections.abc import Mapping

from hypervisor.agents.mcp.writing.fields import check_size, edits_of, value_of
from hypervisor.config.roots import create_state, is_outside
from hypervisor.config.settings import Settings
from hypervisor.system.errors import FileChanged, UsageError
from hypervisor.system.text import one_line
from hypervisor.tasks import read, write
from hypervisor.tasks.body import AppendText, ReplaceBody
from hypervisor.tasks.edit import Edit, edit
from hypervisor.tasks.front_matter import task_of
from hypervisor.tasks.header_edit import EditRefused
from hypervisor.tasks.undo import UNDO, UndoLog

_TRIES = 20


def update(
    root: str,
    path: str,
    item_id: str,
    fields: Mapping[str, object],
    settings: Settings,
    *,
    body: str = "",
    replace_body: bool = False,
) -> list[str]:
    """Change the `fields` of the task at `path` (from the root); return which of them changed.

    "" or [] clears a field. `body` is added to the body, or stands for it with `replace_body`.
    All or nothing, and `hypervisor undo task_manager ID` takes it back. Raises UsageError,
    BrokenFile, EditRefused, FileChanged and NotWritten, with the file as it was.
    """
    check_size(fields, body)
    file = os.path.join(root, path)
    if is_outside(root, file):
        raise UsageError(f"{one_line(path)}: leads out of the project", "remove the link")
    for _ in range(_TRIES):
        document = read.read(file)
        task = task_of(document, settings)
        if task is None:
            raise EditRefused(file, "it is no longer a task")
        values = {
            field: value_of(field, told, task.family, settings) for field, told in fields.items()
        }
        if values.get("title") == "":
            raise UsageError("a task has a title", "give another one")
        wanted = edits_of(document, task.family, values)
        if body.strip() or replace_body:
            wanted.append(("body", [ReplaceBody(body) if replace_body else AppendText(body)]))
        edits: list[Edit] = []
        changed = []
        for field, one in wanted:
            if edit(document, one).changes:
                changed.append(field)
                edits += one
        if not changed:
            return []
        edited = edit(document, edits)
        log = UndoLog(create_state(root), UNDO)
        log.record([(file, edited.before, edited.after, item_id)])
        try:
            write.replace(file, document, edited.after)
        except FileChanged:
            continue
        return changed
    raise FileChanged(file)
