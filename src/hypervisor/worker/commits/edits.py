"""What is known of who changed which file: edits that hooks saw, commits that we made.

It lies in `.hypervisor/edits`, a line of JSON for each. A shell command that changes files is seen
by nobody: what stands here is never all.
"""

from __future__ import annotations

import os
import time

from hypervisor.system.files import fingerprint
from hypervisor.system.folder import write_all
from hypervisor.system.quick_json import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypervisor.system.state import State

_NAME = "edits"
_LARGEST = 1 << 20
# A part of a file is committed where the rest of it is not the item's.
BEFORE, AFTER, COMMITTED, PART = "before", "after", "committed", "part"


class Edit:
    """One line: `at` which time, what (`BEFORE` an edit, `AFTER` it, `COMMITTED`, `PART`), by the
    holder of which claims (none: by somebody without an item), to which file (from the root), how
    that looked then ("" for none), and what git keeps of all that stood in it as it was committed.
    """

    __slots__ = ("at", "blob", "looks", "path", "tokens", "what")

    def __init__(
        self, at: float, what: str, tokens: list[str], path: str, looks: str, blob: str | None
    ) -> None:
        self.at = at
        self.what = what
        self.tokens = tokens
        self.path = path
        self.looks = looks
        self.blob = blob


def note(
    state: State, what: str, tokens: Iterable[str], file: str, blob: str | None = None
) -> None:
    """Note an edit or a commit of `file` (absolute). One outside of the root is passed by. Raises
    OSError."""
    path = _from_root(state.root, file)
    if path is None:
        return
    # In the order in which `Edit` takes them.
    line = dumps([time.time(), what, list(tokens), path, fingerprint(file) or "", blob])
    with state.folder.locked(f"{_NAME}.lock"):
        seen = state.folder.look(_NAME)
        if seen is not None and seen.st_size > _LARGEST:
            kept = state.folder.read(_NAME)[-_LARGEST // 2 :]
            state.folder.write(_NAME, kept[kept.find(b"\n") + 1 :])
        fd = state.folder.open(_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            write_all(fd, f"{line}\n".encode())
        finally:
            os.close(fd)


def of_file(state: State, path: str) -> list[Edit]:
    """Return what is known of the file at `path` (from the root), oldest first."""
    return [edit for edit in all_seen(state) if edit.path == path]


def all_seen(state: State) -> list[Edit]:
    """Return what is known of any file, oldest first."""
    try:
        lines = state.folder.read(_NAME).split(b"\n")
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(Edit(*loads(line.decode())))
        except (ValueError, TypeError, RecursionError):
            continue
    return found


def _from_root(root: str, file: str) -> str | None:
    folder = os.path.realpath(os.path.dirname(file))
    path = os.path.relpath(os.path.join(folder, os.path.basename(file)), os.path.realpath(root))
    return None if path.startswith("../") else path
