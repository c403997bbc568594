"""The first look: each member of a source by itself."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from hypervisor.config.roots import is_outside
from hypervisor.config.settings import Settings, as_name
from hypervisor.intake.preflight import front_matter
from hypervisor.intake.preflight.candidate import (
    USUAL_RANK,
    Candidate,
    priority_or_usual,
    rank,
)
from hypervisor.intake.preflight.mentions import Mentions
from hypervisor.intake.preflight.result import Broken, Entry, Preflight, Warned
from hypervisor.intake.preflight.rules import Rules, Verdict, finished, held_by_status
from hypervisor.intake.preflight.touched import touched
from hypervisor.intake.preflight.unknown import KEY
from hypervisor.intake.preflight.where import Where
from hypervisor.intake.sources import Found, Known, guess_id
from hypervisor.system.digests import sha256
from hypervisor.system.errors import BrokenFile
from hypervisor.system.text import one_line, shell
from hypervisor.tasks import formats
from hypervisor.tasks.body_status import status_in
from hypervisor.tasks.dependencies import is_read
from hypervisor.tasks.formats import Format
from hypervisor.tasks.formats.rows import Rows
from hypervisor.tasks.front_matter import task_of
from hypervisor.tasks.ids import guess_state, is_a_note
from hypervisor.tasks.item import Item
from hypervisor.tasks.read import Document, Identity, identity_of, read
from hypervisor.tasks.task import Task
from hypervisor.tasks.walk import LEFT_OUT, is_markdown

_NEEDS_INSTRUCTIONS = "a row says nothing of what to do with it: rows need --instructions FILE"

# What the keys of a task must be, whatever its format.
_NEEDED = ("id", "title", "status")
# What a store can look up.
_LONGEST_ID = 500
_LONGEST_PATH = 2000


class Judged(NamedTuple):
    """What a task's own file says of it: `unusable` is a key of its front matter with its line and
    what is wrong with it, `verdict` why it isn't ready, `rank` what it is sorted by, `files` those
    that it says it touches."""

    unusable: tuple[str, int | None, str] | None
    verdict: Verdict | None
    rank: tuple[float, float]
    files: tuple[str, ...]


class Seen(NamedTuple):
    """What a look has taken in of some members."""

    candidates: list[Candidate]
    left_out: dict[str, str]
    result: Preflight
    files: dict[tuple[object, object], str | None]


class Look:
    """Looks at one member after the other and keeps no body.

    What becomes an item, or would if it weren't for its own file, goes to `candidates` in the order
    of the sources; what is broken or can't be one goes straight to `result`. `left_out` holds the
    ids that `where` left out, with a path for each, `beside` the rows and items of files that were
    not asked for. With `hold_unknown`, assignees that nobody
    knows hold a task.
    """

    def __init__(
        self, root: str, settings: Settings, where: Where, purpose: str, files_are_items: bool,
        files_from: str | None = None, tools: tuple[str, ...] = (), hold_unknown: bool = True,
    ) -> None:  # fmt: skip
        self.candidates: list[Candidate] = []
        self.left_out: dict[str, str] = {}
        self.beside: list[Known] = []
        self.result = Preflight()
        self._root = root
        self._prefix = os.path.join(root, "")
        self._settings = settings
        self._where = where
        self._for_work = purpose == "work"
        self._files_are_items = files_are_items and self._for_work
        self.result.only_tasks = self._for_work and not files_are_items
        self._files_from = files_from
        self._rules = Rules(settings, purpose, tools, hold_unknown)
        self._mentions = Mentions(root, instructions=files_are_items)
        self._real: dict[str, str] = {}
        self._seen: dict[tuple[object, object], str | None] = {}
        self._last: tuple[str | None, str | None, tuple[str, str] | None] = (None, None, None)
        self._rows: dict[object, tuple[str | None, int]] = {}
        self._context: dict[str, list[str]] = {}
        self._files: dict[str, object] = {}
        self._kinds: dict[str, Format] = {}
        self._outside: dict[str, tuple[bool, bool]] = {}

    def at(self, found: Found) -> None:
        """Take in one member of a source."""
        if found.path is not self._last[0]:
            # All rows of a file have the very same path.
            path = self._relative(found.path)
            self._last = found.path, path, None if path is None else odd_path(path)
        _, path, odd = self._last
        if path is not None and odd is not None:
            shown = os.fsencode(path).decode("utf-8", "backslashreplace")
            self._broken(shown, None, "name", *odd)
        elif found.problem is not None:
            self._odd(found, path)
        elif found.row is not None:
            self._row(found, path)
        elif found.item is not None:
            self._item(found.item, found, path)
        elif found.path is not None and path is not None:
            self._file(found.path, path, found.format)

    def give_out(self) -> Seen:
        """Return what was taken in since the last time, and forget it."""
        seen = Seen(self.candidates, self.left_out, self.result, self._seen)
        self.candidates, self.left_out, self.result, self._seen = [], {}, Preflight(), {}
        return seen

    def take_in(self, seen: Seen) -> bool:
        """Take in what another look has given out; False, and nothing is taken, where one of its
        files was met before."""
        if not self._seen.keys().isdisjoint(seen.files):
            return False
        self._seen |= seen.files
        self.candidates += seen.candidates
        self.left_out |= seen.left_out
        mine, theirs = self.result, seen.result
        mine.held += theirs.held
        mine.skipped += theirs.skipped
        mine.broken += theirs.broken
        mine.not_matching += theirs.not_matching
        mine.assignees |= theirs.assignees
        mine.formats |= theirs.formats
        mine.left_out |= theirs.left_out
        return True

    def _odd(self, found: Found, path: str | None) -> None:
        assert found.problem is not None
        group, kind, reason, fix = found.problem
        if group == LEFT_OUT:
            self.result.left_out[path or ""] = int(reason)
        elif group == "skipped":
            self.result.skipped.append(Entry(id=path or "", path=path, kind=kind, reason=reason))
        elif group == "held" and path is not None:
            told = f"{reason}; {fix}" if fix else reason
            self.result.held.append(Entry(id=path, path=path, kind=kind, reason=told))
        else:
            self._broken(path, found.line, kind, reason, fix)

    def _row(self, found: Found, path: str | None) -> None:
        assert found.item is not None, "a row was read as an item"
        item = self._settled(found.item)
        if self._where and not self._where.holds(found.row, None):
            self.result.not_matching += 1
            names = (item.id, *item.aliases) if item.id else item.aliases
            self._beside(found.row_id or "", path, item, item.parent, names, item.blocks)
            return
        kind = self._kind(found.format or "rows")
        if found.is_work and path is not None and found.format is not None:
            self.result.formats[path] = found.format
        verdict = None
        if not self._for_work:
            verdict = Verdict("skipped", "not_a_task", "not a task: a row of a table")
        else:
            verdict = finished(item.state, item.word)
            if verdict is None and not (self._files_are_items or found.is_work):
                verdict = Verdict("held", "instructions", _NEEDS_INSTRUCTIONS)
            if verdict is None and not item.state:
                verdict = Verdict("held", "container", "worked on by its parts")
            if verdict is None and item.held:
                why = "waiting" if item.state == "waiting" else KEY
                verdict = Verdict("held", why, item.held)
            verdict = verdict or held_by_status(item.state, item.word)
            if verdict is None and found.path is not None:
                verdict = self._row_before(found.path, found.number, path)
        files = touched((found.row or {}).get(self._files_from or ""), self._root)
        outside = next(filter(self._leads_out, files), None)
        if verdict is None and outside is not None:
            reason = f"names a file outside of the project: {one_line(outside, 120)}"
            verdict = Verdict("held", "outside", reason)
        self.candidates.append(
            Candidate(
                id=found.row_id or "",
                status=item.word or None,
                state=item.state,
                parent=item.parent,
                depends_on=item.depends_on,
                blocks=item.blocks,
                aliases=(item.id, *item.aliases) if item.id else item.aliases,
                verdict=verdict,
                path=path,
                title=item.title or None,
                payload=found.row,
                rank=(priority_or_usual(item.priority), 0.0) if found.is_work else USUAL_RANK,
                files=files,
                cancelled_will_do=kind.cancelled_will_do,
                waits_with_parent=kind.waits_with_parent,
            )
        )

    def tell_pages(self) -> None:
        """Warn of files with just as many rows as their tool prints unless more are asked for."""
        rows = Counter(one.path for one in self.candidates if one.file is None)
        for path, name in self.result.formats.items():
            kind = formats.get(name) if formats.holds_many(name) else None
            if isinstance(kind, Rows) and rows[path] == kind.page > 0:
                what = f"{kind.page} issues, as many as are listed unless more are asked for"
                self.result.warnings.append(Warned(None, path, what))

    def _item(self, item: Item, found: Found, path: str | None) -> None:
        """Take in one of the many items of a file."""
        assert path is not None and found.path is not None, "it is in a file"
        item = self._settled(item)
        blocks = [self._called(path, other) for other in item.blocks]
        parent = item.parent and f"{path}#{item.parent}"
        matches = not self._where or self._where.holds(item._asdict(), None)
        if found.beside or not matches:
            self.result.not_matching += not matches and not found.beside
            self._beside(f"{path}#{item.id}", path, item, parent, (), blocks)
            return
        if path not in self.result.formats:
            kind = formats.get(found.format or "")
            self.result.formats[path] = kind.name
            self.result.warnings += [Warned(None, path, note) for note in kind.notes(found.path)]
            context = kind.context(found.path, self._root)
            self._context[path] = [os.path.relpath(file, self._root) for file in context]
        verdict = finished(item.state, item.word) or held_by_status(item.state, item.word)
        if item.held:
            why = "waiting" if item.state == "waiting" else "disagreement"
            verdict = Verdict("held", why, item.held)
        if not self._for_work:
            verdict = Verdict("skipped", "not_a_task", "not a task: one of many items of a file")
        files = tuple(sorted(set(map(os.path.normpath, item.files))))
        outside = next(filter(self._leads_out, files), None)
        if verdict is None and outside is not None:
            reason = f"names a file outside of the project: {one_line(outside, 120)}"
            verdict = Verdict("held", "outside", reason)
        self.candidates.append(
            Candidate(
                id=f"{path}#{item.id}",
                status=item.word,
                state=item.state,
                parent=parent,
                depends_on=[self._called(path, other) for other in item.depends_on],
                blocks=blocks,
                verdict=verdict
                or self._seen_before((self._same(found.path), (found.number, item.id)), path),
                path=path,
                title=item.title,
                payload={"text": item.text, "line": item.line}
                | ({"context": self._context[path]} if self._context[path] else {}),
                rank=(priority_or_usual(item.priority), 0.0),
                files=files,
                format=found.format,
                cancelled_will_do=self._kind(found.format or "").cancelled_will_do,
            )
        )

    def _beside(
        self, item_id: str, path: str | None, item: Item, parent: str | None,
        aliases: Sequence[str], blocks: Sequence[str],
    ) -> None:  # fmt: skip
        """Take in an item that nobody asked for, and others may wait for."""
        self.beside.append(
            Known(
                item_id, path or "", item.state, item.word or None, None, parent,
                (*aliases,), (*blocks,),
            )
        )  # fmt: skip

    def _settled(self, item: Item) -> Item:
        """Return an item with the class that the settings give to a word of which its format knows
        nothing."""
        if item.state != "unknown":
            return item
        return item._replace(state=self._settings.added_to(item.word))

    def _called(self, path: str, other: str) -> str:
        """Return the id of another item, of the file at `path` or one that `other` names."""
        if other.startswith(self._prefix):
            return other[len(self._prefix) :]
        return f"{path}#{other}"

    def _leads_out(self, file: str) -> bool:
        path = os.path.join(self._root, file)
        # Many items name files of few folders.
        folder = os.path.dirname(path)
        if folder not in self._outside:
            self._outside[folder] = is_outside(self._root, folder), os.path.isdir(folder)
        outside, is_there = self._outside[folder]
        if is_there and os.path.islink(path):
            return is_outside(self._root, path)
        return outside

    def _file(self, file: str, path: str, format: str | None = None) -> None:
        try:
            if not is_markdown(file):
                seen = os.stat(file)
                if not stat.S_ISREG(seen.st_mode):
                    raise BrokenFile(file, None, "not a regular file", "leave it out of the source")
                self._other_file(file, path, identity_of(seen))
                return
            document = read(file)
        except BrokenFile as error:
            closed = finished(*guess_state(file, self._settings))
            if closed is not None:
                self.candidates.append(
                    Candidate(id=guess_id(file) or path, verdict=closed, path=path, file=file)
                )
            elif self._told_twice(file, path):
                return
            elif is_a_note(file):
                self.result.skipped.append(
                    Entry(id=path, path=path, kind="malformed", reason=f"no task: {error.what}")
                )
            else:
                self._broken(path, error.line, "unreadable", error.what, error.fix, guess_id(file))
            return
        except OSError as error:
            reason = f"can't be read: {error.strerror or error}"
            fix = f"chmod u+r {shell(path)}" if error.errno == 13 else "check the file"
            self._broken(path, None, "unreadable", reason, fix)
            return
        task = task_of(document, self._settings, format)
        if task is None:
            self._other_file(file, path, document.identity, document)
        else:
            self._task(document, task, path, format)

    def _other_file(
        self, file: str, path: str, identity: Identity, document: Document | None = None
    ) -> None:
        if self._where and not self._where.holds(document.meta if document else None, None):
            self.result.not_matching += 1
            return
        verdict = self._seen_before((identity.device, identity.inode), path)
        if verdict is None and document is not None:
            word = status_in(document.body)
            verdict = finished(self._settings.status_class(word), word) if word else None
        if verdict is None and not self._files_are_items:
            what = "no status and no known type" if document else "no Markdown"
            verdict = Verdict("skipped", "not_a_task", f"not a task: {what}")
        self.candidates.append(Candidate(id=path, verdict=verdict, path=path, file=file))

    def _task(self, document: Document, task: Task, path: str, format: str | None) -> None:
        if self._where and not self._where.holds(document.meta or {}, task):
            self.result.not_matching += 1
            self.left_out[task.id or path] = path
            return
        self.result.assignees.update(map(as_name, task.assignees))
        self.task(document, task, self.judge(document, task), path)
        if format is not None and self.candidates[-1:] and self.candidates[-1].path == path:
            self.candidates[-1].format = format

    def task(self, document: Document, task: Task, judged: Judged, path: str) -> None:
        """Take in a task that was judged, with what its text names."""
        self.place(task, judged, path, document.path, document.identity)
        placed = self.candidates[-1] if self.candidates else None
        if placed is None or placed.file != document.path or placed.verdict is not None:
            return
        placed.content = sha256(document.raw)
        if self._for_work:
            placed.named, placed.hints = self._mentions.of(document, path)

    def judge(self, document: Document, task: Task) -> Judged:
        """Return what the file itself says of its task; what is only odd goes to its warnings."""
        # What is closed is closed, odd as it may be.
        closed = task.state in ("done", "cancelled")
        violation = None if closed else self._judge_front_matter(document, task)
        if violation is None and task.id is not None and len(task.id) > _LONGEST_ID:
            key = task.family.fields["id"]
            what = f"is longer than {_LONGEST_ID} characters"
            violation = front_matter.Violation(key, what, True)
        unusable = None
        if violation is not None:
            key, what, _ = violation
            unusable = (key, document.key_lines.get(key), what)
        verdict = None if unusable else self._rules.verdict(document, task)
        ranked, files = rank(task, document), self._touched(document, task)
        return Judged(unusable, verdict, ranked, files)

    def place(self, task: Task, judged: Judged, path: str, file: str, identity: Identity) -> None:
        """Take in a task that `judge` has seen; `path` is relative to the root, `file` absolute."""
        if task.family.kind is not None and task.family.told:
            folder = os.path.dirname(path) or "."
            self.result.formats.setdefault(folder, task.family.kind.name)
        verdict = self._seen_before((identity.device, identity.inode), path)
        if verdict is None:
            if judged.unusable is not None:
                key, line, what = judged.unusable
                self._broken(path, line, "front_matter", f"{key} {what}", _mend(key), task.id)
                return
            verdict = judged.verdict
        self.candidates.append(
            Candidate(
                id=task.id or path,
                status=task.status,
                state=task.state,
                type=task.type,
                parent=task.parent,
                depends_on=task.depends_on,
                blocks=task.blocks,
                may_wait=(*task.may_wait.items(),),
                aliases=task.aliases,
                verdict=verdict,
                warnings=task.warnings,
                path=path,
                file=file,
                title=task.title,
                identity=identity,
                rank=judged.rank,
                files=judged.files,
            )
        )

    def _touched(self, document: Document, task: Task) -> tuple[str, ...]:
        if self._files_from is not None:
            return touched(document.value(self._files_from), self._root)
        key = task.family.fields["files"]
        told = touched(document.value(key if key in document.keys else "files"), self._root)
        if task.apart:
            folder = os.path.dirname(document.path)
            beside = [os.path.join(folder, name) for name in task.apart]
            told = tuple(sorted({*told, *touched(beside, self._root)}))
        return told

    def _judge_front_matter(self, document: Document, task: Task) -> front_matter.Violation | None:
        """Return what makes the front matter unusable, if anything; warn of what is only odd."""
        judged = front_matter.looked_at()
        own = task.family.kind is not None and task.family.told
        meta = {key: document.value(key) for key in document.keys if key in judged}
        for violation in front_matter.violations(meta):
            # Links that are mappings were read, and a format's own keys are its own.
            if own and violation.key not in _NEEDED:
                continue
            if violation.unusable and is_read(violation.key, task.unread):
                continue
            if violation.unusable:
                return violation
            # What was read with good will has said so itself.
            if not any(told.startswith(f"{violation.key} ") for told in task.warnings):
                task.warnings.append(f"{violation.key} {violation.what}")
        return None

    def _seen_before(self, key: tuple[object, object], path: str | None) -> Verdict | None:
        if key not in self._seen:
            self._seen[key] = path
            return None
        return _duplicate(self._seen[key], path)

    def _row_before(self, file: str, number: int, path: str | None) -> Verdict | None:
        """Do as `_seen_before` for a row, going by the last of its file: they come in order."""
        same = self._same(file)
        first, last = self._rows.get(same, (path, 0))
        if number <= last:
            return _duplicate(first, path)
        self._rows[same] = first, number
        return None

    def _kind(self, name: str) -> Format:
        if name not in self._kinds:
            self._kinds[name] = formats.get(name)
        return self._kinds[name]

    def _same(self, file: str) -> object:
        """Return what a file of many items has in common with links to it."""
        if file not in self._files:
            try:
                seen = os.stat(file)
                self._files[file] = seen.st_dev, seen.st_ino
            except OSError:
                self._files[file] = file
        return self._files[file]

    def _told_twice(self, file: str, path: str) -> bool:
        """Say whether a broken file was told before; the second time it is a duplicate."""
        try:
            identity = identity_of(os.stat(file))
        except OSError:
            return False
        verdict = self._seen_before((identity.device, identity.inode), path)
        if verdict is None:
            return False
        self.result.skipped.append(
            Entry(id=path, path=path, kind=verdict.kind, reason=verdict.reason)
        )
        return True

    def _broken(
        self,
        path: str | None,
        line: int | None,
        kind: str,
        reason: str,
        fix: str,
        item_id: str | None = None,
    ) -> None:
        self.result.broken.append(
            Broken(path=path, line=line, kind=kind, reason=reason, fix=fix, id=item_id)
        )

    def _relative(self, path: str | None) -> str | None:
        if path is None or path.startswith(self._prefix):
            return path and path[len(self._prefix) :]
        # Named through a link to the root, or outside of it.
        folder, name = os.path.split(path)
        if folder not in self._real:
            self._real[folder] = os.path.relpath(os.path.realpath(folder), self._root)
        return os.path.normpath(os.path.join(self._real[folder], name))


def _duplicate(first: str | None, path: str | None) -> Verdict:
    same = "named twice" if first == path else f"the same file as {one_line(first)}"
    return Verdict("skipped", "duplicate", same)


def odd_path(path: str) -> tuple[str, str] | None:
    """Return why no ledger takes a path, and the mend."""
    if not _is_text(path):
        return "the name is not UTF-8", "rename it"
    return ("the path is too long", "move it up") if len(path.encode()) > _LONGEST_PATH else None


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _mend(key: str) -> str:
    if key in ("id", "title", "status", "type"):
        return f"write it as one text, in quotes: {key}: '…'"
    return "list ids only, each on a line of its own: - ID"
