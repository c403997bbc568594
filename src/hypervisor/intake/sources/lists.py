"""Lists of files: `@list`, `queue.txt`, `*.list`, and what comes through a pipe.

One entry a line, or divided by NUL bytes as `find -print0` writes them. Carriage returns, blank
lines, blanks around an entry and a byte order mark are dropped; a line that starts with `#` is a
comment unless a file of that name exists. An entry is a path, from the current folder or from the
list's, or the id of a task below the root.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from hypervisor.config.roots import is_outside
from hypervisor.system.reading import MIB, read_start
from hypervisor.tasks.walk import is_markdown

BATCH = "queue.txt"
LARGEST = 64 * MIB
_ALWAYS = (".list", ".lst")
_LOOKED_AT = 20


def entries(data: bytes, folders: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yield (line from 1, entry) of a list; `folders` is where its relative paths start."""
    divided_by_nul = b"\0" in data
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(
        b"\0" if divided_by_nul else b"\n"), 1):  # fmt: skip
        if divided_by_nul:
            if raw:
                yield number, os.fsdecode(raw)
            continue
        line = os.fsdecode(raw.removesuffix(b"\r"))
        entry = line.strip()
        if not entry:
            continue
        if line != entry and locate(line, folders):
            entry = line
        if not entry.startswith("#") or locate(entry, folders):
            yield number, entry


def locate(entry: str, folders: tuple[str, ...]) -> str | None:
    """Return the absolute path of `entry` in the first of `folders` that has it, else None."""
    for folder in folders:
        path = os.path.join(folder, entry)
        try:
            if os.path.lexists(path):
                return _tidied(path)
        except ValueError:
            return None
    return None


def _tidied(path: str) -> str:
    # Behind a link `..` is not the folder that the text says.
    if ".." in path.split("/"):
        folder, name = os.path.split(path.rstrip("/"))
        return (
            os.path.realpath(path) if name == ".." else os.path.join(os.path.realpath(folder), name)
        )
    return os.path.normpath(path)


def may_lead_out(path: str, root: str) -> bool:
    """Say whether the list at `path` may name files outside of `root`.

    The list of a batch directory may: its user wrote it. One that lies in `root` or in any
    repository came with that for all we know.
    """
    return (
        os.path.basename(path) == BATCH and is_outside(root, path) and is_users_own(path)
    )  # fmt: skip


def is_users_own(path: str) -> bool:
    """Say whether the file at `path` is the user's and in a folder of the user's, no link, and in
    no repository."""
    folder = os.path.realpath(os.path.dirname(path))
    try:
        seen = [os.lstat(path), os.stat(folder)]
    except OSError:
        return False
    if not stat.S_ISREG(seen[0].st_mode) or any(one.st_uid != os.geteuid() for one in seen):
        return False
    while folder != "/":
        if os.path.lexists(os.path.join(folder, ".git")):
            return False
        folder = os.path.dirname(folder)
    return True


def is_list(path: str, folder: str) -> bool:
    """Return whether a text file that the user named is a list of items, not an item.

    `queue.txt`, `*.list` and `*.lst` always are. Another `*.txt` is one if each of its first lines
    names something that exists, or a Markdown file, or is a single word, as ids are.
    """
    name = os.path.basename(path).lower()
    if name == BATCH or name.endswith(_ALWAYS):
        return True
    if not name.endswith(".txt"):
        return False
    folders = (folder, os.path.dirname(path))
    start = read_start(path, 1 << 16)
    lines = [entry for _, entry in entries(start, folders)][:_LOOKED_AT]
    return bool(lines) and all(
        is_markdown(line) or len(line.split()) == 1 or locate(line, folders) for line in lines
    )
