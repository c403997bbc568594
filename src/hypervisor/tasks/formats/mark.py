"""The mark of an ended item in a file that holds many: read again, found again, one place changed.

The lock is the file's, the item is found by its id and its text; what is gone or doubled is left.
"""

from __future__ import annotations

from hypervisor.system.errors import BrokenFile, FileChanged, NoSuchItem
from hypervisor.tasks import formats, write
from hypervisor.tasks.formats import Format, Item
from hypervisor.tasks.read import refuse_conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hypervisor.tasks.undo import UndoLog

_TRIES = 20


def local_id(item_id: str, path: str) -> str:
    """Return the id of an item in its file; `path` is that of the file, from the root."""
    return item_id.removeprefix(f"{path}#")


def text_of(path: str) -> tuple[write.Seen, str]:
    """Read a file that holds many items. Raises OSError, and BrokenFile for what is no text."""
    seen = write.look(path)
    try:
        text = seen.raw.decode()
    except UnicodeDecodeError as error:
        line = seen.raw.count(b"\n", 0, error.start) + 1
        raise BrokenFile(path, line, "not UTF-8", "convert the file to UTF-8") from None
    if "<<<<<<< " in text:
        refuse_conflict(path, text)
    return seen, text


def find(items: list[Item], path: str, own_id: str, title: str | None) -> Item:
    """Return the item with the id `own_id` in the file at `path`: its text decides where another
    one has that id by now. Raises NoSuchItem."""
    same = [one for one in items if one.id == own_id]
    if len(same) != 1 or (title is not None and same[0].title != title):
        by_title = [one for one in items if one.title == title]
        if len(by_title) == 1:
            same = by_title
    if len(same) != 1:
        what = "stands there more than once" if same else "is no longer there"
        raise NoSuchItem(
            path,
            same[1].line if same else None,
            f"the item {own_id} {what}",
            "mend the file, or cancel the item",
        )
    return same[0]


def read(path: str, kind: Format, own_id: str, title: str | None) -> Item:
    """Return the item as it stands in its file now. Raises OSError and BrokenFile."""
    return find(kind.items(path, text_of(path)[1]), path, own_id, title)


def put(
    path: str,
    name: str,
    item_id: str,
    own_id: str,
    title: str | None,
    state: str,
    log: UndoLog,
    wanted: Callable[[], bool],
) -> None:
    """Mark an item as ended with `state` in the file at `path`, of the format `name`.

    Where it is marked already, or the format writes nothing for that state, nothing is done. A
    file that somebody edits meanwhile is read again; `wanted` is asked after each reading. Raises
    BrokenFile, FileChanged (it changed again and again) and OSError, with the file as it was.
    """
    kind = formats.get(name)
    for _ in range(_TRIES):
        with kind.lock(path):
            seen, text = text_of(path)
            if not wanted():
                return
            items = kind.items(path, text)
            item = find(items, path, own_id, title)
            edits = kind.mark(text, item, state)
            if not edits:
                return
            after = formats.spliced(text, edits)
            _prove(path, items, kind.items(path, after), item)
            log.record_splice(path, item_id, seen.raw, after.encode())
            try:
                write.replace(path, seen, after.encode())
                return
            except FileChanged:
                continue
    raise FileChanged(path)


def _prove(path: str, before: list[Item], after: list[Item], changed: Item) -> None:
    """Raise BrokenFile unless the edit left every item as it was but for the state of one."""
    told = [(one.id, one.title, one.state) for one in before]
    now = [(one.id, one.title, one.state) for one in after]
    odd = [place for place, pair in enumerate(zip(told, now, strict=False)) if pair[0] != pair[1]]
    if len(told) != len(now) or any(
        # The last part of an item may end that, too.
        changed.id != before[place].id and not changed.id.startswith(f"{before[place].id}.")
        for place in odd
    ):
        raise BrokenFile(
            path, changed.line, "the mark would change more than its item", "mark it by hand"
        )
