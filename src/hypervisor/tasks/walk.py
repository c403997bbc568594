"""Folders and globs: which files they name, without following links out of the tree or in circles.

Hidden files and folders, and the folders that the settings skip, are left out. In a folder only
`*.md` and `*.markdown` are looked at; where files of any kind may be items, all but what tools
leave beside them (`*.tmp`, `*.lock`, `*~`, `index.json`). A link to a file or a folder is followed
if it leads into the named folder or the root; others are told, so that a project from elsewhere
can't have files outside it edited. Links come last, so that a file keeps its own path.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Collection, Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from hypervisor.system.errors import UsageError
from hypervisor.system.text import shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.tasks.item import Item


class SourceError(UsageError):
    """A source that the user named and that can't be read; the other sources still can."""

    exit_code = 1


class Problem(NamedTuple):
    """Why a member of a source is no item: `group` is "held", "broken" or LEFT_OUT (`reason` says
    then how many files), `kind` one word."""

    group: str
    kind: str
    reason: str
    fix: str = ""


class Found(NamedTuple):
    """A member of a source; `item` is one of the many in the file at `path`, which is of `format`.

    `path` is the absolute path of a file, or of the file that a row or a line stands in (None for
    standard input). `row` is the row of a CSV or JSONL source, `row_id` its id; `number` is the
    place of a row or an item among those of its file, `line` the line of one or of a problem, both
    from 1. `origin` is what the user named. `is_work` says of a row that it tells what to do, since
    a tool for tasks has made it. What is `beside` was not named, and others may wait for it.
    """

    path: str | None
    row: dict[str, object] | None = None
    row_id: str | None = None
    origin: str = ""
    line: int | None = None
    problem: Problem | None = None
    item: Item | None = None
    format: str | None = None
    is_work: bool = False
    number: int = 0
    beside: bool = False


MARKDOWN = (".md", ".markdown")
LEFT_OUT = "left out"
_UNFINISHED = re.compile(r"archive|draft|template", re.IGNORECASE)
_LEFTOVERS = (".tmp", ".lock", "~")
# Folders are numbered, or say what is in them: `99 - Templates`, `_archive`, `Task Templates`.
_DECORATION = re.compile(r"(?:[\W\d_]+|(?:issue|note|task)s?[-_ ]+)+")
_MAGIC = re.compile(r"[*?\[]")


def is_markdown(name: str) -> bool:
    """Return whether a file of this name is looked at in a folder."""
    return name.endswith(MARKDOWN) or name.lower().endswith(MARKDOWN)


def is_no_leftover(name: str) -> bool:
    """Return whether a file of this name can be an item where any file can."""
    return not name.endswith(_LEFTOVERS) and name != "index.json"


