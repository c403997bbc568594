"""What the user named, as files and rows."""

from __future__ import annotations

import difflib
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from hypervisor.config.roots import is_outside
from hypervisor.config.settings import Settings
from hypervisor.intake.sources import lists
from hypervisor.intake.sources.json_rows import holds_json_rows, is_json_lines
from hypervisor.intake.sources.rows import Rows, holds_rows
from hypervisor.system.errors import BrokenFile
from hypervisor.system.git import tracks
from hypervisor.system.reading import NotReadable, read_file, read_pipe
from hypervisor.system.text import listed, one_line, shell
from hypervisor.tasks import formats, walk
from hypervisor.tasks.formats import Format, mark
from hypervisor.tasks.formats.rows import Rows as RowFormat
from hypervisor.tasks.ids import TaskIds, tasks_below
from hypervisor.tasks.walk import Found, NoSource, Problem, SourceError

_TO_INCLUDE = "name it as a source to include it"


def expand(
    specs: Sequence[str],
    *,
    root: str,
    cwd: str,
    settings: Settings,
    id_column: str | None = None,
    children_of: str | None = None,
    stdin: BinaryIO | None = None,
    files_are_items: bool = False,
    lists_lead_out: bool | None = None,
    format: str | None = None,
    on_error: Callable[[SourceError], None] | None = None,
) -> Iterator[Found]:
    """Yield what the sources `specs` name, one after the other.

    A source is the first of these that fits: `-` (a list, or JSON lines, from `stdin`), `@FILE` (a
    list), a folder, a CSV, TSV or JSONL file (its rows), a list file (see `lists.is_list`), a file
    of any other name, a named pipe (a list), a glob, the id of a task below `root`. In folders only
    Markdown files are looked at unless `files_are_items`. `children_of` is one source more: all
    tasks below the task of that id, in the order of their paths.

    What a list names outside of `root`, be it through a link, is held: a list may come with a
    project. So is what is named in the project where a link that git tracks leads out of it. A list
    of a batch directory (see `lists.may_lead_out`) may lead out; `lists_lead_out` says
    it for all instead.

    A source that can't be read goes to `on_error` and the next one follows; without `on_error` the
    SourceError is raised. What a list or a folder holds and can't be read is a Found with a
    problem.
    """
    expander = _Expander(
        root, cwd, settings, id_column, stdin, files_are_items, lists_lead_out, format
    )
    parts: list[tuple[Callable[[str], Iterator[Found]], str]]
    parts = [(expander.source, spec) for spec in specs]
    if children_of is not None:
        parts.append((expander.children, children_of))
    for part, spec in parts:
        try:
            yield from part(spec)
        except SourceError as error:
            if on_error is None:
                raise
            on_error(error)


def led_out(root: str, path: str) -> str | None:
    """Return why `path`, which begins in the project at `root`, is not followed: a link that came
    with the repository leads out of it, and whoever names it need not know that. None for all else:
    the user's own links may."""
    inside = os.path.relpath(path, root)
    if inside.split("/")[0] in (os.pardir, os.curdir) or not is_outside(root, path):
        return None
    link = target = ""
    for name in inside.split("/"):
        link = os.path.join(link, name)
        target = os.path.realpath(os.path.join(root, link))
        if is_outside(root, target):
            break
    if not tracks(root, link):
        return None
    return f"{link} came with the repository, and leads out of the project, to {target}"


