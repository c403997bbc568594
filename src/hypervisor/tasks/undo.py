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
    from collections.abc import Callable, Iterable, Mapping

    from hypervisor.tasks.formats import Splice
    from hypervisor.tasks.undo_packs import Entry

# Edits of the task server, which belong to no queue.
UNDO = "task_manager"
# What becomes of a file that holds no edit of ours any more.
FINE = ("restored", "already as before")
_EDITED = "somebody edited it after us; left as it is"


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
        written: dict[str, list[Entry]] = {}
        for entry in self.packs.entries():
            if entry["was"] == entry["after"] or "undone" in entry:
                continue
            if path in (None, entry["path"]):
                written.setdefault(entry["path"], []).append(entry)
        return any(self._stands(path, those) for path, those in written.items())

    def _stands(self, path: str, written: list[Entry]) -> bool:
        from hypervisor.tasks.undo_marks import stands

        try:
            raw = write.look(os.path.join(self._root, path)).raw
        except (HypervisorError, OSError):
            return False
        now, text = digest(raw), raw.decode("utf-8", "replace")
        return any(
            stands(text, entry) if "left" in entry else entry["after"] == now for entry in written
        )

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

    def record_marks(self, path: str, item_id: str, text: str, edits: Iterable[Splice]) -> None:
        """Do as `record` for edits of `text` that mark one of the many items of the file at `path`:
        only what they change is kept, since the file may be edited once for each item."""
        from hypervisor.tasks.formats import spliced

        made = []
        # The last one first: so each is an edit of the text before it.
        for edit in sorted(edits, reverse=True):
            made.append(self._mark(path, item_id, text, edit))
            text = spliced(text, [edit])
        self.packs.add(made)

    def _mark(self, path: str, item_id: str, text: str, edit: Splice) -> Entry:
        from hypervisor.tasks.formats import spliced
        from hypervisor.tasks.undo_marks import around

        after = spliced(text, [edit])
        entry = self._made(path, text.encode(), after.encode(), item_id)
        entry["old"], entry["new"] = text[edit.start : edit.end], edit.new
        entry["left"], entry["right"] = around(after, edit.start, edit.start + len(edit.new))
        if edit.parts:
            entry["parts"] = list(edit.parts)
        return entry

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
            # Files change their places; the items of one file stay in it together.
            of = "" if "left" in entry else str(entry["id"])
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
                f"nothing to undo{what}: no edit is recorded in {one_line(self.packs.folder, 300)}",
                "hypervisor status",
            )
        for entry in renamed:
            self._rename_back(entry)
        results = []
        for (path, of), entries in chains.items():
            if not self._is_allowed(path):
                outside = "it is outside of the project"
                results.append(Restored(path, str(entries[0]["id"]), "failed", outside))
            elif of:
                results.append(self._restore(path, entries))
            else:
                results += self._unmark(path, entries, item_id)
        self._follow(results, chains)
        done = [result.path for result in results if result.outcome == "restored"]
        write.sync_folders(done)
        return results

    def _follow(
        self, results: list[Restored], chains: Mapping[tuple[str, str], list[Entry]]
    ) -> None:
        """Restore the tasks that are no longer where we wrote into them where they are now."""
        maybe = [
            (number, one.id, chains[one.path, one.id])
            for number, one in enumerate(results)
            if one.outcome in ("missing", "edited since") and (one.path, one.id) in chains
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
            results[number] = self._restore(os.path.join(self._root, place), entries)

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

    def _restore(self, path: str, entries: list[Entry]) -> Restored:
        """Write what stood before the edits of one file, given the newest first."""
        name = entries[0]["id"]
        try:
            seen = write.look(path)
            original = _rewound(seen.raw, entries)
            if original is None:
                now = digest(seen.raw)
                if any(entry["was"] == now for entry in entries):
                    return Restored(path, name, "already as before")
                return Restored(path, name, "edited since", _EDITED)
            write.replace(path, seen, original, sync_folder=False)
        except (OSError, HypervisorError) as error:
            return Restored(path, name, *_failed(error))
        if digest(original) != entries[-1]["was"]:
            return Restored(path, name, "restored", "up to an edit that somebody made in between")
        return Restored(path, name, "restored")

    def _unmark(self, path: str, entries: list[Entry], item_id: str | None) -> list[Restored]:
        """Take the marks of one item, or of all, out of a file of many."""
        from contextlib import nullcontext

        from hypervisor.tasks import formats
        from hypervisor.tasks.undo_marks import without

        names = dict.fromkeys([item_id] if item_id else [entry["id"] for entry in entries])
        try:
            kind = formats.of_file(path, write.look(path).raw.decode("utf-8", "replace"))
            with kind.lock(path) if kind else nullcontext():
                seen = write.look(path)
                made, told = without(seen.raw.decode(), entries, item_id)
                if made and item_id is not None:
                    # Or it would be unclear what stood around the marks of others before.
                    undone = [self._mark(path, item_id, text, edit) for text, edit in made]
                    self.packs.add([{**entry, "undone": True} for entry in undone])
                for text, edit in made[-1:]:
                    after = formats.spliced(text, [edit]).encode()
                    write.replace(path, seen, after, sync_folder=False)
        except (OSError, HypervisorError, UnicodeDecodeError) as error:
            return [Restored(path, name, *_failed(error)) for name in names]
        # Marks that were taken back together are no longer among those that stood around them.
        if not made and any(entry["was"] == digest(seen.raw) for entry in entries):
            told = dict.fromkeys(told, "already as before")
        return [
            Restored(path, name, told[name], _EDITED if told[name] == "edited since" else "")
            for name in names
        ]

    def _is_allowed(self, path: str) -> bool:
        real = os.path.realpath(path)
        if real.startswith(os.path.join(self._root, "")):
            return True
        return os.path.dirname(real) in self._folders()

    def _kept_path(self, path: str) -> str:
        full = os.path.abspath(path)
        below = os.path.join(self._root, "")
        return full[len(below) :] if full.startswith(below) else full


def _rewound(raw: bytes, entries: list[Entry]) -> bytes | None:
    """Walk the edits of one file, the newest first, back from its bytes; return what stood before
    all of them, None where the bytes are not of our writing."""
    now = None
    for entry in entries:
        if entry["after"] == digest(raw) and entry["was"] != entry["after"]:
            now = raw = content_of(entry["before"])
    return now


def _failed(error: OSError | HypervisorError | UnicodeDecodeError) -> tuple[str, str]:
    """Return what became of a file, and the detail of that."""
    if isinstance(error, FileNotFoundError):
        return "missing", "the file is not there any more"
    if isinstance(error, FileChanged):
        return "edited since", "somebody is editing it now; left as it is"
    return "failed", (error.strerror if isinstance(error, OSError) else None) or str(error)
