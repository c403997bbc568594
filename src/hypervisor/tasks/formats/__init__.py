"""Files that hold many items, one module a format: how such a file is known, what its items are,
and how the end of one is marked in it.

Only the mark of an item is ever written there: other tools read the same lines.
"""

from __future__ import annotations

from contextlib import nullcontext
from importlib import import_module

from hypervisor.system.errors import UsageError
from hypervisor.system.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence, Set
    from contextlib import AbstractContextManager

    from hypervisor.tasks.formats.rows import Rows

# Name: module, those first that know more exactly what is theirs.
FORMATS = {
    "spec-kit": "spec_kit",
    "openspec": "openspec",
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


class Item(NamedTuple):
    """One item of a file.

    `id` is its own in the file, `word` its state as written and `state` the class of that; `text`
    is what a worker is given, `line` where it stands, from 1. `depends_on`, `blocks` (what waits
    for it) and `parent` name items of the same file by id. `files` are the paths that it names,
    from the root. `priority` is as written.
    """

    id: str
    title: str
    state: str
    word: str
    text: str
    line: int
    depends_on: tuple[str, ...] = ()
    parent: str | None = None
    files: tuple[str, ...] = ()
    priority: str | None = None
    blocks: tuple[str, ...] = ()


class Format:
    """One format. `name` is what `--format` takes, `about` says what it is in a few words, `names`
    are the file names by which a walk over a folder finds such files."""

    name = ""
    about = ""
    names: Sequence[str] = ()

    def recognises(self, path: str, text: str) -> bool:
        """True if the file at `path` (absolute), which holds `text`, is one of these."""
        raise NotImplementedError

    def below(self, folder: str) -> list[str]:
        """Return the files that a folder stands for, where it is the format's own; else none."""
        return []

    def items(self, path: str, text: str) -> list[Item]:
        """Return the items in `text`, in its order. Raises BrokenFile."""
        raise NotImplementedError

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

    def context(self, path: str, root: str) -> list[str]:
        """Return the files (absolute) that a worker should read first."""
        return []

    def notes(self, path: str) -> list[str]:
        """Return what a person should know before the items of the file at `path` are worked on."""
        return []

    def lock(self, path: str) -> AbstractContextManager[None]:
        """Keep the format's own tool from the file at `path` while it is written."""
        return nullcontext()


class Splice(NamedTuple):
    """An edit of a text: `new` in the place of what stands from `start` to `end` in it."""

    start: int
    end: int
    new: str


def get(name: str) -> Format:
    """Return the format called `name`. Raises UsageError."""
    if name not in FORMATS:
        raise UsageError(f"no format is called '{name}'", f"one of: {', '.join(FORMATS)}")
    made: Format = import_module(f"{__name__}.{FORMATS[name]}").FORMAT
    return made


def of_file(path: str, text: str) -> Format | None:
    """Return the format of the file at `path` (absolute), which holds `text`, if it has one."""
    return next((one for one in map(get, FORMATS) if one.recognises(path, text)), None)


def of_row(columns: Set[str]) -> Rows:
    """Return the format of rows with these columns."""
    kinds: Iterable[Rows] = map(get, _OF_ROWS)  # type: ignore[arg-type]
    return next(one for one in kinds if one.knows(columns))


def in_folder(folder: str) -> list[tuple[Format, str]]:
    """Return the files that a folder stands for, where it is a format's own, each with that."""
    for one in map(get, FORMATS):
        if files := one.below(folder):
            return [(one, file) for file in files]
    return []


def names() -> frozenset[str]:
    """Return the names, in lower case, of the files that a walk over a folder asks about."""
    return frozenset(name for one in map(get, FORMATS) for name in one.names)


def spliced(text: str, edits: Sequence[Splice]) -> str:
    """Return `text` with `edits` made, which are apart from each other."""
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text
