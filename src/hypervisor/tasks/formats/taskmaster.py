"""Taskmaster: `.taskmaster/tasks/tasks.json`, tasks by tag, with subtasks.

A task with subtasks is worked on by these; the last of them that is done ends it too, as the tool
itself does it. Only states are written, and the time of the change where siblings have it.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager

from hypervisor.system.errors import BrokenFile, FileChanged
from hypervisor.tasks.formats import Format, Splice
from hypervisor.tasks.formats.boxes import paths
from hypervisor.tasks.formats.json_spans import spans
from hypervisor.tasks.item import Item
from hypervisor.tasks.task_files import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypervisor.tasks.formats.json_spans import Path

    Task = dict[str, object]

_WORDS = {
    "pending": "ready",
    "in-progress": "in_progress",
    "done": "done",
    "completed": "done",
    "deferred": "waiting",
    "cancelled": "cancelled",
    "blocked": "blocked",
    "review": "in_progress",
}
# What the tool does not write, and people who edit its file do.
_MEANT = {
    "todo": "pending", "to-do": "pending", "doing": "in-progress", "started": "in-progress",
    "complete": "done", "closed": "done", "finished": "done", "canceled": "cancelled",
}  # fmt: skip
_MASTER = "master"
_NONE = ("", "None", "none")
# The tool breaks a lock that was not touched for so many seconds.
_STALE = 10.0
_PATIENCE = 15.0


class Taskmaster(Format):
    """Items are tasks without subtasks, and subtasks: `2`, `2.1`, in another tag `tag/2`."""

    name = "taskmaster"
    about = "tasks.json of Taskmaster; tasks.json#TAG for a tag"
    names = ("tasks.json",)

    def recognises(self, path: str, text: str) -> bool:
        """By its name and its tags."""
        return os.path.basename(path) == "tasks.json" and any(True for _ in _tagged(text))

    def below(self, folder: str) -> list[str]:
        """`.taskmaster` and its `tasks` stand for the file."""
        named = (os.path.join(folder, name) for name in ("tasks.json", "tasks/tasks.json"))
        inside = ".taskmaster" in os.path.realpath(folder).split(os.sep)
        return [file for file in named if inside and os.path.isfile(file)][:1]

    def items(self, path: str, text: str) -> list[Item]:
        try:
            places = spans(text)
        except (ValueError, RecursionError) as error:
            line = getattr(error, "lineno", None)
            raise BrokenFile(path, line, f"not JSON: {error}", "fix it") from None
        found = []
        for tag, at, tasks in _tagged(text):
            prefix = "" if tag == _MASTER else f"{tag}/"
            left = {
                f"{prefix}{_id(task)}": [
                    _part(f"{prefix}{_id(task)}", one) for one in _subtasks(task)
                    if _state(one) not in ("done", "cancelled")
                ]
                for task in tasks
            }  # fmt: skip
            for place, task in enumerate(tasks):
                found += _items(text, places, (*at, place), task, prefix, left)
        return found

    def chosen(self, path: str, items: list[Item], name: str | None) -> list[Item]:
        """Without a name, a file means the tag that the tool is at, or the only one; a task brings
        its subtasks."""
        tags = {one.id.rpartition("/")[0] or _MASTER for one in items}
        tag = name or _current(path) or _MASTER
        if name is None and tag not in tags:
            tag = tags.pop() if len(tags) == 1 else _MASTER
        if tag == _MASTER:
            return [one for one in items if "/" not in one.id]
        parts = [one for one in items if one.id.startswith(f"{tag}.")]
        return [*super().chosen(path, items, tag), *parts]

    def mark(self, text: str, item: Item, state: str) -> list[Splice] | None:
        """Set the status of what is done, and that of its task with the last of its subtasks."""
        if state != "done":
            return None
        places = spans(text)
        edits: list[Splice] = []
        for tag, at, tasks in _tagged(text):
            prefix = "" if tag == _MASTER else f"{tag}/"
            for place, task in enumerate(tasks):
                own = (*at, place)
                task_id = f"{prefix}{_id(task)}"
                if task_id == item.id:
                    edits += _done(text, places, own, task, tasks)
                subtasks = _subtasks(task)
                for number, subtask in enumerate(subtasks):
                    if _part(task_id, subtask) != item.id:
                        continue
                    edits += _done(text, places, (*own, "subtasks", number), subtask, subtasks)
                    others = [one for one in subtasks if one is not subtask]
                    if all(_state(one) == "done" for one in others):
                        parts = tuple(_part(task_id, one) for one in subtasks)
                        above = _done(text, places, own, task, tasks)
                        edits += [edit._replace(parts=parts) for edit in above]
        return edits

    @contextmanager
    def lock(self, path: str) -> Iterator[None]:
        """Take the tool's own lock, a folder beside the file."""
        folder = f"{path}.lock"
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                os.mkdir(folder)
                break
            except FileExistsError:
                if time.monotonic() > deadline:
                    raise FileChanged(path) from None
                try:
                    if time.time() - os.stat(folder).st_mtime > _STALE:
                        os.rmdir(folder)
                except OSError:
                    continue
                time.sleep(0.05)
        try:
            yield
        finally:
            os.rmdir(folder)