class _Expander:
    def __init__(
        self,
        root: str,
        cwd: str,
        settings: Settings,
        id_column: str | None,
        stdin: BinaryIO | None,
        files_are_items: bool,
        lists_lead_out: bool | None,
        format: str | None,
    ) -> None:
        self._root = root
        self._cwd = cwd
        self._settings = settings
        self._stdin = stdin
        self._files_are_items = files_are_items
        self._accept = walk.is_no_leftover if files_are_items else self._is_looked_at
        self._lists_lead_out = lists_lead_out
        self._told = format if format in formats.TASK_FILES else None
        self._format = formats.get(format) if formats.holds_many(format) and format else None
        of_rows = self._format if isinstance(self._format, RowFormat) else None
        self._rows = Rows(id_column, settings, of_rows)
        self._names = formats.names()
        self._tasks: TaskIds | None = None
        self._outside: dict[str, bool] = {}
        self._anywhere: dict[str, bool] = {}
        # The last file that was asked about, and its format: it is asked more than once.
        self._known: tuple[str, Format | None] = ("", None)

    def source(self, spec: str) -> Iterator[Found]:
        if spec == "-":
            data = (self._stdin or sys.stdin.buffer).read(lists.LARGEST + 1)
            if len(data) > lists.LARGEST:
                raise SourceError("standard input: more than 64 MiB", "write it to a file of rows")
            yield from self._piped(spec, data)
            return
        path = self._named(spec)
        if path is not None:
            yield from self._path(path, spec)
        elif spec.startswith("@"):
            listed = self._named(spec[1:])
            if listed is None:
                raise NoSource(f"{one_line(spec[1:])}: no such list", "check its path")
            held = self._led_out(listed, spec)
            yield from self._list(listed, spec) if held is None else (held,)
        elif (part := self._part(spec)) is not None:
            held = self._led_out(part[0], spec)
            yield from self._items(part[0], spec, part[1], part[2]) if held is None else (held,)
        elif walk.has_magic(spec):
            yield from self._glob(spec)
        else:
            yield from self._task(spec)

    def children(self, item_id: str) -> Iterator[Found]:
        tasks = self._ids()
        below = tasks.below(item_id)
        if not below and not tasks.find(item_id):
            raise self._no_task(item_id)
        if not below:
            raise SourceError(
                f"{one_line(item_id)}: no task names it as its parent",
                "write `parent: ID` into its children",
            )
        for path in below:
            yield Found(path, origin=f"children of {item_id}")

    def _named(self, spec: str) -> str | None:
        if not spec or "\0" in spec:
            raise NoSource("an empty source", "name a file, a folder, a glob or a task id")
        return lists.locate(spec, (self._cwd,))

    def _part(self, spec: str) -> tuple[str, Format, str] | None:
        """Return the file, its format and the name, where `spec` is `FILE#NAME`."""
        file, mark_of_name, name = spec.rpartition("#")
        path = self._named(file) if mark_of_name and file and name else None
        kind = self._kind_of(path) if path is not None and os.path.isfile(path) else None
        return None if path is None or kind is None else (path, kind, name)

    def _path(self, path: str, spec: str) -> Iterator[Found]:
        if (held := self._led_out(path, spec)) is not None:
            yield held
            return
        try:
            mode = os.stat(path).st_mode
            if stat.S_ISDIR(mode):
                os.listdir(path)
                yield from self._folder(path, spec)
            elif not stat.S_ISREG(mode) and not walk.is_markdown(path):
                yield from self._piped(spec, read_pipe(path, lists.LARGEST))
            elif holds_rows(path) or self._are_rows(path):
                yield from self._rows.of_file(path, spec)
            elif not self._holds_items(path) and lists.is_list(path, self._cwd):
                yield from self._list(path, spec)
            else:
                yield from self._file(path, spec)
        except OSError as error:
            reason = error.strerror or str(error)
            raise SourceError(
                f"{one_line(spec)}: can't be read: {reason}", "make it readable for you"
            ) from None
        except NotReadable as error:
            raise SourceError(f"{one_line(spec)}: {error.what}", error.fix) from None

    def _holds_items(self, path: str) -> bool:
        return self._kind_of(path) is not None or bool(self._names(os.path.basename(path)))

    def _are_rows(self, path: str) -> bool:
        own = self._format is not None and not isinstance(self._format, RowFormat)
        return not own and self._kind_of(path) is None and holds_json_rows(path)

    def _kind_of(self, path: str) -> Format | None:
        """Return the format of a file of many items, None if it is none."""
        if self._format is not None and not isinstance(self._format, RowFormat):
            return self._format
        if self._told is not None or self._format is not None:
            return None
        if self._files_are_items and walk.is_markdown(path):
            return None
        if self._known[0] != path:
            try:
                self._known = path, formats.of_file(path, mark.text_of(path)[1])
            except (OSError, BrokenFile):
                self._known = path, None
        return self._known[1]

    def _broken(self, path: str) -> BrokenFile | None:
        """Return what is wrong with a file that should hold items by its name, and can't be read.
        Of Markdown the look at its task tells."""
        is_json = path.lower().endswith(".json")
        named = is_json or self._names(os.path.basename(path))
        if self._files_are_items or walk.is_markdown(path) or not named:
            return None
        try:
            text = mark.text_of(path)[1]
            if is_json:
                json.loads(text.removeprefix("\ufeff"))
        except BrokenFile as error:
            return error
        except (ValueError, RecursionError) as error:
            line = getattr(error, "lineno", None)
            return BrokenFile(path, line, f"not JSON: {one_line(error, 120)}", "fix it")
        return None

    def _folder(self, path: str, spec: str) -> Iterator[Found]:
        """Yield what is below a folder, or the items of the files that it stands for."""
        own = [] if self._format or self._told else formats.in_folder(path)
        for kind, file in own:
            rows = isinstance(kind, RowFormat)
            yield from self._rows.of_file(file, spec) if rows else self._items(file, spec, kind)
        if own:
            return
        listing = walk.Walk(path, self._root, self._accept, self._settings.skip_folders)
        for found in listing:
            yield from self._member(found)
        yield from walk.left_out(listing)

    def _member(self, found: Found) -> Iterator[Found]:
        """Yield a file that a list, a pattern or a walk has found, or the items in it."""
        if found.path is None or found.problem is not None:
            yield found
            return
        folder, name = os.path.split(found.path)
        if self._format is not None and not isinstance(self._format, RowFormat):
            yield from self._items(found.path, found.origin, self._format, instead=found)
        elif self._names(name) or self._is_asked_about(folder):
            yield from self._file(found.path, found.origin)
        else:
            yield found if self._told is None else found._replace(format=self._told)

    def _is_looked_at(self, name: str) -> bool:
        return walk.is_markdown(name) or bool(self._names(name))

    def _is_asked_about(self, folder: str) -> bool:
        """True where any file in `folder` may hold items."""
        if self._files_are_items:
            return False
        if folder not in self._anywhere:
            self._anywhere[folder] = formats.anywhere(folder)
        return self._anywhere[folder]

    def _file(self, path: str, spec: str) -> Iterator[Found]:
        """Yield a file, or the items in it."""
        kind = self._kind_of(path)
        if kind is None and (broken := self._broken(path)) is not None:
            yield _broken(broken, path, spec)
        elif kind is None:
            yield Found(path, origin=spec, format=self._told)
        else:
            yield from self._items(path, spec, kind)

    def _items(
        self,
        path: str,
        spec: str,
        kind: Format,
        name: str | None = None,
        instead: Found | None = None,
    ) -> Iterator[Found]:
        """Yield the items of a file, or of one that has none `instead`, without which that is told
        as a problem."""
        try:
            every = kind.items(path, mark.text_of(path)[1])
            items = kind.chosen(path, every, name)
        except BrokenFile as error:
            yield _broken(error, path, spec) if instead is None else instead
            return
        if not items and instead is not None:
            yield instead
        elif not items:
            what = f"nothing called {one_line(name)}" if name else f"no items of {kind.name}"
            what, fix = f"{what} in it", "check the file"
            if parts := kind.parts(every):
                what = what if name else "the file alone means none of its parts"
                file = os.path.relpath(path, self._cwd)
                fix = f"name one: {listed([shell(f'{file}#{part}') for part in parts], 5)}"
            problem = Problem("broken", "empty", what, fix)
            yield Found(path, origin=spec, problem=problem)
        named = set(map(id, items))
        for number, item in enumerate(every, 1) if items else ():
            if item.state:
                yield Found(
                    path, origin=spec, line=item.line, item=item, format=kind.name, number=number,
                    beside=id(item) not in named,
                )  # fmt: skip

    def _list(self, path: str, spec: str) -> Iterator[Found]:
        try:
            if stat.S_ISFIFO(os.stat(path).st_mode):
                data = read_pipe(path, lists.LARGEST)
            else:
                data, _ = read_file(path, lists.LARGEST)
        except OSError as error:
            reason = error.strerror or str(error)
            raise SourceError(
                f"{one_line(spec)}: can't be read: {reason}", "make it readable for you"
            ) from None
        except NotReadable as error:
            raise SourceError(f"{one_line(spec)}: {error.what}", error.fix) from None
        yield from self._entries(data, spec, (self._cwd, os.path.dirname(path)), path)

    def _piped(self, spec: str, data: bytes) -> Iterator[Found]:
        if is_json_lines(data):
            return self._rows.of_lines(data, spec)
        return self._entries(data, spec, (self._cwd,), None)

    def _entries(
        self, data: bytes, spec: str, folders: tuple[str, ...], listed: str | None
    ) -> Iterator[Found]:
        anywhere = self._lists_lead_out
        if anywhere is None:
            anywhere = listed is not None and lists.may_lead_out(listed, self._root)
        for line, entry in lists.entries(data, folders):
            origin = f"{spec}:{line}"
            path = lists.locate(entry, folders)
            if path is not None and not anywhere and self._is_outside(path):
                where = f"outside of the project (line {line} of {_shown(listed)})"
                problem = Problem("held", "outside", where, _TO_INCLUDE)
                yield Found(path, origin=origin, line=line, problem=problem)
            elif path is not None and os.path.isdir(path):
                yield from self._folder(path, origin)
            elif path is not None:
                yield from self._member(Found(path, origin=origin))
            else:
                tasks = [] if _is_path(entry) else self._ids().find(entry)
                for known in tasks:
                    yield Found(known.path, origin=origin)
                if not tasks:
                    what = "file" if _is_path(entry) else "file or task"
                    yield Found(
                        os.path.normpath(os.path.join(folders[0], entry)),
                        origin=origin,
                        problem=Problem(
                            "broken",
                            "missing",
                            f"no such {what} (line {line} of {_shown(listed)})",
                            "fix or remove the line",
                        ),
                    )

    def _is_outside(self, path: str) -> bool:
        if os.path.islink(path):
            return is_outside(self._root, path)
        # Most lists name many files of few folders.
        folder = os.path.dirname(path)
        if folder not in self._outside:
            self._outside[folder] = is_outside(self._root, folder)
        return self._outside[folder] and path != self._root

    def _led_out(self, path: str, spec: str) -> Found | None:
        """Return what is held where `led_out` says why."""
        reason = led_out(self._root, path)
        if reason is None:
            return None
        problem = Problem("held", "outside", reason, "name its target as a source to include it")
        return Found(path, origin=spec, problem=problem)

    def _glob(self, spec: str) -> Iterator[Found]:
        found_any = False
        pattern = os.path.normpath(os.path.join(self._cwd, spec))
        if (held := self._led_out(pattern, spec)) is not None:
            yield held
            return
        for found in walk.glob(pattern, self._root, self._settings.skip_folders):
            found_any = True
            yield from self._member(found._replace(origin=spec))
        if not found_any:
            raise NoSource(f"{one_line(spec)}: matches no file", "check the pattern")

    def _task(self, spec: str) -> Iterator[Found]:
        if _is_path(spec):
            raise NoSource(f"{one_line(spec)}: no such file or folder", self._near_path(spec))
        tasks = self._ids().find(spec)
        if not tasks:
            raise self._no_task(spec)
        for known in tasks:
            yield Found(known.path, origin=spec)

    def _ids(self) -> TaskIds:
        if self._tasks is None:
            self._tasks = TaskIds(tasks_below(self._root, self._settings))
        return self._tasks

    def _no_task(self, item_id: str) -> NoSource:
        near = difflib.get_close_matches(item_id, self._ids().all_ids(), 1)
        hint = f"the closest id is {one_line(near[0], 80)}" if near else "check its path or id"
        where = one_line(self._root, 120)
        return NoSource(f"{one_line(item_id)}: no such file, nor a task below {where}", hint)

    def _near_path(self, spec: str) -> str:
        """Return a hint on the first part of a path that is not there."""
        folder, parts = self._cwd, os.path.normpath(spec).split("/")
        while len(parts) > 1 and os.path.isdir(os.path.join(folder, parts[0] or "/")):
            folder = os.path.join(folder, parts.pop(0) or "/")
        try:
            near = difflib.get_close_matches(parts[0], os.listdir(folder), 1)
        except (OSError, ValueError):
            near = []
        return f"the closest name there is {one_line(near[0], 80)}" if near else "check the path"


def _broken(error: BrokenFile, path: str, origin: str) -> Found:
    problem = Problem("broken", "unreadable", error.what, error.fix)
    return Found(path, origin=origin, line=error.line, problem=problem)


def _is_path(entry: str) -> bool:
    return "/" in entry or walk.is_markdown(entry)


def _shown(listed: str | None) -> str:
    return one_line(os.path.basename(listed), 80) if listed else "the input"
