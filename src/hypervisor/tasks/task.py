"""A task, the family of files in whose words it is written, and the format of such files."""

from __future__ import annotations

from hypervisor.system.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypervisor.config.settings import Settings
    from hypervisor.tasks.edit import Edit
    from hypervisor.tasks.read import Document

# Types of tasks that others are parts of.
CONTAINERS = frozenset({"epic", "project", "goal"})


class Task(Record):
    """What the front matter says, as text where it was written as text, numbers or dates alike.

    `id` is None for a task that has none; its path names it then. `title` falls back to the name,
    the first heading and the stem of the file's name. `status` is the word as written, None if
    there is none; `state` its class, `status_key` where it stands. `assignee` is the first of
    `assignees`. `depends_on` and `blocks` are names of other tasks, `may_wait` those under keys
    that may mean that, `unread` the keys of which nobody can tell. `recurs` says that an end of it
    would be the end of many. `warnings` are oddities that were read with good will. `held` says why
    nobody should work on it as it is, `apart` names files beside its own of which no other task may
    be out at once with it.
    """

    id: str | None
    title: str
    status: str | None
    state: str
    type: str | None
    parent: str | None
    depends_on: list[str]
    assignee: str | None
    assignees: list[str]
    tags: list[str]
    project: str | None
    complexity: str | None
    priority: str | None
    due: str | None
    status_key: str
    aliases: list[str]
    blocks: list[str]
    may_wait: dict[str, list[str]]
    unread: list[str]
    recurs: bool
    family: Family
    warnings: list[str]
    held: str = ""
    apart: tuple[str, ...] = ()


class Family(Record):
    """One way of writing task files.

    `fields` maps a field of Task to its key; every field is there. `words` maps a class of status
    to the word that this family writes for it; a class without one is never written. `detect` are
    keys that tell the family. `lists` are the fields that are written as a list where the key is
    new. `states` maps words, folded, to classes where they mean something else than elsewhere. With
    `told`, they are all the words that there are, and `words` those that are written. `kind` is the
    format, where the files are of one.
    """

    name: str
    fields: Mapping[str, str]
    words: Mapping[str, str]
    detect: tuple[str, ...]
    lists: frozenset[str] = frozenset({"depends_on", "tags", "files"})
    states: Mapping[str, str] = {}
    told: bool = False
    kind: TaskFiles | None = None


class TaskFiles:
    """A format. `name` and `about` are as in `formats.Format`. If it never `writes`, an end is not
    written into the file: a tool owns that. With `always`, what `is_task` says is one needs no
    status."""

    name = ""
    about = ""
    writes = True
    always = False

    def family(self, above: str, folder: str) -> Family | None:
        """Return the keys and words of the task files in `folder`, if they are of this format, by
        what stands in `above`: that folder, or one that it is in."""
        raise NotImplementedError

    def usual(self) -> Family:
        """Return the keys and words where nothing but the name of the format is known."""
        raise NotImplementedError

    def outside(self, path: str) -> Family:
        """Return the keys and words of the file at `path`, which has this format's keys, and lies
        where the format has no tasks."""
        return self.usual()

    def is_task(self, document: Document, family: Family) -> bool:
        """True if a file with front matter that lies there can be a task."""
        return True

    def amended(self, task: Task, document: Document, settings: Settings) -> Task:
        """Return a task with what the keys and words alone don't tell."""
        return task

    def ending(self, document: Document, task: Task, state: str, at: float) -> list[Edit]:
        """Return what else is written with the word for `state`, at the Unix time `at`, since the
        format's tool reads it."""
        return []

    def new_name(self, name: str, state: str) -> str:
        """Return the name that the file called `name` has once its task has ended with `state`."""
        return name

    def closing(self, task_id: str) -> list[str] | None:
        """Return the command by which the tool that owns the file closes its task."""
        return None