def _tagged(text: str) -> Iterator[tuple[str, Path, list[Task]]]:
    """Yield each tag with the path to its tasks, and these."""
    try:
        told = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return
    if not isinstance(told, dict):
        return
    if isinstance(told.get("tasks"), list):
        yield _MASTER, ("tasks",), _tasks(told["tasks"])
        return
    for tag, inner in told.items():
        if isinstance(inner, dict) and isinstance(inner.get("tasks"), list):
            yield tag, (tag, "tasks"), _tasks(inner["tasks"])


def _tasks(told: list[object]) -> list[Task]:
    # What is no task keeps its place, since that is how the others are found.
    return [one if isinstance(one, dict) else {} for one in told]


def _current(path: str) -> str | None:
    """Return the tag that the tool is at, None where it does not say."""
    state = os.path.join(os.path.dirname(os.path.dirname(path)), "state.json")
    try:
        with open(state, encoding="utf-8-sig") as source:
            told = json.load(source)
    except (OSError, ValueError):
        return None
    tag = told.get("currentTag") if isinstance(told, dict) else None
    return tag if isinstance(tag, str) and tag else None


def _items(
    text: str, places: dict[Path, tuple[int, int]], at: Path, task: Task, prefix: str,
    left: dict[str, list[str]],
) -> list[Item]:  # fmt: skip
    """Return the item of a task, which is none of its own while it has subtasks that are `left`,
    and the items of these. What waits for the task waits for them."""
    if not _id(task):
        item = _item(text, places[at], task, f"{prefix}task {int(at[-1]) + 1}", [], None)
        over = item.state in ("done", "cancelled")
        return [item if over else item._replace(held="it has no id: give it one")]
    task_id = f"{prefix}{_id(task)}"

    def waits(told: object, within: str) -> list[str]:
        named = [one if "." in one else f"{within}{one}" for one in _list(told)]
        ids = [one if one.startswith(prefix) else f"{prefix}{one}" for one in named]
        return [each for one in ids for each in left.get(one) or [one]]

    before = waits(task.get("dependencies"), prefix)
    own = _item(text, places[at], task, task_id, before, None)
    over = own.state in ("done", "cancelled")
    found = [own._replace(state="") if left[task_id] and not over else own]
    context = f"{task.get('title')}: {task.get('description') or ''}".strip(": ")
    for number, subtask in enumerate(_subtasks(task)):
        part = _part(task_id, subtask)
        siblings = waits(subtask.get("dependencies"), f"{task_id}.")
        begun = [] if own.state == "in_progress" else before
        place = places[(*at, "subtasks", number)]
        item = _item(text, place, subtask, part, [*siblings, *begun], context)
        if not _id(subtask):
            item = item._replace(held="it has no id: give it one")
        # The tool leaves them as they were when their task is ended.
        found.append(item._replace(state=own.state, word=own.word) if over else item)
    return found


def _id(task: Task) -> str:
    """Return the id of a task, "" for none."""
    told = task.get("id")
    return str(told).strip() if isinstance(told, str | int) and not isinstance(told, bool) else ""


def _part(task_id: str, subtask: Task) -> str:
    """Return the id of a subtask, which may have that of its task in it."""
    own, plain = _id(subtask), task_id.rpartition("/")[2]
    return f"{task_id}.{own.removeprefix(f'{plain}.')}"


def _item(
    text: str, place: tuple[int, int], task: Task, item_id: str, waits: list[str],
    context: str | None,
) -> Item:  # fmt: skip
    told = [f"part of {context}"] if context else []
    told += [
        f"{key}: {task[key]}"
        for key in ("title", "description", "details", "testStrategy")
        if isinstance(task.get(key), str) and task[key]
    ]
    return Item(
        item_id,
        str(task.get("title") or item_id),
        _state(task),
        str(task.get("status") or "pending"),
        "\n".join(told),
        text.count("\n", 0, place[0]) + 1,
        tuple(waits),
        None,
        paths("\n".join(told)),
        str(task.get("priority") or "") or None,
    )


def _state(task: Task) -> str:
    word = fold(str(task.get("status") or "pending")).replace("_", "-").replace(" ", "-")
    return _WORDS.get(_MEANT.get(word, word), "unknown")


def _subtasks(task: Task) -> list[Task]:
    told = task.get("subtasks")
    return _tasks(told) if isinstance(told, list) else []


def _list(told: object) -> list[str]:
    """Return the ids in a list, or in a lone value."""
    if isinstance(told, str):
        told = told.split(",")
    listed = told if isinstance(told, list) else [] if told is None else [told]
    ids = (one.get("id", one) if isinstance(one, dict) else one for one in listed)
    return [name for one in ids if (name := str(one).strip().removesuffix(".0")) not in _NONE]


def _done(
    text: str, places: dict[Path, tuple[int, int]], at: Path, task: Task, siblings: list[Task]
) -> list[Splice]:
    if _state(task) == "done":
        return []
    edits = []
    if (*at, "status") in places:
        edits.append(Splice(*places[(*at, "status")], '"done"'))
    else:
        start = places[at][0] + 1
        edits.append(Splice(start, start, '"status": "done", '))
    if (*at, "updatedAt") in places:
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        edits.append(Splice(*places[(*at, "updatedAt")], f'"{now}"'))
    return edits


FORMAT = Taskmaster()
