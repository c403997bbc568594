"""What files were before we edited them, kept for some days."""

from __future__ import annotations

import fcntl
import os
import time

from hypervisor.system import digests, quick_json
from hypervisor.system.errors import FileChanged, HypervisorError
from hypervisor.system.folder import Folder, write_all
from hypervisor.system.keys import key
from hypervisor.system.late import late
from hypervisor.system.records import NamedTuple
from hypervisor.system.state import State, shown
from hypervisor.system.text import one_line
from hypervisor.tasks import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import NotRequired, TypedDict

    class Entry(TypedDict):
        """An edit of ours: `at` (Unix time, in ns), the bytes of the file before, or `new` that was
        put in the place of `old`, or the path `to` that it got, and the hashes of the file."""

        at: int
        id: str
        path: str
        before: NotRequired[str | dict[str, str]]
        start: NotRequired[int]
        old: NotRequired[str]
        new: NotRequired[str]
        to: NotRequired[str]
        was: str
        after: str


# Edits of the task server, which belong to no queue.
UNDO = "task_manager"
# What becomes of a file that holds no edit of ours any more.
FINE = ("restored", "already as before")
_FOLDER = "undo"
_FULL = 16 * 1024 * 1024
# No line of ours is longer: a task file as JSON, in which a byte may take six. A pack is filled up
# by the edits of one command, however many.
_LONGEST_LINE = 64 * 1024 * 1024
_LARGEST = 1 << 30
_PACK = late(r"[0-9]{8}-[0-9]+\.jsonl")
_SEAL = b', "seal": "'
_ENTRY = {"at": int, "id": str, "path": str, "was": str, "after": str}
_SPLICE = {"start": int, "old": str, "new": str}


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
    """The edits of one queue, in packs of lines in the project's state.

    A pack is only ever appended to, by one process at a time. Paths below the root are kept
    relative to it, so that a project can be moved. Each line is sealed with a secret that only this
    user's own folder has: what anybody else has put there is never carried out.
    """

    def __init__(
        self, state: State, queue: str, folders: Callable[[], Iterable[str]] = tuple
    ) -> None:
        """`folders` returns those outside of the root (absolute, real) whose files were opened too;
        it is asked only for a file outside."""
        self._state = state
        self._name = key(queue)
        self._root = os.path.realpath(state.root)
        self._folders = folders

    @classmethod
    def is_kept(cls, state: State, queue: str) -> bool:
        """True if edits of `queue` are recorded."""
        log = cls(state, queue)
        return bool(log._packs(log._open()))

    def is_wanted(self) -> bool:
        """True while a file is as one of our edits left it: there is something to restore."""
        written: dict[str, set[str]] = {}
        for entry in self._entries():
            if entry["was"] != entry["after"]:
                written.setdefault(entry["path"], set()).add(entry["after"])
        return any(self._stands(path, those) for path, those in written.items())

    def _stands(self, path: str, written: set[str]) -> bool:
        try:
            return _digest(write.look(os.path.join(self._root, path)).raw) in written
        except (HypervisorError, OSError):
            return False

    @property
    def folder(self) -> str:
        """Where the packs are, for messages."""
        return shown(self._state.root, _FOLDER, self._name)

    def record(self, edits: Iterable[tuple[str, bytes, bytes, str]]) -> None:
        """Keep what is about to be written: (path, bytes before, bytes after, id) of each file.

        Call it before the files are written: everything is on the disk when it returns. An edit
        that then never happens does no harm. Raises OSError, and Outside, with nothing kept, for a
        file outside of the root and of the folders that were opened.
        """
        self._record(
            [
                {**self._made(path, before, after, item_id), "before": _text(before)}
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
        self._record([entry])

    def record_rename(self, path: str, new: str, content: bytes, item_id: str) -> None:
        """Do as `record` for another name of the file at `path`, which holds `content`."""
        entry = self._made(path, content, content, item_id)
        entry["to"] = self._kept_path(new)
        self._record([entry])

    def _made(self, path: str, before: bytes, after: bytes, item_id: str) -> Entry:
        """Return what is kept of an edit, but for what it changes. Raises Outside."""
        if not self._is_allowed(path):
            raise Outside(path)
        return {
            "at": 0,
            "id": item_id,
            "path": self._kept_path(path),
            "was": _digest(before),
            "after": _digest(after),
        }

    def _record(self, entries: list[Entry]) -> None:
        at = time.time_ns()
        lines = []
        for place, entry in enumerate(entries):
            entry["at"] = at + place
            lines.append(self._sealed(entry))
        if lines:
            self._append(b"".join(lines))

    def restore(self, item_id: str | None = None) -> list[Restored]:
        """Put the files of one item, or of all, back to what they were before our edits.

        Only where nobody has edited a file since: its bytes must be what we wrote last. From
        there it goes back edit by edit as long as they follow on each other. Files outside of the
        root and of the folders that were opened are refused. Raises NothingToUndo if no edit is
        recorded.
        """
        chains: dict[tuple[str, str], list[Entry]] = {}
        renamed: list[Entry] = []
        for entry in sorted(self._entries(), key=lambda entry: -entry["at"]):
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
                f"nothing to undo{what}: no edit is recorded in {one_line(self.folder, 300)}"
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
            if _digest(write.look(new).raw) == entry["after"]:
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
            now = _digest(seen.raw)
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
        if item_id is None and _digest(original) != entries[-1]["was"]:
            return Restored(path, name, "restored", "up to an edit that somebody made in between")
        return Restored(path, name, "restored")

    def prune(self, days: float = 7) -> int:
        """Remove the packs that nobody has added to for `days`; return how many."""
        removed = 0
        for (*above, name), _ in self.stale(days):
            removed += self._state.folder.below(*above).remove(name)
        return removed

    def stale(self, days: float = 7) -> list[tuple[tuple[str, ...], int]]:
        """Return (place in the state, bytes) of the packs that nobody has added to for `days`."""
        folder = self._open()
        found: list[tuple[tuple[str, ...], int]] = []
        for name in self._packs(folder):
            assert folder is not None
            seen = folder.look(name)
            if seen is not None and time.time() - seen.st_mtime >= days * 86400:
                found.append(((_FOLDER, self._name, name), seen.st_size))
        return found

    def _is_allowed(self, path: str) -> bool:
        real = os.path.realpath(path)
        if real.startswith(os.path.join(self._root, "")):
            return True
        return os.path.dirname(real) in self._folders()

    def _kept_path(self, path: str) -> str:
        full = os.path.abspath(path)
        below = os.path.join(self._root, "")
        return full[len(below) :] if full.startswith(below) else full

    def _sealed(self, entry: Entry) -> bytes:
        body = quick_json.dumps(entry).encode()
        return b"%s%s%s%s" % (body[:-1], _SEAL, self._seal(body), b'"}\n')

    def _seal(self, body: bytes) -> bytes:
        secret = (self._state.secret or "").encode()
        return digests.keyed(body, secret).encode()

    def _open(self, *, make: bool = False) -> Folder | None:
        try:
            return self._state.folder.below(_FOLDER, self._name, make=make)
        except FileNotFoundError:
            return None

    def _packs(self, folder: Folder | None) -> list[str]:
        return [name for name in folder.names() if _PACK.fullmatch(name)] if folder else []

    def _append(self, data: bytes) -> None:
        folder = self._open(make=True)
        assert folder is not None
        descriptor = self._open_pack(folder)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                # A writer was killed in the middle of a line: its record ends here.
                data = b"\n" + data
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not size:
            os.fsync(folder.fd)

    def _open_pack(self, folder: Folder) -> int:
        """Return the descriptor of a pack of today that is not full, locked for us alone."""
        day = time.strftime("%Y%m%d", time.gmtime())
        number = 0
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
            descriptor = folder.open(f"{day}-{number}.jsonl", flags)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                status = os.fstat(descriptor)
                if status.st_nlink and status.st_size < _FULL:
                    return descriptor
            except BlockingIOError:
                pass
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
            number += 1

    def _entries(self) -> Iterable[Entry]:
        folder = self._open()
        before_seals = self._state.unsealed()
        for name in self._packs(folder):
            assert folder is not None
            old = before_seals.get(f"{self._name}/{name}", 0)
            if self._state.secret is None:
                old = _LARGEST
            at = 0
            for line in _lines(folder, name):
                at += len(line)
                entry = self._entry(line.removesuffix(b"\n"), at <= old)
                if entry is not None:
                    yield entry

    def _entry(self, line: bytes, is_old: bool) -> Entry | None:
        """Return what a line records; None for what we did not record. `is_old` is true for lines
        that were there before lines were sealed."""
        body, seal, told = line.rpartition(_SEAL)
        if seal:
            body += b"}"
            if self._state.secret is None or told.removesuffix(b'"}') != self._seal(body):
                return None
        elif not is_old:
            return None
        try:
            text = (body if seal else line).decode()
            entry: Entry = quick_json.loads(text)
            known = all(type(entry.get(name)) is kind for name, kind in _ENTRY.items())
            known = known and "\0" not in entry["path"]
            if known and "to" in entry:
                return entry if type(entry["to"]) is str and "\0" not in entry["to"] else None
            if known and "start" in entry:
                return (
                    entry
                    if all(type(entry.get(n)) is kind for n, kind in _SPLICE.items())
                    else None
                )
            return entry if known and _digest(_bytes(entry["before"])) == entry["was"] else None
        except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
            return None


def _lines(folder: Folder, name: str) -> Iterator[bytes]:
    """Yield the lines of a pack, as far as they are no longer than ours; none for one that can't be
    read."""
    try:
        left = _LARGEST
        with open(folder.open(name), "rb") as pack:
            while left > 0 and (line := pack.readline(_LONGEST_LINE)):
                left -= len(line)
                yield line
                if len(line) == _LONGEST_LINE:
                    return
    except OSError:
        return


def _rewound(raw: bytes, entries: list[Entry], item_id: str | None) -> bytes | None:
    """Walk the edits of one file, the newest first, back from its bytes; return what stood before
    all of them, or without those of one item; None where the bytes are not of our writing."""
    now, found = raw, False
    # Where later edits that stay have moved what stands behind them.
    later: list[tuple[int, int, int]] = []
    kept = raw
    for entry in entries:
        if entry["after"] != _digest(now) or entry["was"] == entry["after"]:
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
        return _bytes(entry["before"])
    end = entry["start"] + len(entry["new"].encode())
    old: str = entry["old"]
    return after[: entry["start"]] + old.encode() + after[end:]


def _digest(raw: bytes) -> str:
    return digests.sha256(raw)


def _text(raw: bytes) -> str | dict[str, str]:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        import base64

        return {"base64": base64.b64encode(raw).decode("ascii")}


def _bytes(kept: str | dict[str, str]) -> bytes:
    if isinstance(kept, str):
        return kept.encode("utf-8")
    import base64

    return base64.b64decode(kept["base64"])
