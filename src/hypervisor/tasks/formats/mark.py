"""The mark of an ended item in a file that holds many: read again, found again, one place changed.

The lock is the file's, the item is found by its id and its text; what is gone or doubled is left.
"""

from __future__ import annotations

from operator import eq

from hypervisor.system.digests import sha256
from hypervisor.system.errors import BrokenFile, FileChanged, NoSuchItem
from hypervisor.tasks import formats, write
from hypervisor.tasks.formats import Format, Splice
from hypervisor.tasks.item import Item
from hypervisor.tasks.read import refuse_conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    class Log(Protocol):
        """What keeps edits before they are made."""

        def record_marks(
            self, path: str, item_id: str, text: str, edits: Iterable[Splice]
        ) -> None: ...


_TRIES = 20


def local_id(item_id: str, path: str) -> str:
    """Return the id of an item in its file; `path` is that of the file, from the root."""
    return item_id.removeprefix(f"{path}#")


def text_of(path: str) -> tuple[write.Seen, str]:
    """Read a file that holds many items. Raises OSError, and BrokenFile for what is not text."""
    seen = write.look(path)
    try:
        text = seen.raw.decode()
    except UnicodeDecodeError as error:
        line = seen.raw.count(b"\n", 0, error.start) + 1
        raise BrokenFile(path, line, "not UTF-8", "convert the file to UTF-8") from None
    if "<<<<<<< " in text:
        refuse_conflict(path, text)
    return seen, text


def read(path: str, kind: Format, own_id: str, title: str | None) -> Item:
    """Return the item as it stands in its file now; what it waits for need not be in it. Raises
    OSError, BrokenFile and NoSuchItem."""
    return _find(path, text_of(path)[1], kind, own_id, title)


def _find(path: str, text: str, kind: Format, own_id: str, title: str | None) -> Item:
    same = kind.find(path, text, own_id, title)
    if len(same) != 1:
        what = "is there more than once" if same else "is no longer there"
        raise NoSuchItem(
            path,
            same[1].line if same else None,
            f"the item {own_id} {what}",
            "put its line back, once",
        )
    return same[0]


def items_in(path: str, name: str) -> list[Item]:
    """Return the items of the file at `path`, of the format `name`; what they wait for need not be
    in them. Raises OSError and BrokenFile."""
    return formats.get(name).at(path).bare(path, text_of(path)[1])


def put(
    path: str,
    name: str,
    item_id: str,
    own_id: str,
    title: str | None,
    state: str,
    log: Log,
    wanted: Callable[[], bool],
    why: str = "",
) -> str | None:
    """Mark an item as ended with `state` in the file at `path`, of the format `name`; return the
    digest of what that held before, None where the format writes nothing for that state.

    `why` says what blocks it. Where it is marked already, nothing is done. A file that somebody
    edits meanwhile is read again; `wanted` is asked after each reading. Raises BrokenFile,
    FileChanged (it changed again and again) and OSError, with the file as it was.
    """
    kind = formats.get(name).at(path)
    for _ in range(_TRIES):
        with kind.lock(path):
            seen, text = text_of(path)
            if not wanted():
                return None
            item = _find(path, text, kind, own_id, title)
            blocked = state == "blocked"
            edits = kind.block(text, item, why) if blocked else kind.mark(text, item, state)
            if not edits:
                return None if edits is None else sha256(seen.raw)
            if title is not None and not _same_words(item.title, title):
                what = f"the item {own_id} says something else now"
                raise NoSuchItem(path, item.line, what, "put its text back, or mark it by hand")
            _prove(path, text, kind, item, edits, state)
            after = formats.spliced(text, edits).encode()
            log.record_marks(path, item_id, text, [_named(edit, item_id, own_id) for edit in edits])
            try:
                write.replace(path, seen, after)
                return sha256(seen.raw)
            except FileChanged:
                continue
    raise FileChanged(path)


def _same_words(one: str, other: str) -> bool:
    """True if two titles are one, but for signs and for what one says behind the other."""
    first, second = (
        "".join(char if char.isalnum() else " " for char in text.casefold()).split()
        for text in (one, other)
    )
    return all(map(eq, first, second))


def _named(edit: Splice, item_id: str, own_id: str) -> Splice:
    """Return an edit whose parts are called as everywhere, as `item_id` is for `own_id`."""
    file = item_id.removesuffix(own_id)
    return edit._replace(parts=tuple(f"{file}{one}" for one in edit.parts))


def _prove(path: str, text: str, kind: Format, item: Item, edits: list[Splice], state: str) -> None:
    """Raise BrokenFile unless the edits bring the item to `state`, and leave all others as they
    were but for what they touch themselves.

    Where an item does not hang on the lines after it, the lines that are touched tell: what is no
    item without those around it is looked at with all of them.
    """
    if kind.by_lines:
        start = text.rfind("\n", 0, min(edit.start for edit in edits)) + 1
        end = text.find("\n", max(edit.end for edit in edits))
        window = text[start : end if end >= 0 else len(text)]
        start += len(window) - len(window.lstrip(" \t\ufeff"))
        window = window.lstrip(" \t\ufeff")
        moved = [Splice(one.start - start, one.end - start, one.new) for one in edits]
        if window and moved[0].start >= 0 and _proves(path, window, kind, item, moved, state):
            return
    if not _proves(path, text, kind, item, edits, state):
        raise BrokenFile(
            path, item.line, "the mark would change more than its item", "mark it by hand"
        )


def _proves(
    path: str, text: str, kind: Format, item: Item, edits: list[Splice], state: str
) -> bool:
    before = kind.bare(path, text)
    after = kind.bare(path, formats.spliced(text, edits))
    if [one.id for one in before] != [one.id for one in after]:
        return False
    touched = {text.count("\n", 0, edit.start) + 1 for edit in edits}
    reached = False
    for old, new in zip(before, after, strict=True):
        if old.title == item.title and kind.reaches(state, old, new):
            reached = True
        if (old.title, old.word, old.state) != (new.title, new.word, new.state):
            of_item = old.line in touched if kind.by_lines else _holds(old, item)
            if old.title != new.title or not of_item:
                return False
    return reached


def _holds(one: Item, item: Item) -> bool:
    """True for the item itself, and for what it is a part of."""
    return one.id == item.id or item.id.startswith(f"{one.id}.")
