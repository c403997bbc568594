"""Where an item's file is now: an item is tied to its id first and to its path second.

A task without an id of its own goes by its path alone: then the id is the path.
"""

from __future__ import annotations

import os

from hypervisor.system.errors import BrokenFile, OtherItem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypervisor.config.settings import Settings
    from hypervisor.tasks.read import Document
    from hypervisor.tasks.task import Task


def expect(task: Task, document: Document, item_id: str, path: str) -> None:
    """Raise OtherItem unless `task`, read from `path` (from the root), is the item `item_id`."""
    if item_id != path and task.id != item_id:
        raise OtherItem(document.path, item_id, task.id)


def locate(root: str, settings: Settings, item_id: str, path: str) -> str | None:
    """Do as `locate_all` for one task; None where it is not found."""
    return locate_all(root, settings, {item_id: path}).get(item_id)


def is_elsewhere(root: str, settings: Settings, item_id: str, path: str) -> bool:
    """True unless the task with this id, or what can't be read, stands at `path` from the root."""
    from hypervisor.tasks import read
    from hypervisor.tasks.front_matter import task_of

    try:
        task = task_of(read.read(os.path.join(root, path)), settings)
    except FileNotFoundError:
        return True
    except (OSError, BrokenFile):
        return False
    return task is None or item_id not in (task.id, path)


def locate_all(root: str, settings: Settings, wanted: Mapping[str, str]) -> dict[str, str]:
    """Look below `root` for tasks that are no longer at their paths, given these by id: return
    where they are, from the root, but for those that are nowhere or in more than one place.

    Reads the header of every task file below the root, once.
    """
    ids = {item_id for item_id, path in wanted.items() if item_id != path}
    if not ids:
        return {}
    # Most items are where they were.
    from hypervisor.tasks.ids import tasks_below

    places: dict[str, list[str]] = {}
    for known in tasks_below(root, settings, ids):
        place = os.path.relpath(known.path, root)
        if known.id in ids and known.state != "broken" and place != wanted[known.id]:
            places.setdefault(known.id, []).append(place)
    return {item_id: found[0] for item_id, found in places.items() if len(found) == 1}
