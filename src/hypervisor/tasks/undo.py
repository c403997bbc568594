"""What files were before we edited them, kept for some days."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from hypervisor.system.errors import FileChanged, HypervisorError
from hypervisor.tasks import write

_FULL = 16 * 1024 * 1024


class NothingToUndo(HypervisorError):
    """No edit of ours is recorded for what was asked."""


class Restored(NamedTuple):
    """What became of one file: `outcome` is "restored", "edited since", "already as before",
    "missing" or "failed"; `detail` says more."""

    path: str
    id: str
    outcome: str
    detail: str = ""


class UndoLog:
    """The edits of one queue, in packs of lines in `folder`.

    A pack is only ever appended to, by one process at a time. Paths below the folder that holds
    the state directory are kept relative to it, so that a project can be moved.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        state = os.path.dirname(os.path.dirname(os.path.abspath(folder)))
        self._root = os.path.realpath(os.path.dirname(state))

    def record(self, edits: Iterable[tuple[str, bytes, bytes, str]]) -> None:
        """Keep what is about to be written: (path, bytes before, bytes after, id) of each file.

        Call it before the files are written: everything is on the disk when it returns. An edit
        that then never happens does no harm. Raises OSError.
        """
        at = time.time_ns()
        lines = [
            json.dumps(
                {
                    "at": at + place,
                    "id": item_id,
                    "path": self._kept_path(path),
                    "before": _text(before),
                    "was": _digest(before),
                    "after": _digest(after),
                }
            )
            for place, (path, before, after, item_id) in enumerate(edits)
        ]
        if lines:
            self._append(("\n".join(lines) + "\n").encode())

    def restore(self, item_id: str | None = None) -> list[Restored]:
        """Put the files of one item, or of all, back to what they were before our edits.

        Only where nobody has edited a file since: its bytes must be what we wrote last. From
        there it goes back edit by edit as long as they follow on each other. Raises NothingToUndo
        if no edit is recorded.
        """
        chains: dict[str, list[dict[str, Any]]] = {}
        for entry in sorted(self._entries(), key=lambda entry: -entry["at"]):
            if item_id is None or entry["id"] == item_id:
                chains.setdefault(os.path.join(self._root, entry["path"]), []).append(entry)
        if not chains:
            what = "" if item_id is None else f" of {item_id}"
            raise NothingToUndo(f"nothing to undo{what}: no edit is recorded in {self.folder}")
        results = [_restore(path, entries) for path, entries in chains.items()]
        done = [result.path for result in results if result.outcome == "restored"]
        write.sync_folders(done)
        return results

    def prune(self, days: float = 7) -> int:
        """Remove the packs that nobody has added to for `days`; return how many."""
        removed = 0
        for path, _ in self.stale(days):
            try:
                os.unlink(path)
                removed += 1
            except FileNotFoundError:
                continue
        return removed

    def stale(self, days: float = 7) -> list[tuple[str, int]]:
        """Return (path, bytes) of the packs that nobody has added to for `days`."""
        found = []
        for path in self._packs():
            try:
                seen = os.stat(path)
            except FileNotFoundError:
                continue
            if time.time() - seen.st_mtime > days * 86400:
                found.append((path, seen.st_size))
        return found

    def _kept_path(self, path: str) -> str:
        full = os.path.abspath(path)
        below = os.path.join(self._root, "")
        return full[len(below) :] if full.startswith(below) else full

    def _packs(self) -> list[str]:
        try:
            names = sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return []
        return [os.path.join(self.folder, name) for name in names if name.endswith(".jsonl")]

    def _append(self, data: bytes) -> None:
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        descriptor = self._open_pack()
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                # A writer was killed in the middle of a line: its record ends here.
                data = b"\n" + data
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not size:
            write.sync_folders([os.path.join(self.folder, "pack")])

    def _open_pack(self) -> int:
        """Return the descriptor of a pack of today that is not full, locked for us alone."""
        day = time.strftime("%Y%m%d", time.gmtime())
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        number = 0
        while True:
            path = os.path.join(self.folder, f"{day}-{number}.jsonl")
            descriptor = os.open(path, flags, 0o600)
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

    def _entries(self) -> Iterable[dict[str, Any]]:
        for path in self._packs():
            try:
                with open(path, "rb") as pack:
                    lines = pack.read().split(b"\n")
            except FileNotFoundError:
                continue
            for line in lines:
                try:
                    entry = json.loads(line)
                    known = entry.keys() >= {"at", "id", "path", "before", "was", "after"}
                except (ValueError, AttributeError):
                    continue
                if known and _digest(_bytes(entry["before"])) == entry["was"]:
                    yield entry


def _restore(path: str, entries: list[dict[str, Any]]) -> Restored:
    """Walk the edits of one file from the newest back, then write what stood before them."""
    item_id = str(entries[0]["id"])
    try:
        seen = write.look(path)
    except FileNotFoundError:
        return Restored(path, item_id, "missing", "the file is not there any more")
    except OSError as error:
        return Restored(path, item_id, "failed", error.strerror or str(error))
    now = _digest(seen.raw)
    original: bytes | None = None
    for entry in entries:
        if entry["after"] == now and entry["was"] != now:
            original = _bytes(entry["before"])
            now = entry["was"]
    if original is None:
        if any(entry["was"] == now for entry in entries):
            return Restored(path, item_id, "already as before")
        return Restored(path, item_id, "edited since", "somebody edited it after us; left as it is")
    try:
        write.replace(path, seen, original, sync_folder=False)
    except FileChanged:
        return Restored(path, item_id, "edited since", "somebody is editing it now; left as it is")
    except HypervisorError as error:
        return Restored(path, item_id, "failed", str(error))
    if now != entries[-1]["was"]:
        return Restored(path, item_id, "restored", "up to an edit that somebody made in between")
    return Restored(path, item_id, "restored")


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _text(raw: bytes) -> str | dict[str, str]:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode("ascii")}


def _bytes(kept: str | dict[str, str]) -> bytes:
    return kept.encode("utf-8") if isinstance(kept, str) else base64.b64decode(kept["base64"])
