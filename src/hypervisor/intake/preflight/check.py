"""The pre-flight itself: each member of the sources is looked at once, then all together."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from hypervisor.config.settings import Settings
from hypervisor.intake.preflight.candidate import Candidate
from hypervisor.intake.preflight.graph import SAME_ID, relate
from hypervisor.intake.preflight.look import Look
from hypervisor.intake.preflight.many import look_at
from hypervisor.intake.preflight.others import OtherRoots
from hypervisor.intake.preflight.result import Hinted, Preflight, Warned
from hypervisor.intake.preflight.rules import Verdict, finished
from hypervisor.intake.preflight.where import Where
from hypervisor.intake.sources import Found, Known, tasks_below
from hypervisor.ledger.lock_view import LockView
from hypervisor.system.digests import digest_of
from hypervisor.system.errors import BrokenFile
from hypervisor.system.garbage import nothing_collected
from hypervisor.system.text import one_line, shell
from hypervisor.tasks.dependencies import BLOCKS
from hypervisor.tasks.formats import mark
from hypervisor.tasks.undo import UndoLog

if TYPE_CHECKING:
    from hypervisor.ledger import Ledger

# From a set of ids to the tasks that have one of them, or mention one.
Search = Callable[[set[str]], Iterable[Known]]


@nothing_collected()
def check(
    found: Iterable[Found],
    *,
    root: str,
    settings: Settings,
    ledger: Ledger | None = None,
    where: Sequence[str] = (),
    instructions: bool = False,
    purpose: str = "work",
    lock_folders: Iterable[str] = (),
    queue: str | None = None,
    search: Search | None = None,
    files_from: str | None = None,
    tools: tuple[str, ...] = (),
    again: bool = False,
) -> Preflight:
    """Sort what the sources hold into ready, skipped, held and broken. Changes nothing.

    `where` are conditions as `--where` takes them. With `instructions`, rows and files that are
    not tasks are items too. `purpose` is "work", or "triage", for which any task is ready that is
    not finished, broken, locked, or open in a queue. `lock_folders` are looked into beside those
    of the settings. What is open already in the queue `queue` is not held for that. `search` is
    asked for the tasks outside of the sources; without it the files below the root are looked at.
    `files_from` is the key or column that names the files that an item touches, instead of the
    family's. `tools` are those that workers were given besides their own. With `again`, a task
    that was done, and whose report was thrown away, is ready.

    Raises UsageError for a condition that is none. Memory grows with the number of files, not
    with their bodies.
    """
    look = Look(root, settings, Where(where), purpose, instructions, files_from, tools)
    look_at(look, found)
    look.tell_pages()
    own = ledger.ledger_id if ledger else None
    locks = LockView(root, [*settings.lock_folders, *lock_folders], own)
    open_items = ledger.items.all_open() if ledger else {}
    if queue is not None:
        open_items = {item: other for item, other in open_items.items() if other != queue}
    return _Sorting(
        root, settings, look, locks, open_items, purpose, search, ledger, again=again, queue=queue,
        by_path=purpose == "work",
    ).result()  # fmt: skip


def sort_by_files(look: Look, root: str, settings: Settings, search: Search) -> Preflight:
    """Sort what `look` has taken in by what the files say alone: no lock or queue is looked at."""
    return _Sorting(root, settings, look, None, {}, "work", search).result()


def sort_by_locks(look: Look, root: str, settings: Settings, ledger: Ledger) -> Preflight:
    """Sort the one item that `look` has taken in by locks alone: the files are known to say nothing
    against it, and no other queue of `ledger` has it."""
    locks = LockView(root, settings.lock_folders, ledger.ledger_id, once=True)
    return _Sorting(root, settings, look, locks, {}, "work", None, ledger, alone=True).result()


def _mend(queue: str) -> str:
    return f"hypervisor summary {queue} --write writes it again"


def _place(item: Candidate) -> str | None:
    """Return where an item stands, with the line if many stand in its file."""
    if item.format is None or item.payload is None:
        return item.path
    return f"{item.path}:{item.payload['line']}"


class _Sorting:
    def __init__(
        self,
        root: str,
        settings: Settings,
        look: Look,
        locks: LockView | None,
        open_items: dict[str, str],
        purpose: str,
        search: Search | None,
        ledger: Ledger | None = None,
        *,
        again: bool = False,
        alone: bool = False,
        queue: str | None = None,
        by_path: bool = False,
    ) -> None:
        self._root = root
        self._queue = queue
        # Who names one task after the other does so by its id.
        self._by_path = by_path
        self._settings = settings
        self._look = look
        self._locks = locks
        self._open = open_items
        self._ledger = ledger
        self._again = again
        self._for_work = purpose == "work" and not alone
        # A list of what is to be triaged may name what other roots own.
        self._owned = purpose == "work"
        self._search = search
        self._others = OtherRoots(root)

    def result(self) -> Preflight:
        """Compare the candidates among each other and with what others hold; return the groups."""
        result = self._look.result
        items = [candidate for candidate in self._look.candidates if candidate.counts]
        self._hold_same_ids(items)
        for item in items:
            if item.verdict is None or item.verdict.group == "held":
                item.verdict = self._outside(item) or item.verdict
        self._hold_accepted([item for item in items if item.verdict is None and item.content])
        self._tell_reopened([item for item in items if item.verdict is None])
        self._tell_retry(items)
        if self._for_work:
            # A task beside the sources may say that it blocks one of them.
            tasks = any(item.identity is not None for item in items)
            always = bool(self._search or tasks or any(one.blocks for one in self._look.beside))
            relate(items, self._beside, always=always)
        ready = []
        for candidate in self._look.candidates:
            if candidate.verdict is None:
                ready.append(candidate)
            elif candidate.verdict.group == "held":
                result.held.append(candidate.entry())
            else:
                result.skipped.append(candidate.entry())
                continue
            result.warnings += [
                Warned(candidate.id, candidate.path, warning) for warning in candidate.warnings
            ]
            result.hints += [
                Hinted(candidate.id, candidate.path, *hint) for hint in candidate.hints
            ]
        ready.sort(key=lambda candidate: candidate.rank)
        result.ready = [candidate.entry() for candidate in ready]
        result.sequence = [candidate.id for candidate in self._look.candidates]
        return result

    def _outside(self, item: Candidate) -> Verdict | None:
        """Return why others keep the item from us: an open queue, another root, or a lock."""
        if item.verdict is not None and item.verdict.kind == SAME_ID:
            return None
        own = item.own or item.id
        names = (item.id, own, f"{item.path}#{own}") if item.identity is not None else (item.id,)
        queue = next((self._open[name] for name in names if name in self._open), None)
        if queue is not None:
            return Verdict("held", "open", f"open in queue {one_line(queue, 80)}")
        if item.path is not None and self._locks is not None:
            part = None if item.payload is None else item.id
            other = self._others.having(item.path, part, owned=self._owned)
            if other is not None:
                reason = f"belongs to {one_line(other, 300)}, open it there"
                return Verdict("held", "elsewhere", reason)
        locked = self._locks.reason(own, item.file) if self._locks is not None else None
        return Verdict("held", "locked", locked) if locked else None

    def _hold_accepted(self, tasks: Sequence[Candidate]) -> None:
        """Hold what was done, and looks like open work since its report was thrown away."""
        if self._ledger is None or self._again or not tasks:
            return
        known = self._ledger.accepted.of_tasks([task.id for task in tasks])
        for task in tasks:
            done = known.get(task.id)
            if done is None or task.content not in done.before:
                continue
            if task.file is not None and digest_of(task.file) != task.content:
                # It was ended while it was read.
                task.verdict = finished("done", f"done in queue {done.queue}")
            else:
                told = f"done in queue {done.queue}, and its report is not in the file any more"
                task.verdict = Verdict("held", "accepted", f"{told}; {_mend(done.queue)}")

    def _tell_reopened(self, items: Sequence[Candidate]) -> None:
        """Warn of what was done in a file of many, and is open there again: a person may have taken
        its mark back, or git."""
        many = {item.id: item for item in items if item.format and item.payload is not None}
        if self._ledger is None or self._again or not many:
            return
        now: dict[str, set[str]] = {}
        for item_id, (queue, title) in self._ledger.accepted.marked(list(many)).items():
            item = many[item_id]
            if item.title != title:
                # Another one has got its id.
                continue
            path = item.path or ""
            if path not in now:
                now[path] = {f"{path}#{one}" for one in self._open_in(path, item.format or "")}
            line = item.payload["line"] if item.payload else ""
            told = f"line {line} was done in queue {queue}, and its mark is not there any more"
            if item_id in now[path]:
                item.warn(f"{told}; {_mend(queue)}")
            else:
                # It was ended while it was read.
                item.verdict = finished("done", f"done in queue {queue}")

    def _open_in(self, path: str, format: str) -> list[str]:
        try:
            found = mark.items_in(os.path.join(self._root, path), format)
        except (OSError, BrokenFile):
            return []
        return [one.id for one in found if one.state not in ("done", "cancelled")]

    def _tell_retry(self, items: Sequence[Candidate]) -> None:
        """Say of what a worker reported as blocked how it is worked on again. What is open again in
        the queue that is asked for is ready: it was retried in another clone."""
        told = [(item, item.verdict) for item in items if item.verdict is not None]
        told = [(item, verdict) for item, verdict in told if verdict.kind == "blocked"]
        if self._ledger is None or not told:
            return
        ids = [item.id for item, _ in told]
        queues, done = self._ledger.accepted.blocked(ids), self._ledger.accepted.of_tasks(ids)
        for item, verdict in told:
            if self._queue and self._ledger.items.is_open(self._queue, item.id):
                item.verdict = None
                continue
            since = ""
            if item.id in done:
                queue = done[item.id].queue
                is_newest = self._ledger.items.state_of(queue, item.id) is not None
                since = f"; done since in queue {queue}, whose report is not in this file"
            elif item.id in queues:
                queue, is_newest = queues[item.id]
            else:
                continue
            # Older generations are over: its report is taken back, and it is opened anew.
            mend = f"hypervisor undo {queue} {shell(item.id)} takes that back"
            if is_newest:
                mend = f"hypervisor retry {queue} {shell(item.id)} works on it again"
            elif not UndoLog(self._ledger.state, queue).is_wanted(item.path):
                mend = "set its status back to work on it again"
            item.verdict = verdict._replace(reason=f"{verdict.reason}{since}; {mend}")

    def _hold_same_ids(self, items: Sequence[Candidate]) -> None:
        """Tell tasks of one id in different folders, which number theirs alike, apart by their
        paths; hold the others, and what looks like a copy."""
        left_out = self._look.left_out
        count = Counter([item.id for item in items] + [*left_out])
        by_id: dict[str, list[Candidate]] = defaultdict(list)
        for item in items:
            if count[item.id] > 1:
                by_id[item.id].append(item)
        for item_id, same in by_id.items():
            apart = [item for item in same if self._is_apart(item, same)]
            held = [item for item in same if item not in apart]
            paths = [_place(item) for item in held]
            if item_id in left_out:
                paths.append(left_out[item_id])
            more = f" and {len(paths) - 2} more" if len(paths) > 2 else ""
            for item in held:
                if item.closed:
                    continue
                other = one_line(paths[1] if item is held[0] else paths[0])
                mend = "remove the copy, or give it an id of its own"
                if len({one.path for one in held}) > 1 and item.identity is None:
                    mend = "open one file at a time, or give it an id of its own"
                told = f"same id as {other}{more}; a report could be for either: {mend}"
                item.verdict = Verdict("held", SAME_ID, told)
            for item in apart:
                item.own, item.id = item.id, f"{item.path}#{item.id}"
                item.aliases = (*item.aliases, item.own)

    def _is_apart(self, item: Candidate, same: Sequence[Candidate]) -> bool:
        """True for a task that is no copy of any of those of its id."""
        if item.identity is None or item.path is None or not self._by_path:
            return False
        folder = os.path.dirname(item.path)
        left_out = self._look.left_out.get(item.id)
        return (left_out is None or os.path.dirname(left_out) != folder) and not any(
            other is not item
            and (os.path.dirname(other.path or "") == folder or other.title == item.title)
            for other in same
        )

    def _beside(self, wanted: set[str]) -> Iterable[Known]:
        """Yield what the search finds, with paths from the root, by which what has no id goes, and
        the rows and items that were not asked for."""
        folded = {name.casefold() for name in wanted}
        for known in self._look.beside:
            names = (known.id, known.parent or "", *known.aliases)
            if known.blocks or any(name.casefold() in folded for name in names):
                yield known
        for known in (self._search or self._search_files)(wanted):
            path = os.path.relpath(known.path, self._root)
            yield known._replace(path=path, id=known.id if known.has_id else path)

    def _search_files(self, wanted: set[str]) -> Iterable[Known]:
        files = {item.file for item in self._look.candidates if item.file is not None}
        wanted = wanted | BLOCKS
        yield from tasks_below(self._top(files), self._settings, wanted, but=files)
        # A walk does not enter hidden folders; where the sources lie in one, others do too.
        for folder in {os.path.dirname(file) for file in files}:
            if self._is_hidden(folder):
                yield from tasks_below(folder, self._settings, wanted, but=files)

    def _is_hidden(self, folder: str) -> bool:
        folders = os.path.relpath(folder, self._root).split("/")
        return any(name.startswith(".") and name.strip(".") for name in folders)

    def _top(self, files: set[str]) -> str:
        """Return where other tasks are looked for: the root, but never a whole disk or home."""
        home = os.path.realpath(os.path.expanduser("~"))
        if self._root not in ("/", home) or not files:
            return self._root
        return os.path.commonpath([os.path.dirname(file) for file in files])
