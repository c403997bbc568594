"""The tasks below a root by id, parent and dependency, and what keeps each from being worked on.

`refresh` brings it up to date; between two refreshes nothing is read. The rules are pre-flight's
own: when a file changes they are asked again for the tasks that it can matter to.
"""

from __future__ import annotations

import bisect
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

import hypervisor
from hypervisor.config.roots import SETTINGS, user_file
from hypervisor.config.settings import Settings, load
from hypervisor.intake.index import keeping
from hypervisor.intake.index.entry import Entry
from hypervisor.intake.index.files import Files
from hypervisor.intake.preflight.check import sort_by_files
from hypervisor.intake.preflight.look import Look, odd_path
from hypervisor.intake.preflight.rules import Verdict
from hypervisor.intake.preflight.where import Where
from hypervisor.intake.sources import Known, guess_id
from hypervisor.system.errors import BrokenFile
from hypervisor.system.reading import NotReadable, read_file
from hypervisor.tasks.dependencies import link_target
from hypervisor.tasks.family import family_named
from hypervisor.tasks.front_matter import task_of
from hypervisor.tasks.read import LARGEST, NO_IDENTITY, Document, Identity, identity_of, read
from hypervisor.tasks.task import Family

# So many changes are worth writing down at once; fewer can be found again.
_WORTH_SAVING = 500


