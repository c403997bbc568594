"""The tasks below a root by id, found by their headers.

For a handful of ids most headers need not be parsed: one that does not hold the id's letters is
not about it.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Iterator
from typing import NamedTuple

from hypervisor.config.settings import Settings
from hypervisor.system.errors import BrokenFile
from hypervisor.system.reading import NotReadable, read_file, read_start
from hypervisor.tasks.front_matter import task_of
from hypervisor.tasks.read import LARGEST, parse
from hypervisor.tasks.task import Task
from hypervisor.tasks.walk import Walk, is_markdown

_HEADER = 8192
_CLOSING = re.compile(rb"^---[ \t]*\r?$", re.MULTILINE)
_WORD = re.compile(rb"[\w.-]+")
# What a task can be called by its number, as `Names` has it: in its id or its file's name.
_NUMBER = re.compile(rb"(?:[a-z]+-)?0*(\d+(?:\.\d+)*)")
_ID_LINE = re.compile(rb"^(?:id|task_id)[ \t]*:[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)
_STATUS_LINE = re.compile(
    rb"^(?:status|state)[ \t]*:[ \t]*[\"']?([^\"'#\r\n]*\w)[\"']?[ \t]*(?:[ \t]#[^\r\n]*)?\r?$",
    re.MULTILINE | re.IGNORECASE,
)
_TASK_LINE = re.compile(
    rb"^[ \t]*(?:- )?[\"'{]?(?:[\w-]*id|status|state|type|depend[\w-]*|block[\w-]*|assignee"
    rb"|priority|parent)[\"']?[ \t]*:",
    re.MULTILINE | re.IGNORECASE,
)
# Even in the folders that are skipped at first, none of these ever holds a task.
NEVER = frozenset({"node_modules"})


class Known(NamedTuple):
    """What the index tells of a task. `state` is the class of its status, "broken" for a file that
    can't be read as a task; such a file's id is a guess from its text, and where a task has none
    (`has_id`) it is the stem of the file's name. `status` is as written."""

    id: str
    path: str
    state: str
    status: str | None
    type: str | None
    parent: str | None
    aliases: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    has_id: bool = True


def tasks_below(
    root: str,
    settings: Settings,
    wanted: Collection[str] | None = None,
    but: Container[str] = frozenset(),
) -> Iterator[Known]:
    """Yield the tasks below `root`; with `wanted`, at least all those that mention an id of it.

    The folders that the settings skip come last: a dependency may have been archived. Files that
    can't be opened, and those whose absolute path is in `but`, are passed over.
    """
    words = None if wanted is None else _words(wanted)
    walk = Walk(root, root, is_markdown, settings.skip_folders)
    yield from _known(walk, settings, words, but)
    for folder in walk.skipped:
        if os.path.basename(folder) not in NEVER:
            yield from _known(Walk(folder, root, is_markdown, NEVER), settings, words, but)


class TaskIds:
    """Tasks by their ids, for looking up one id after the other."""

    def __init__(self, tasks: Iterable[Known]) -> None:
        self._by_id: dict[str, list[Known]] = defaultdict(list)
        self._by_folded: dict[str, list[Known]] = defaultdict(list)
        self._by_stem: dict[str, list[Known]] = defaultdict(list)
        self._by_parent: dict[str, list[Known]] = defaultdict(list)
        for known in tasks:
            self._by_id[known.id].append(known)
            self._by_folded[known.id.casefold()].append(known)
            self._by_stem[os.path.splitext(os.path.basename(known.path))[0]].append(known)
            if known.parent is not None:
                self._by_parent[known.parent.casefold()].append(known)

    def all_ids(self) -> list[str]:
        """Return every id once."""
        return list(self._by_id)

    def find(self, item_id: str) -> list[Known]:
        """Return the tasks of this id: as it is written, else in any case, else by file name."""
        return (
            self._by_id.get(item_id)
            or self._by_folded.get(item_id.casefold())
            or self._by_stem.get(item_id)
            or []
        )

    def below(self, item_id: str) -> list[str]:
        """Return the sorted paths of the tasks below a task: children, theirs, and so on.

        Circles of parents end. A child that has children stands in the list beside them.
        """
        seen = {known.id.casefold() for known in self.find(item_id)} or {item_id.casefold()}
        to_visit = list(seen)
        paths = set()
        while to_visit:
            for known in self._by_parent.get(to_visit.pop(), ()):
                paths.add(known.path)
                if known.id.casefold() not in seen:
                    seen.add(known.id.casefold())
                    to_visit.append(known.id.casefold())
        return sorted(paths)


