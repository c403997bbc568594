"""Backlog.md: a project's `config.yml` names its statuses, of which the last one is done, and how
its ids begin. What lies in `completed/` is done; drafts, decisions and documents are no tasks."""

from __future__ import annotations

import os
import time

from hypervisor.tasks.edit import SetKey
from hypervisor.tasks.family import BACKLOG
from hypervisor.tasks.task import TaskFiles
from hypervisor.tasks.task_files import fold, parts, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.config.settings import Settings
    from hypervisor.tasks.edit import Edit
    from hypervisor.tasks.read import Document
    from hypervisor.tasks.task import Family, Task

_CONFIGS = ("config.yml", "config.yaml")
_ROOT_CONFIG = "backlog.config.yml"
_KEYS = ("statuses", "task_prefix", "default_status", "project_name")
# By the folder of files that lie in none of this format.
_known: dict[str, Family] = {}
# By folder: when it was changed, and the names of its files by the id that they begin with.
_names: dict[str, tuple[int, dict[str, str]]] = {}
_PAGES = frozenset(("docs", "decisions", "milestones"))


class Backlog(TaskFiles):
    """Tasks by id, which is read with good will: `1` and `task-1` are TASK-1."""

    name = "backlog"
    about = "Backlog.md: tasks/, with the statuses of its config.yml"

    def family(self, above: str, folder: str) -> Family | None:
        """A folder with a configuration, or the one that the root's configuration names."""
        for name in _CONFIGS:
            config = _config(os.path.join(above, name))
            if config is not None:
                return _family(config)
        config = _config(os.path.join(above, _ROOT_CONFIG)) or {}
        own = str(config.get("backlog_directory") or "backlog").strip("/")
        below = "/".join(parts(folder, above))
        if config and f"{below}/".startswith(f"{own}/"):
            return _family(config)
        return None

    def usual(self) -> Family:
        return BACKLOG.but(kind=self, told=True, states=_states(list(BACKLOG.words.values())))

    def outside(self, path: str) -> Family:
        folder = os.path.dirname(os.path.abspath(path))
        if folder not in _known:
            _known[folder] = _nearest(folder)
        return _known[folder]

    def is_task(self, document: Document, family: Family) -> bool:
        """Not what is no task by its folder or its kind."""
        return _PAGES.isdisjoint(os.path.dirname(document.path).split("/")[-2:])

    def amended(self, task: Task, document: Document, settings: Settings) -> Task:
        """What lies among the completed is done; ids are also what they are without zeros."""
        folder = os.path.basename(os.path.dirname(document.path))
        if folder == "completed":
            task = task.but(state="done", status=task.status or "completed")
        elif folder == "drafts":
            task = task.but(state="draft")
        if folder == "tasks" and task.id is not None:
            other = _elsewhere(os.path.dirname(os.path.dirname(document.path)), task.id)
            if other is not None:
                task = task.but(
                    state="unknown", held=f"{other} has the same id: remove one of them"
                )
        prefix, _, number = (task.id or "").rpartition("-")
        plain = ".".join(part.lstrip("0") or "0" for part in number.split("."))
        if prefix and number[:1].isdigit():
            more = [name for name in (plain, f"{prefix}-{plain}") if name != task.id]
            task = task.but(aliases=[*task.aliases, *more])
        return task

    def ending(self, document: Document, task: Task, state: str, at: float) -> list[Edit]:
        return [SetKey("updated_date", time.strftime("%Y-%m-%d %H:%M", time.gmtime(at)))]


def _elsewhere(base: str, task_id: str) -> str | None:
    """Return the file among the archived and completed that has the id by its name, if one has."""
    for below in ("archive/tasks", "completed"):
        folder = os.path.join(base, below)
        try:
            seen = os.stat(folder).st_mtime_ns
        except OSError:
            continue
        if folder not in _names or _names[folder][0] != seen:
            files = {name.split(" - ", 1)[0].casefold(): name for name in os.listdir(folder)}
            _names[folder] = (seen, files)
        name = _names[folder][1].get(task_id.casefold())
        if name is not None:
            return f"{below}/{name}"
    return None


def _nearest(folder: str) -> Family:
    for _ in range(6):
        for name in (*_CONFIGS, _ROOT_CONFIG):
            for below in ("", "backlog", ".backlog"):
                config = _config(os.path.join(folder, below, name))
                if config is not None:
                    return _family(config)
        if os.path.dirname(folder) == folder:
            break
        folder = os.path.dirname(folder)
    return BACKLOG.but(kind=FORMAT)


def _config(path: str) -> dict[str, object] | None:
    text = text_of(path)
    if not any(key in text for key in _KEYS):
        return None
    import yaml

    try:
        told = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        return None
    return told if isinstance(told, dict) and not told.keys().isdisjoint(_KEYS) else None


def _family(config: dict[str, object]) -> Family:
    listed = config.get("statuses")
    if not isinstance(listed, list) or not listed or not all(isinstance(w, str) for w in listed):
        return FORMAT.usual()
    first = config.get("default_status")
    ready = first if isinstance(first, str) and first else listed[0]
    words = {"ready": ready, "done": listed[-1]}
    for word in listed[1:-1]:
        if fold(word) in ("in progress", "blocked"):
            words.setdefault(fold(word).replace(" ", "_"), word)
    return BACKLOG.but(
        words=words,
        states=_states(listed) | {fold(ready): "ready"},
        told=True,
        kind=FORMAT,
    )


def _states(listed: list[str]) -> dict[str, str]:
    """Only the last one is done, whatever those before it are called."""
    between = {
        fold(word): "in_progress"
        for word in listed[1:-1]
        if fold(word) in ("done", "complete", "completed", "closed", "finished", "resolved")
    }
    return between | {fold(listed[0]): "ready", fold(listed[-1]): "done"}


FORMAT = Backlog()
