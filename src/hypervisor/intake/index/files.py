"""Which Markdown files there are below a root, and which of them have changed since the last look.

Where the kernel tells of changes, only what it names is looked at. Elsewhere every file is (a
`stat`, no reading), since an edit in place changes nothing but the file: with 10,000 files that is
50 ms of the processor for each answer, and that is all that an answer may take. And whatever the
kernel tells, every file is looked at once in a while.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping

from hypervisor.config.settings import Settings
from hypervisor.intake.index.watch import Watch
from hypervisor.system.files import fingerprint_of
from hypervisor.system.mounts import network_file_system
from hypervisor.tasks.ids import NEVER
from hypervisor.tasks.read import Identity
from hypervisor.tasks.walk import Walk, is_markdown

# Two changes within one tick of a file system's clock leave one time: what was changed so shortly
# before a look may have changed since.
_TICK_NS = 50_000_000
# Even in the folders that are skipped at first, none of these ever holds a task.
_EVERYTHING_SECONDS = 60.0


class Files:
    """The Markdown files below `root`, by absolute path."""

    def __init__(self, root: str, settings: Settings) -> None:
        self._root = root
        self._settings = settings
        self._folders: dict[str, str] = {}
        self._archived: set[str] = set()
        self._paths: dict[str, None] = {}
        # Files that change under names which nobody watches.
        self._other_names: set[str] = set()
        self._looked_at_all = 0.0
        self._watch = _watch(root)

    def changes(self, known: Mapping[str, Identity]) -> tuple[list[str], list[str]]:
        """Return the files that don't look as `known` says, and the known ones that are gone."""
        told, anew = self._watch.changes() if self._watch is not None else (set(), False)
        late = time.monotonic() - self._looked_at_all > _EVERYTHING_SECONDS
        if self._watch is None or anew or late or self._is_foreign(told):
            return self._all_changes(known)
        near = {path for path in told if is_markdown(path) and not _is_hidden(path)}
        near |= self._other_names
        changed, gone = [], []
        for path in near:
            seen = _seen(path)
            if seen is None:
                self._paths.pop(path, None)
                gone += [path] if path in known else []
            else:
                self._paths[path] = None
                changed += [path] if _differs(seen, known.get(path)) else []
        return changed, gone

    def is_archived(self, path: str) -> bool:
        """Whether a file stands in a folder that a walk leaves out."""
        return os.path.dirname(path) in self._archived

    @staticmethod
    def is_settled(identity: Identity) -> bool:
        """Whether a file that looks so can't have changed since without looking otherwise."""
        return time.time_ns() - max(identity.mtime_ns, identity.ctime_ns) > _TICK_NS

    def close(self) -> None:
        """Have the kernel tell nothing any more."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _is_foreign(self, told: set[str]) -> bool:
        """Whether a link came or went: where it leads is a question for the walk."""
        return any(os.path.islink(path) for path in told) or not self._other_names.isdisjoint(told)

    def _all_changes(self, known: Mapping[str, Identity]) -> tuple[list[str], list[str]]:
        if self._watch is not None or not self._folders or self._folders_changed():
            self._list()
        changed = []
        there = set()
        for path in self._paths:
            seen = _seen(path)
            if seen is None:
                continue
            there.add(path)
            if _differs(seen, known.get(path)):
                changed.append(path)
            if seen.st_nlink > 1:
                self._other_names.add(path)
        self._looked_at_all = time.monotonic()
        return changed, [path for path in known if path not in there]

    def _folders_changed(self) -> bool:
        for folder, seen in self._folders.items():
            try:
                if fingerprint_of(os.stat(folder)) != seen:
                    return True
            except OSError:
                return True
        return False

    def _list(self) -> None:
        while True:
            now = time.time_ns()
            self._paths, self._archived, self._folders = {}, set(), {}
            self._other_names = set()
            walk = Walk(self._root, self._root, is_markdown, self._settings.skip_folders)
            self._take(walk, now, archived=False)
            for folder in walk.skipped:
                if os.path.basename(folder) not in NEVER:
                    self._take(Walk(folder, self._root, is_markdown, NEVER), now, archived=True)
            if not self._watch_new_folders():
                return
            # What came into a folder between its listing and its watch was told by neither.

    def _watch_new_folders(self) -> bool:
        if self._watch is None:
            return False
        new = self._folders.keys() - self._watch.folders()
        try:
            for folder in new:
                self._watch.add(folder)
        except OSError:
            # Too many folders for the system's limit, or one has gone: look for oneself.
            self.close()
            return False
        return bool(new)

    def _take(self, walk: Walk, now: int, *, archived: bool) -> None:
        for found in walk:
            if found.path is not None and found.problem is None:
                self._paths[found.path] = None
        if archived:
            self._archived.update(walk.folders)
        for folder in walk.folders:
            self._folders[folder] = _as_listed(folder, now)
        self._other_names.update(path for path in walk.links if path in self._paths)


def _watch(root: str) -> Watch | None:
    try:
        return None if network_file_system(root) else Watch()
    except OSError:
        return None


def _seen(path: str) -> os.stat_result | None:
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return seen if stat.S_ISREG(seen.st_mode) else None


def _differs(seen: os.stat_result, was: Identity | None) -> bool:
    return was is None or fingerprint_of(seen) != was.fingerprint


def _is_hidden(path: str) -> bool:
    return os.path.basename(path).startswith(".")


def _as_listed(folder: str, at: int) -> str:
    """Return how a folder that was listed after `at` (nanoseconds) looks; "" where it may have
    changed since, or may once more within the same tick."""
    try:
        seen = os.stat(folder)
    except OSError:
        return ""
    return "" if at - max(seen.st_mtime_ns, seen.st_ctime_ns) < _TICK_NS else fingerprint_of(seen)
