"""Files that hold many items, one module a format: how such a file is known, what its items are,
and how the end of one is marked in it.

Only the mark of an item is ever written there: other tools read the same lines.
"""

from __future__ import annotations

from hypervisor.system.errors import UsageError
from hypervisor.system.lazy import by_name
from hypervisor.system.records import NamedTuple
from hypervisor.tasks import task_files
from hypervisor.tasks.task_files import TASK_FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager
    from typing import Protocol

    from hypervisor.tasks.formats.rows import Row, Rows
    from hypervisor.tasks.item import Item

    class Entry(Protocol):
        """What an item is found by."""

        @property
        def id(self) -> str: ...

        @property
        def title(self) -> str: ...


__all__ = ["FORMATS", "TASK_FILES", "Format", "Splice"]

# Name: module, those first that know more exactly what is theirs.
FORMATS = {
    "openspec": "openspec",
    "kiro": "kiro",
    "agent-os": "agent_os",
    "gsd": "gsd",
    "spec-kit": "spec_kit",
    "obsidian-tasks": "obsidian_tasks",
    "bmad": "bmad",
    "bmad-story": "bmad_story",
    "checklist": "checklist",
    "taskmaster": "taskmaster",
    "todo.txt": "todo_txt",
    "beads": "beads",
    "github": "github",
    "gitlab": "gitlab",
    "jira": "jira",
    "linear": "linear",
    "taskwarrior": "taskwarrior",
    "rows": "rows",
}
# Those of rows, which are known by their columns; `rows` are all that no other knows.
_OF_ROWS = ("beads", "github", "gitlab", "jira", "linear", "taskwarrior", "rows")


class Format:
    """One format. `name` is what `--format` takes, `about` says what it is in a few words, `names`
    are the file names by which a walk over a folder finds such files, `pattern` what they match
    where they vary. With `by_lines`, what an item is does not hang on the lines after it. With
    `cancelled_will_do`, what is cancelled is as good as done for what waits for it, with
    `waits_with_parent`, an item waits for all that its parent waits for."""

    name = ""
    about = ""
    names: Sequence[str] = ()
    by_lines = False
    pattern = ""
    cancelled_will_do = False
    waits_with_parent = False

    def recognises(self, path: str, text: str) -> bool:
        """True if the file at `path` (absolute), which holds `text`, is one of these."""
        raise NotImplementedError

    def below(self, folder: str) -> list[str]:
        """Return the files that a folder stands for, where it is the format's own; else none."""
        return []

    def items(self, path: str, text: str) -> list[Item]:
        """Return the items in `text`, in its order. Raises BrokenFile."""
        raise NotImplementedError

    def find(self, path: str, text: str, own_id: str, title: str | None) -> list[Item]:
        """Return those of `bare` that `hits` tells. Raises BrokenFile."""
        items = self.bare(path, text)
        return [items[place] for place in hits(items, own_id, title)]

    def bare(self, path: str, text: str) -> list[Item]:
        """Do as `items`; what they wait for need not be in them."""
        return self.items(path, text)

    def at(self, path: str) -> Format:
        """Return the format as it is written in the file at `path`, by the settings there."""
        return self

    def chosen(self, path: str, items: list[Item], name: str | None) -> list[Item]:
        """Return those of the `items` of the file at `path` that `FILE#NAME` means, or, without a
        name, the file alone."""
        if name is None:
            return items
        return [one for one in items if one.id == name or one.id.startswith(f"{name}/")]

    def mark(self, text: str, item: Item, state: str) -> list[Splice] | None:
        """Return the edits of `text` that mark `item` as ended with `state`; none where it is
        marked already, and None for what this format never writes."""
        raise NotImplementedError

    def reaches(self, state: str, old: Item, new: Item) -> bool:
        """True if a mark of `state` has made `new` of `old`."""
        return new.state == state != old.state

    def block(self, text: str, item: Item, why: str) -> list[Splice] | None:
        """Do as `mark` for an item that is blocked by `why`, a line."""
        return self.mark(text, item, "blocked")

    def everywhere(self, folder: str) -> bool:
        """True if any Markdown file below `folder` may be one of these."""
        return False

    def context(self, path: str, root: str) -> list[str]:
        """Return the files (absolute) that a worker should read first."""
        return []

    def notes(self, path: str) -> list[str]:
        """Return what a person should know before the items of the file at `path` are worked on."""
        return []

    def lock(self, path: str) -> AbstractContextManager[None]:
        """Keep the format's own tool from the file at `path` while it is written."""
        from contextlib import nullcontext

        return nullcontext()


class Splice(NamedTuple):
    """An edit of a text: `new` in the place of what stands from `start` to `end` in it. Where it
    marks what has `parts` (their ids), since the last of them is done, it goes with any of them."""

    start: int
    end: int
    new: str
    parts: tuple[str, ...] = ()


def hits(items: Sequence[Entry], own_id: str, title: str | None) -> list[int]:
    """Return which of `items` have an id: its text decides where another has that id by now."""
    same = [place for place, one in enumerate(items) if one.id == own_id]
    if len(same) != 1 or (title is not None and items[same[0]].title != title):
        by_title = [place for place, one in enumerate(items) if one.title == title]
        if len(by_title) == 1:
            return by_title
    return same


def get(name: str) -> Format:
    """Return the format of many items called `name`. Raises UsageError."""
    if name not in FORMATS:
        listed = ", ".join((*FORMATS, *TASK_FILES))
        raise UsageError(f"no format is called '{name}'", f"one of: {listed}")
    made: Format = by_name(f"{__name__}.{FORMATS[name]}").FORMAT
    return made


def about() -> dict[str, str]:
    """Return the names of all formats, each with a few words on what it is."""
    many = {name: get(name).about for name in FORMATS}
    return many | {name: task_files.get(name).about for name in TASK_FILES}


def holds_many(name: str | None) -> bool:
    """True if files of the format `name`, if there is one, hold many items."""
    return name is not None and name not in TASK_FILES


def of_file(path: str, text: str) -> Format | None:
    """Return the format of the file at `path` (absolute), which holds `text`, if it has one."""
    return next((one for one in map(get, FORMATS) if one.recognises(path, text)), None)


def of_row(row: Row) -> Rows:
    """Return the format of rows like this one."""
    kinds: Iterable[Rows] = map(get, _OF_ROWS)  # type: ignore[arg-type]
    return next(one for one in kinds if one.knows(row))


def in_folder(folder: str) -> list[tuple[Format, str]]:
    """Return the files that a folder stands for, where it is a format's own, each with that."""
    for one in map(get, FORMATS):
        if files := one.below(folder):
            return [(one, file) for file in files]
    return []


def names() -> Callable[[str], object]:
    """Return what tells the names of the files that a walk over a folder asks about."""
    import re

    kinds = [get(name) for name in FORMATS]
    listed = [re.escape(name) for one in kinds for name in one.names]
    patterns = [one.pattern for one in kinds if one.pattern]
    return re.compile("|".join([*listed, *patterns]), re.IGNORECASE).fullmatch


def anywhere(folder: str) -> bool:
    """True if a walk over `folder` asks about every Markdown file."""
    return any(one.everywhere(folder) for one in map(get, FORMATS))


def spliced(text: str, edits: Sequence[Splice]) -> str:
    """Return `text` with `edits` made, which are apart from each other."""
    for start, end, new, _ in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text
