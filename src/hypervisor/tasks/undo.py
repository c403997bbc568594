"""What files were before we edited them, kept for some days."""

from __future__ import annotations

import os

from hypervisor.system.errors import FileChanged, HypervisorError
from hypervisor.system.records import NamedTuple
from hypervisor.system.state import State
from hypervisor.system.text import one_line
from hypervisor.tasks import write
from hypervisor.tasks.undo_packs import Packs, content_of, digest, kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hypervisor.tasks.undo_packs import Entry

# Edits of the task server, which belong to no queue.
UNDO = "task_manager"
# What becomes of a file that holds no edit of ours any more.
FINE = ("restored", "already as before")


class NothingToUndo(HypervisorError):
    """No edit of ours is recorded for what was asked."""

    exit_code = 3


class Outside(HypervisorError):
    """A file that this project has no right to edit."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{one_line(path, 300)}: outside of the project, so it is not edited",
            "open it from the project that it belongs to",
        )


class Restored(NamedTuple):
    """What became of one file: `outcome` is "restored", "edited since", "already as before",
    "missing" or "failed"; `detail` says more."""

    path: str
    id: str
    outcome: str
    detail: str = ""


class UndoLog:
    """The edits of one queue. Paths below the root are kept relative to it, so that a project can
    be moved."""

    def __init__(
        self, state: State, queue: str, folders: Callable[[], Iterable[str]] = tuple
    ) -> None:
        """`folders` returns those outside of the root (absolute, real) whose files were opened too;
        it is asked only for a file outside."""
        self.packs = Packs(state, queue)
        self._root = os.path.realpath(state.root)
        self._folders = folders

    @classmethod
    def is_kept(cls, state: State, queue: str) -> bool:
        """True if edits of `queue` are recorded."""
        return not Packs(state, queue).is_empty()

    def is_wanted(self, path: str | None = None) -> bool:
        """True while a file, or the one at `path` from the root, is as one of our edits left it:
        there is something to restore."""
        written: dict[str, set[str]] = {}
        for entry in self.packs.entries():
            if entry["was"] != entry["after"] and path in (None, entry["path"]):
                written.setdefault(entry["path"], set()).add(entry["after"])
        return any(self._stands(path, those) for path, those in written.items())

    def _stands(self, path: str, written: set[str]) -> bool:
        try:
            return digest(write.look(os.path.join(self._root, path)).raw) in written
        except (HypervisorError, OSError):
            return False

    def record(self, edits: Iterable[tuple[str, bytes, bytes, str]]) -> None:
        """Keep what is about to be written: (path, bytes before, bytes after, id) of each file.

        Call it before the files are written: everything is on the disk when it returns. An edit
        that then never happens does no harm. Raises OSError, and Outside, with nothing kept, for a
        file outside of the root and of the folders that were opened.
        """
        self.packs.add(
            [
                {**self._made(path, before, after, item_id), "before": kept(before)}
                for path, before, after, item_id in edits
            ]
        )

    def record_splice(self, path: str, item_id: str, before: bytes, after: bytes) -> None:
        """Do as `record` for an edit of one of the many items in the UTF-8 file at `path`: only
        what it changes is kept, since the file may be edited once for each of them."""
        start = _alike(before, after)
        same = _alike(before[start:][::-1], after[start:][::-1])
        # Between whole characters.
        while start and (after[start - 1] & 0xC0) in (0x80, 0xC0):
            start -= 1
        while same and after[len(after) - same] & 0xC0 == 0x80:
            same -= 1
        entry = self._made(path, before, after, item_id)
        entry["start"] = start
        entry["old"] = before[start : len(before) - same].decode()
        entry["new"] = after[start : len(after) - same].decode()
        self.packs.add([entry])

    def record_rename(self, path: str, new: str, content: bytes, item_id: str) -> None:
        """Do as `record` for another name of the file at `path`, which holds `content`."""
        entry = self._made(path, content, content, item_id)
        entry["to"] = self._kept_path(new)
        self.packs.add([entry])

    def _made(self, path: str, before: bytes, after: bytes, item_id: str) -> Entry:
        """Return what is kept of an edit, but for what it changes. Raises Outside."""
        if not self._is_allowed(path):
            raise Outside(path)
        return {
            "at": 0,
            "id": item_id,
            "path": self._kept_path(path),
            "was": digest(before),
            "after": digest(after),
        }

    def restore(self, item_id: str | None = None) -> list[Restored]:
        """Put the files of one item, or of all, back to what they were before our edits.

        Only where nobody has edited a file since: its bytes must be what we wrote last. From
        there it goes back edit by edit as long as they follow on each other. Files outside of the
        root and of the folders that were opened are refused. Raises NothingToUndo if no edit is
        recorded.
        """
        chains: dict[tuple[str, str], list[Entry]] = {}
        renamed: list[Entry] = []
        for entry in sorted(self.packs.entries(), key=lambda entry: -entry["at"]):
            if "to" in entry:
                renamed += [entry] if item_id in (None, entry["id"]) else []
                continue
            # Files change their places; the items of one file can only be undone together.
            of = "" if "start" in entry else str(entry["id"])
            chains.setdefault((os.path.join(self._root, entry["path"]), of), []).append(entry)
        if item_id is not None:
            chains = {
                place: entries
                for place, entries in chains.items()
                if any(entry["id"] == item_id for entry in entries)
            }
        if not chains:
            what = "" if item_id is None else f" of {one_line(item_id, 80)}"
            raise NothingToUndo(
                f"nothing to undo{what}: no edit is recorded in {one_line(self.packs.folder, 300)}"
            )
        for entry in renamed:
            self._rename_back(entry)
        results = [
            self._restore(path, entries, item_id)
            if self._is_allowed(path)
            else Restored(path, str(entries[0]["id"]), "failed", "it is outside of the project")
            for (path, _), entries in chains.items()
        ]
        self._follow(results, list(chains.values()))
        done = [result.path for result in results if result.outcome == "restored"]
        write.sync_folders(done)
        return results

    def _follow(self, results: list[Restored], chains: list[list[Entry]]) -> None:
        """Restore the tasks that are no longer where we wrote into them where they are now."""
        maybe = [
            (number, one.id, entries)
            for number, (one, entries) in enumerate(zip(results, chains, strict=True))
            if one.outcome in ("missing", "edited since") and "start" not in entries[0]
        ]
        if not maybe:
            return
        from hypervisor.config.settings import load
        from hypervisor.tasks.locate import is_elsewhere, locate_all

        settings = load(self._root)
        lost = {
            item_id: (number, entries)
            for number, item_id, entries in maybe
            if is_elsewhere(self._root, settings, item_id, entries[0]["path"])
        }
        wanted = {item_id: entries[0]["path"] for item_id, (_, entries) in lost.items()}
        for item_id, place in locate_all(self._root, settings, wanted).items():
            number, entries = lost[item_id]
            results[number] = self._restore(os.path.join(self._root, place), entries, item_id)

    def _rename_back(self, entry: Entry) -> None:
        """Give a file its former name, if it is as we left it and nothing has that."""
        old, new = (os.path.join(self._root, path) for path in (entry["path"], entry["to"]))
        if not (self._is_allowed(old) and self._is_allowed(new)) or os.path.lexists(old):
            return
        try:
            if digest(write.look(new).raw) == entry["after"]:
                write.move(new, old)
        except (HypervisorError, OSError):
            # Told as missing.
            return

    def _restore(self, path: str, entries: list[Entry], item_id: str | None) -> Restored:
        """Write what stood before the edits of one file, given the newest first."""
        name = item_id or str(entries[0]["id"])
        try:
            seen = write.look(path)
        except FileNotFoundError:
            return Restored(path, name, "missing", "the file is not there any more")
        except OSError as error:
            return Restored(path, name, "failed", error.strerror or str(error))
        original = _rewound(seen.raw, entries, item_id if "start" in entries[0] else None)
        if original is None:
            now = digest(seen.raw)
            if any(entry["was"] == now for entry in entries):
                return Restored(path, name, "already as before")
            edited = "somebody edited it after us; left as it is"
            return Restored(path, name, "edited since", edited)
        try:
            if item_id is not None and "start" in entries[0]:
                # Or the edits before it could no longer be undone.
                self.record_splice(path, item_id, seen.raw, original)
            write.replace(path, seen, original, sync_folder=False)
        except FileChanged:
            return Restored(path, name, "edited since", "somebody is editing it now; left as it is")
        except HypervisorError as error:
            return Restored(path, name, "failed", str(error))
        if item_id is None and digest(original) != entries[-1]["was"]:
            return Restored(path, name, "restored", "up to an edit that somebody made in between")
        return Restored(path, name, "restored")

    def _is_allowed(self, path: str) -> bool:
        real = os.path.realpath(path)
        if real.startswith(os.path.join(self._root, "")):
            return True
        return os.path.dirname(real) in self._folders()

    def _kept_path(self, path: str) -> str:
        full = os.path.abspath(path)
        below = os.path.join(self._root, "")
        return full[len(below) :] if full.startswith(below) else full


def _rewound(raw: bytes, entries: list[Entry], item_id: str | None) -> bytes | None:
    """Walk the edits of one file, the newest first, back from its bytes; return what stood before
    all of them, or without those of one item; None where the bytes are not of our writing."""
    now, found = raw, False
    # Where later edits that stay have moved what stands behind them.
    later: list[tuple[int, int, int]] = []
    kept = raw
    for entry in entries:
        if entry["after"] != digest(now) or entry["was"] == entry["after"]:
            continue
        now = _before(now, entry)
        if item_id is None or "start" not in entry:
            kept, found = now, True
            continue
        start, old, new = entry["start"], entry["old"].encode(), entry["new"].encode()
        if entry["id"] != item_id:
            later.append((start, len(old), len(new)))
            continue
        for begin, gone, come in reversed(later):
            if begin + gone <= start:
                start += come - gone
            elif begin < start + len(new):
                return None
        if kept[start : start + len(new)] != new:
            return None
        kept, found = kept[:start] + old + kept[start + len(new) :], True
    return kept if found else None


def _alike(one: bytes, other: bytes) -> int:
    """Return how many bytes two texts have in common at their start."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _before(after: bytes, entry: Entry) -> bytes:
    if "start" not in entry:
        return content_of(entry["before"])
    end = entry["start"] + len(entry["new"].encode())
    old: str = entry["old"]
    return after[: entry["start"]] + old.encode() + after[end:]