def _known(
    walk: Walk, settings: Settings, words: frozenset[bytes] | None, but: Container[str]
) -> Iterator[Known]:
    for found in walk:
        if found.path is None or found.problem is not None or found.path in but:
            continue
        try:
            header = _header(found.path)
        except OSError:
            continue
        if not header or (words is not None and not _mentions(header, found.path, words)):
            continue
        known = _read(header, found.path, settings)
        if known is not None:
            yield known


def _header(path: str) -> bytes:
    """Return the front matter of a file with its delimiters, the whole file if it has no end."""
    try:
        start = read_start(path, _HEADER)
        opened = start.find(b"---")
        if opened < 0 or start[:opened].removeprefix(b"\xef\xbb\xbf").strip():
            return b""
        opened += 3
        closing = _CLOSING.search(start, opened)
        if closing is None and len(start) == _HEADER:
            start, _ = read_file(path, LARGEST)
            closing = _CLOSING.search(start, opened)
    except NotReadable:
        return b""
    return start[: closing.end()] + b"\n" if closing else start


def _read(header: bytes, path: str, settings: Settings) -> Known | None:
    stem = os.path.splitext(os.path.basename(path))[0]
    try:
        task = task_of(parse(header, path), settings)
    except BrokenFile:
        return Known(_guess(header) or stem, path, "broken", None, None, None)
    if task is None:
        return None
    return known_of(task, path)


def known_of(task: Task, path: str) -> Known:
    """Return what the index tells of a task at `path`."""
    stem = os.path.splitext(os.path.basename(path))[0]
    return Known(
        task.id or stem, path, task.state, task.status, task.type, task.parent, (*task.aliases,),
        (*task.blocks,), task.id is not None,
    )  # fmt: skip


def guess_id(path: str) -> str | None:
    """Return what looks like the id of a file that can't be read as a task, or None."""
    try:
        return _guess(_header(path))
    except OSError:
        return None


def guess_state(path: str, settings: Settings) -> tuple[str, str | None]:
    """Return the class and the word of what looks like the status of a file that can't be read as a
    task; ("ready", None) where nothing does, or a merge left it in doubt."""
    try:
        header = _header(path)
    except OSError:
        return "ready", None
    found = _STATUS_LINE.findall(header)
    if len(found) != 1 or b"<<<<<<<" in header:
        return "ready", None
    word = found[0].decode("utf-8", "replace")
    return settings.status_class(word), word


def is_a_note(path: str) -> bool:
    """True if what a file that can't be read has for a front matter says nothing of a task."""
    try:
        header = _header(path)
        header.decode()
    except (OSError, UnicodeDecodeError):
        return False
    return bool(header) and b"<<<<<<<" not in header and _TASK_LINE.search(header) is None


def _guess(header: bytes) -> str | None:
    found = _ID_LINE.search(header)
    return found[1].decode("utf-8", "replace") if found else None


def _words(wanted: Collection[str]) -> frozenset[bytes] | None:
    words = set()
    for item_id in wanted:
        found = _WORD.findall(item_id.encode("utf-8", "replace").lower())
        if not found:
            return None
        words.add(max(found, key=len))
        if number := _NUMBER.fullmatch(max(found, key=len)):
            words.add(b"#" + number[1])
    return frozenset(words)


def _mentions(header: bytes, path: str, words: frozenset[bytes]) -> bool:
    # An escape may spell an id with other letters.
    if b"\\" in header or not words.isdisjoint(_WORD.findall(header.lower())):
        return True
    name = os.fsencode(os.path.basename(path)).lower()
    own = _ID_LINE.search(header)
    numbered = map(_NUMBER.match, [name, own[1].lower()] if own else [name])
    numbers = [b"#" + number[1] for number in numbered if number]
    return not words.isdisjoint([os.path.splitext(name)[0], *_WORD.findall(name), *numbers])