class Walk:
    """One walk below `folder`; iterate it for what it found, in the order of the names.

    `accept` decides by a file's name, `skip` holds the names of folders to leave out; the folders
    left out are collected in `skipped`, those that were listed in `folders`, links met
    in `links`. Links may lead into `folder` or `root`. Folders that are more than `deepest`
    levels below are not entered.
    """

    def __init__(
        self,
        folder: str,
        root: str,
        accept: Callable[[str], bool],
        skip: Collection[str],
        deepest: int | None = None,
    ) -> None:
        self.folder = folder
        self.skipped: list[str] = []
        self.folders: list[str] = []
        self._accept = accept
        self._skip = skip
        self._most_slashes = None if deepest is None else folder.rstrip("/").count("/") + deepest
        self._trees = tuple(os.path.join(os.path.realpath(tree), "") for tree in {folder, root})
        self._entered: set[tuple[int, int]] = set()
        self.links: list[str] = []

    def __iter__(self) -> Iterator[Found]:
        yield from self._below(self.folder)
        # Links met behind links are appended while this runs.
        for path in self.links:
            yield from self._link(path)

    def _below(self, folder: str) -> Iterator[Found]:
        stack: list[tuple[str, bool]] = [(folder, True)]
        while stack:
            path, is_folder = stack.pop()
            if not is_folder:
                yield Found(path, origin=self.folder)
                continue
            try:
                entries = self._list(path)
            except OSError as error:
                yield unreadable(path, error, self.folder)
                continue
            stack.extend(reversed(entries))

    def _is_left_out(self, folder: str) -> bool:
        name = folder.casefold()
        found = _DECORATION.match(name)
        return name in self._skip or (found is not None and name[found.end() :] in self._skip)

    def _list(self, folder: str) -> list[tuple[str, bool]]:
        """Return the files and folders to go on with, sorted; links and the rest put aside."""
        seen = os.stat(folder)
        if (seen.st_dev, seen.st_ino) in self._entered:
            return []
        self._entered.add((seen.st_dev, seen.st_ino))
        self.folders.append(folder)
        enter = self._most_slashes is None or folder.count("/") < self._most_slashes
        kept = []
        links = []
        skipped = []
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith("."):
                    continue
                if entry.is_symlink():
                    links.append(entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    if self._is_left_out(name):
                        skipped.append(entry.path)
                    elif enter:
                        kept.append((entry.path, True))
                elif self._accept(name) and entry.is_file(follow_symlinks=False):
                    kept.append((entry.path, False))
        self.links.extend(sorted(links))
        self.skipped.extend(sorted(skipped))
        kept.sort()
        return kept

    def _link(self, path: str) -> Iterator[Found]:
        name = os.path.basename(path)
        is_folder = os.path.isdir(path)
        if self._is_left_out(name) if is_folder else not self._accept(name):
            return
        if not is_folder and not os.path.isfile(path):
            problem = Problem("broken", "link", "a link that leads nowhere", "remove or fix it")
            yield Found(path, origin=self.folder, problem=problem)
        elif not os.path.join(os.path.realpath(path), "").startswith(self._trees):
            yield Found(
                path,
                origin=self.folder,
                problem=Problem(
                    "held",
                    "outside",
                    f"a link that leads out of the project, to {os.path.realpath(path)}",
                    "name its target as a source to include it",
                ),
            )
        elif is_folder:
            yield from self._below(path)
        else:
            yield Found(path, origin=self.folder)


def left_out(walk: Walk) -> Iterator[Found]:
    """Yield the folders of drafts, templates and archives that a walk did not enter, each with a
    problem that tells how many Markdown files it holds."""
    for folder in walk.skipped:
        if _UNFINISHED.search(os.path.basename(folder)):
            files = sum(sum(map(is_markdown, names)) for _, _, names in os.walk(folder))
            if files:
                problem = Problem(LEFT_OUT, "folder", str(files))
                yield Found(folder, origin=walk.folder, problem=problem)


def unreadable(path: str, error: OSError, origin: str) -> Found:
    """Return the entry for a folder or file that can't be opened."""
    reason = f"can't be read: {error.strerror or error}"
    fix = ""
    if error.errno == errno.EACCES:
        fix = f"chmod u+{'rx' if os.path.isdir(path) else 'r'} {shell(path)}"
    return Found(path, origin=origin, problem=Problem("broken", "unreadable", reason, fix))


def has_magic(pattern: str) -> bool:
    """Return whether `pattern` holds a wildcard."""
    return _MAGIC.search(pattern) is not None


def glob(pattern: str, root: str, skip: Collection[str]) -> Iterator[Found]:
    """Yield the files that an absolute pattern matches, each once, sorted.

    `**` stands for any number of folders. Wildcards match neither hidden names nor the folders to
    skip, unless the pattern spells the folder out. Folders that match are not entered.
    """
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    fixed = 0
    while fixed < len(parts) - 1 and not has_magic(parts[fixed]):
        fixed += 1
    base = "/" + "/".join(parts[:fixed])
    rest = parts[fixed:]
    if not os.path.isdir(base):
        return
    walk = Walk(
        base,
        root,
        lambda name: True,
        {name for name in skip if name not in rest},
        deepest=None if "**" in rest else len(rest) - 1,
    )
    below = len(os.path.join(base, ""))
    for found in walk:
        if found.path is not None and _matches(found.path[below:].split("/"), rest):
            yield found._replace(origin=pattern)


def _matches(names: list[str], parts: list[str]) -> bool:
    if not parts:
        return not names
    if parts[0] == "**":
        if len(parts) == 1:
            return bool(names)
        return any(_matches(names[place:], parts[1:]) for place in range(len(names)))
    return bool(names) and fnmatchcase(names[0], parts[0]) and _matches(names[1:], parts[1:])