class TaskIndex:
    """Call `refresh` first; it raises UsageError for settings that can't be used."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.settings: Settings
        self._key = ""
        self._files: Files | None = None
        self._entries: dict[str, Entry] = {}
        self._seen: dict[str, Identity] = {}
        self._unsaved = 0
        self._in_order: list[Entry] | None = None
        self._last: Document | None = None
        # The file that was read last, and a hash of what it held.
        self._held = "", 0
        # Grows with each change that was taken in.
        self.version = 0
        self._forget()

    def refresh(self) -> None:
        """Take in what has changed in the files and the settings since the last time."""
        self._refresh_settings()
        assert self._files is not None
        changed, gone = self._files.changes(self._seen)
        changed += filter(self._differs, set(self._unsettled).difference(changed, gone))
        if not changed and not gone:
            return
        self.version += 1
        touched = set[str]()
        for path in gone:
            touched |= self._drop(path)
        for path in changed:
            touched |= self._drop(path)
            touched |= self._add(path, self._read(path))
        # Two files of one id are judged together, or neither would be seen to be doubled.
        ids = {one.id for path in touched if (one := self._entries.get(path)) and one.id}
        touched.update(path for item_id in ids for path in self._by_id[item_id])
        for path in touched:
            self._unready(path)
        self._judge(path for path in touched if path in self._entries)
        self._unsaved += len(changed) + len(gone)
        if self._unsaved >= _WORTH_SAVING:
            self.save()

    def save(self) -> None:
        """Keep the index for the next process, if it is worth it."""
        if self._unsaved:
            entries = self._entries.items()
            settled = [entry for path, entry in entries if path not in self._unsettled]
            keeping.save(self.root, self._key, settled)
            self._unsaved = 0

    # -- asking --

    def entries(self) -> list[Entry]:
        """Return the tasks, but for archived ones, in the order of their paths."""
        if self._in_order is None:
            listed = (e for e in self._entries.values() if e.task is not None and not e.archived)
            self._in_order = sorted(listed, key=_path)
        return self._in_order

    def ready(self) -> Iterator[Entry]:
        """Yield the tasks that nothing in the files speaks against, best first.

        Whom one is assigned to holds it only where that is a person's name.
        """
        for _, path in self._ready:
            yield self._entries[path]

    def odd(self) -> list[Entry]:
        """Return the files that can't be read as tasks, and those that can't be worked on so."""
        return [self._entries[path] for path in sorted(self._odd)]

    def find(self, item_id: str) -> list[Entry]:
        """Return the files of this id: as written, else in any case, else by path or file name."""
        for table, key in (
            (self._by_id, item_id),
            (self._by_folded, item_id.casefold()),
            (self._by_stem, item_id.removesuffix(".md")),
        ):
            if table.get(key):
                return [self._entries[path] for path in table[key]]
        there = self.at(item_id)
        return [there] if there is not None else []

    def at(self, path: str) -> Entry | None:
        """Return the file at `path`, relative to the root."""
        return self._entries.get(os.path.join(self.root, path))

    def ids(self) -> list[str]:
        """Return every id once."""
        return [item_id for item_id, paths in self._by_id.items() if paths]

    def children(self, item_id: str) -> list[Entry]:
        """Return the tasks that name this one as their parent."""
        return self._of(self._by_parent, item_id)

    def blocks(self, item_id: str) -> list[Entry]:
        """Return the tasks that depend on this one."""
        return self._of(self._by_dependency, item_id)

    def document(self, entry: Entry) -> Document:
        """Read the file of an entry, unless it was the last and looks as it did then. Raises
        BrokenFile and OSError."""
        path = os.path.join(self.root, entry.path)
        if self._last is None or self._last.path != path or self._last.identity != _looks(path):
            self._last = read(path)
        return self._last

    def look(self, entry: Entry) -> Look | None:
        """Return a look at a task that nothing in the files speaks against, as the last `refresh`
        found it; None if its file is another now, or no item's. Raises BrokenFile, OSError."""
        document = self.document(entry)
        if document.identity != entry.identity or not entry.is_ready or odd_path(entry.path):
            return None
        assert entry.task is not None and entry.judged is not None
        look = Look(self.root, self.settings, Where(()), "work", False, hold_unknown=False)
        look.task(document, entry.task, entry.judged, entry.path)
        return look

    def search(self, wanted: set[str], above: Collection[str] = ()) -> Iterator[Known]:
        """Yield the tasks that have an id of `wanted`, or one of them for a parent; then those
        that are not archived and have a parent of `above`, and those that say that they block one
        of these. Of one id, what is open comes first."""
        paths: dict[str, None] = {}
        for item_id in wanted:
            folded = item_id.casefold()
            for table, key in (
                (self._by_folded, folded),
                (self._by_stem, item_id.rpartition("/")[2]),
                (self._by_parent, folded),
            ):
                paths |= table.get(key, {})
        for item_id in above:
            folded = item_id.casefold()
            below = self._by_parent.get(folded, {})
            paths |= {path: None for path in below if not self._entries[path].archived}
            paths |= self._by_blocked.get(folded, {})
        found = [self._entries[path] for path in paths]
        for entry in sorted(found, key=lambda entry: (entry.archived, entry.is_closed)):
            known = entry.known(self.root)
            if known is None or (entry.archived and self._is_live(known.id)):
                continue
            # What was archived may satisfy others, but it keeps no parent open.
            yield known._replace(parent=None) if entry.archived else known

    def _is_live(self, item_id: str) -> bool:
        """Whether a file that is not archived has this id: it counts, and its old copies don't."""
        paths = self._by_folded.get(item_id.casefold(), ())
        return any(not self._entries[path].archived for path in paths)

    # -- keeping it current --

    def _forget(self) -> None:
        self._entries = {}
        self._seen = {}
        self._by_id: dict[str, dict[str, None]] = defaultdict(dict)
        self._by_folded: dict[str, dict[str, None]] = defaultdict(dict)
        self._by_stem: dict[str, dict[str, None]] = defaultdict(dict)
        self._by_parent: dict[str, dict[str, None]] = defaultdict(dict)
        self._by_dependency: dict[str, dict[str, None]] = defaultdict(dict)
        self._by_blocked: dict[str, dict[str, None]] = defaultdict(dict)
        self._in_order = None
        self._ready: list[tuple[tuple[float, float], str]] = []
        self._odd: set[str] = set()
        # Files that may change without looking otherwise, each with a hash of what it held.
        self._unsettled: dict[str, int | None] = {}

    def _refresh_settings(self) -> None:
        """Start anew where the settings, or the program, are others than those of the entries."""
        files = (os.path.join(self.root, SETTINGS), user_file())
        key = " ".join([hypervisor.__version__, *(_looks(path).fingerprint for path in files)])
        if key == self._key:
            return
        self.settings = load(self.root)
        self._key = key
        self._forget()
        if self._files is not None:
            self._files.close()
        self._files = Files(self.root, self.settings)
        self._look = Look(self.root, self.settings, Where(()), "work", False, hold_unknown=False)

        def family(name: str, path: str) -> Family:
            return family_named(name, self.settings, os.path.join(self.root, path))

        for entry in keeping.load(self.root, key, family).values():
            path = os.path.join(self.root, entry.path)
            self._add(path, entry)
            if entry.is_ready and entry.judged is not None:
                self._ready.append((entry.judged.rank, path))
        self._ready.sort()

    def _differs(self, path: str) -> bool:
        """Whether a file that was not settled tells anything else now than it did."""
        old, held = self._entries[path], self._unsettled[path]
        try:
            raw, status = read_file(path, LARGEST)
        except (OSError, NotReadable):
            raw = None
        if raw is not None and hash(raw) == held:
            identity = identity_of(status)
        else:
            new = self._read(path)
            told = (old.id, old.task, old.judged, old.soft_depends_on, old.broken)
            if told != (new.id, new.task, new.judged, new.soft_depends_on, new.broken):
                return True
            identity = new.identity
        old.identity = self._seen[path] = identity
        if Files.is_settled(identity):
            del self._unsettled[path]
        return False

    def _read(self, path: str) -> Entry:
        assert self._files is not None
        shown = os.path.relpath(path, self.root)
        archived = self._files.is_archived(path)
        try:
            document = read(path)
        except BrokenFile as error:
            return Entry(
                shown, _looks(path), archived, guess_id(path),
                broken=(error.line, error.what, error.fix),
            )  # fmt: skip
        except OSError as error:
            what = f"can't be read: {error.strerror or error}"
            return Entry(shown, NO_IDENTITY, archived, broken=(None, what, "make it readable"))
        self._held = path, hash(document.raw)
        task = task_of(document, self.settings)
        entry = Entry(shown, document.identity, archived)
        if task is not None:
            entry.id = task.id or shown
            entry.task = task
            entry.judged = self._look.judge(document, task)
            words = document.raw_list("soft_depends_on") or [
                document.raw_text("soft_depends_on") or ""
            ]
            entry.soft_depends_on = tuple(link_target(word) for word in words if word.strip())
            entry.order = entry.judged.rank[1]
        return entry

    def _add(self, path: str, entry: Entry) -> set[str]:
        """Take in an entry; return the paths of the tasks that it may matter to."""
        self._entries[path] = entry
        self._seen[path] = entry.identity
        if self._in_order is not None and entry.task is not None and not entry.archived:
            bisect.insort(self._in_order, entry, key=_path)
        if not Files.is_settled(entry.identity):
            self._unsettled[path] = self._held[1] if self._held[0] == path else None
        if not entry.archived and entry.is_odd:
            self._odd.add(path)
        for table, key in _places(entry):
            getattr(self, table)[key][path] = None
        return self._near(path, entry)

    def _drop(self, path: str) -> set[str]:
        entry = self._entries.get(path)
        if entry is None:
            return set()
        near = self._near(path, entry)
        self._unready(path)
        del self._entries[path], self._seen[path]
        if self._in_order is not None and entry.task is not None and not entry.archived:
            del self._in_order[bisect.bisect_left(self._in_order, entry.path, key=_path)]
        self._odd.discard(path)
        self._unsettled.pop(path, None)
        for table, key in _places(entry):
            getattr(self, table)[key].pop(path, None)
        return near

    def _unready(self, path: str) -> None:
        """Take a task out of the ready ones, if it is among them."""
        entry = self._entries.get(path)
        if entry is not None and entry.is_ready and entry.judged is not None:
            place = bisect.bisect_left(self._ready, (entry.judged.rank, path))
            if place < len(self._ready) and self._ready[place][1] == path:
                del self._ready[place]

    def _near(self, path: str, entry: Entry) -> set[str]:
        near = {path}
        if entry.id is None:
            return near
        folded = entry.id.casefold()
        stem = _stem(path).casefold()
        near.update(self._by_folded.get(folded, ()))
        for key in {folded, stem}:
            near.update(self._by_dependency.get(key, ()))
        if entry.task is not None and entry.task.parent is not None:
            near.update(self._by_folded.get(entry.task.parent.casefold(), ()))
        for name in map(_last, entry.task.blocks if entry.task is not None else ()):
            near.update(self._by_folded.get(name.casefold(), ()), self._by_stem.get(name, ()))
        return near

    def _of(self, table: dict[str, dict[str, None]], item_id: str) -> list[Entry]:
        entries = [self._entries[path] for path in sorted(table.get(item_id.casefold(), ()))]
        return [entry for entry in entries if not entry.archived]

    def _judge(self, paths: Iterable[str]) -> None:
        """Ask pre-flight of these tasks, as if they had been named together."""
        look = Look(self.root, self.settings, Where(()), "work", False, hold_unknown=False)
        chosen = [path for path in paths if self._entries[path].task is not None]
        chosen = [path for path in sorted(chosen) if not self._entries[path].archived]
        for path in chosen:
            entry = self._entries[path]
            assert entry.task is not None and entry.judged is not None
            entry.verdict, entry.is_judged = None, True
            look.place(entry.task, entry.judged, entry.path, path, entry.identity)
        inside = set(chosen)
        own = {self._entries[path].id or "" for path in chosen} | {*map(_stem, chosen)}

        def outside(wanted: set[str]) -> Iterator[Known]:
            for known in self.search(wanted, own):
                if known.path not in inside:
                    yield known

        checked = sort_by_files(look, self.root, self.settings, outside)
        for group, placed in checked.groups().items():
            for one in placed:
                if group != "ready" and one.path is not None:
                    entry = self._entries[os.path.join(self.root, one.path)]
                    entry.verdict = Verdict(group, one.kind, one.reason)
        for path in chosen:
            entry = self._entries[path]
            if entry.is_ready and entry.judged is not None:
                bisect.insort(self._ready, (entry.judged.rank, path))


def _path(entry: Entry) -> str:
    return entry.path


def _places(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield the tables that lead to an entry, each with the key there."""
    if entry.id is None and entry.broken is None:
        return
    stem = _stem(entry.path)
    yield "_by_stem", stem
    item_id = entry.id or stem
    yield "_by_id", item_id
    yield "_by_folded", item_id.casefold()
    if entry.task is not None:
        if entry.task.parent is not None:
            yield "_by_parent", entry.task.parent.casefold()
        for other in entry.task.depends_on:
            yield "_by_dependency", _last(other).casefold()
        for other in entry.task.blocks:
            yield "_by_blocked", _last(other).casefold()


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _looks(path: str) -> Identity:
    try:
        return identity_of(os.stat(path))
    except OSError:
        return NO_IDENTITY
