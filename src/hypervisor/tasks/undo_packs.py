"""Where edits of ours are kept: packs of lines in the project's state, each line sealed."""

from __future__ import annotations

import fcntl
import os
import time

from hypervisor.system import digests, quick_json
from hypervisor.system.folder import Folder, write_all
from hypervisor.system.keys import key
from hypervisor.system.late import late
from hypervisor.system.state import State, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import NotRequired, TypedDict

    class Entry(TypedDict):
        """An edit of ours: `at` (Unix time, in ns), the bytes of the file before, or `new` that was
        put in the place of `old` between `left` and `right`, or the path `to` that it got, and the
        hashes of the file. A mark goes with that of any of `parts`; `undone` is one taken back."""

        at: int
        id: str
        path: str
        before: NotRequired[str | dict[str, str]]
        left: NotRequired[str]
        old: NotRequired[str]
        new: NotRequired[str]
        right: NotRequired[str]
        parts: NotRequired[list[str]]
        undone: NotRequired[bool]
        to: NotRequired[str]
        was: str
        after: str


_FOLDER = "undo"
_FULL = 16 * 1024 * 1024
# No line of ours is longer: a task file as JSON, in which a byte may take six. A pack is filled up
# by the edits of one command, however many.
_LONGEST_LINE = 64 * 1024 * 1024
_LARGEST = 1 << 30
_PACK = late(r"[0-9]{8}-[0-9]+\.jsonl")
_SEAL = b', "seal": "'
_ENTRY = {"at": int, "id": str, "path": str, "was": str, "after": str}
_MARK = ("left", "old", "new", "right")


class Packs:
    """The packs of one queue. One is only ever appended to, by one process at a time, and each line
    is sealed with a secret that only this user's own folder has: what anybody else has put there is
    never carried out."""

    def __init__(self, state: State, queue: str) -> None:
        self._state = state
        self._name = key(queue)

    @property
    def folder(self) -> str:
        """Where the packs are, for messages."""
        return shown(self._state.root, _FOLDER, self._name)

    def add(self, entries: list[Entry]) -> None:
        """Keep edits: they are on the disk when it returns. Raises OSError."""
        at = time.time_ns()
        lines = []
        for place, entry in enumerate(entries):
            entry["at"] = at + place
            lines.append(self._sealed(entry))
        if lines:
            self._append(b"".join(lines))

    def prune(self, days: float) -> int:
        """Remove the packs that nobody has added to for `days`; return how many."""
        removed = 0
        for (*above, name), _ in self.stale(days):
            removed += self._state.folder.below(*above).remove(name)
        return removed

    def stale(self, days: float) -> list[tuple[tuple[str, ...], int]]:
        """Return (place in the state, bytes) of the packs that nobody has added to for `days`."""
        found: list[tuple[tuple[str, ...], int]] = []
        for folder, name in self._all():
            seen = folder.look(name)
            if seen is not None and time.time() - seen.st_mtime >= days * 86400:
                found.append(((_FOLDER, self._name, name), seen.st_size))
        return found

    def _sealed(self, entry: Entry) -> bytes:
        body = quick_json.dumps(entry).encode()
        return b"%s%s%s%s" % (body[:-1], _SEAL, self._seal(body), b'"}\n')

    def _seal(self, body: bytes) -> bytes:
        secret = (self._state.secret or "").encode()
        return digests.keyed(body, secret).encode()

    def is_empty(self) -> bool:
        """True where nothing is kept."""
        return not any(self._all())

    def _all(self) -> Iterator[tuple[Folder, str]]:
        """Yield the folder and the name of each pack."""
        try:
            folder = self._state.folder.below(_FOLDER, self._name)
        except FileNotFoundError:
            return
        for name in filter(_PACK.fullmatch, folder.names()):
            yield folder, name

    def _append(self, data: bytes) -> None:
        folder = self._state.folder.below(_FOLDER, self._name, make=True)
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

    def entries(self) -> Iterable[Entry]:
        """Yield the edits that we recorded, in their order."""
        before_seals = self._state.unsealed()
        for folder, name in self._all():
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
            if known and "left" in entry:
                parts = entry.get("parts", [])
                texts = [*map(entry.get, _MARK), *parts]
                return entry if type(parts) is list and {*map(type, texts)} == {str} else None
            return entry if known and digest(content_of(entry["before"])) == entry["was"] else None
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


def digest(raw: bytes) -> str:
    """Return the hash of a file by which an edit tells it."""
    return digests.sha256(raw)


def kept(raw: bytes) -> str | dict[str, str]:
    """Return the content of a file as JSON can hold it."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        import base64

        return {"base64": base64.b64encode(raw).decode("ascii")}


def content_of(told: str | dict[str, str]) -> bytes:
    """Return the content that `kept` has made so."""
    if isinstance(told, str):
        return told.encode("utf-8")
    import base64

    return base64.b64decode(told["base64"])
