"""`open --scope named`: a worker changes the files that its task names, and no others.

What the working tree looks like is kept at the claim and compared at `done`. Others work in the
same tree: what they may have changed meanwhile is what the items name that they held meanwhile.
On a branch nobody else works: what it changed is told by git.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypedDict

from hypervisor.ledger.findings import Named
from hypervisor.ledger.rows import Holding
from hypervisor.system.checkout import top_of
from hypervisor.system.errors import HypervisorError
from hypervisor.system.files import fingerprint, is_same
from hypervisor.system.git import Git
from hypervisor.system.keys import key
from hypervisor.system.notes import is_note
from hypervisor.system.reading import NotReadable, read_start
from hypervisor.system.state import STATE, State
from hypervisor.tasks import markdown
from hypervisor.tasks.read import LARGEST
from hypervisor.tasks.temporary import is_temporary
from hypervisor.worker import handed

NAMED = "named"
_FOLDER = "scope"
_SKIPPED = frozenset((".git", STATE, "node_modules", ".venv", "__pycache__"))
# Nothing of a longer path, but for a leading `./`.
_BEFORE = r"(?:(?<![\w/-])(?<!\w\.)|(?<=\./)(?<!\.\./))"
_GLOB = re.compile(r"[\w./-]*\*[\w./*-]*")


class Looks(TypedDict):
    """The commit of a working tree, and how the files look that differ from it."""

    head: str | None
    files: dict[str, str | None]


def begin(state: State, token: str) -> None:
    """Keep how the tree looks at the claim `token`. Raises HypervisorError, OSError."""
    kept = json.dumps(look(state.root)).encode()
    state.folder.below(_FOLDER, make=True).write(key(token), kept)


def end(state: State, token: str) -> None:
    """Forget what `begin` kept."""
    try:
        state.folder.below(_FOLDER).remove(key(token))
    except FileNotFoundError:
        pass


def strays(state: State, token: str, own: Holding, others: Iterable[Named]) -> list[str]:
    """Return the files changed since `begin` that neither `own` item names nor any of `others`.

    Empty if `begin` was never called: the queue's scope was another then. Raises HypervisorError,
    OSError.
    """
    try:
        before = json.loads(state.folder.below(_FOLDER).read(key(token)))
        changed = _changed(state.root, before)
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise HypervisorError(
            "what was noted of the working tree at the claim can't be read",
            "release the item and take it again",
        ) from None
    return unnamed(state.root, changed, (own, *others), handed.read(state, token))


def unnamed(
    root: str,
    changed: Iterable[str],
    items: Iterable[Named | Holding],
    before: bytes | None = None,
) -> list[str]:
    """Return the paths of `changed` that none of `items` names; see `strays`. The first of them is
    the task that held what stood there `before`, if that is given."""
    left = sorted(changed)
    for item in items:
        if not left:
            break
        text, before = _text(root, item, before), None
        left = [path for path in left if path != item.path and not names(text, path)]
    return left


def names(text: str, path: str) -> bool:
    """True if `text` names the file at `path` (from the root): by its path, by a folder above it
    with a slash at the end, or by a pattern with `*`."""
    if path in text and re.search(rf"{_BEFORE}{re.escape(path)}(?![\w/-]|\.\w)", text):
        return True
    folder = os.path.dirname(path)
    while folder:
        pattern = rf"{_BEFORE}{re.escape(folder)}/(?![\w.*-])"
        if f"{folder}/" in text and re.search(pattern, text):
            return True
        folder = os.path.dirname(folder)
    return any(fnmatch.fnmatchcase(path, word.lstrip("./")) for word in _GLOB.findall(text))


def _text(root: str, item: Named | Holding, before: bytes | None) -> str:
    parts = [item.title or "", item.payload or "", item.files or "", item.instructions or ""]
    if item.path is not None:
        try:
            raw = before or read_start(os.path.join(root, item.path), LARGEST)
            # A report of ours may tell of a file that was none of the task's business.
            parts.append(markdown.without_own_section(raw.decode("utf-8", "replace")))
        except (OSError, NotReadable):
            pass
    return "\n".join(parts)


def _changed(root: str, before: Looks) -> set[str]:
    now = look(root)
    old, new = before["files"], now["files"]
    changed = {
        path for path in old.keys() | new.keys() if not is_same(old.get(path), new.get(path))
    }
    if before["head"] != now["head"] and before["head"] is not None:
        changed |= committed(Git(root), before["head"], root)
    return changed


def committed(git: Git, base: str, root: str) -> set[str]:
    """Return the files, from the root, that the last commit has otherwise than `base`."""
    places = (os.path.join(git.top(), path) for path in git.changed(base, "HEAD"))
    inside = (os.path.relpath(place, root) for place in places)
    return {path for path in inside if not path.startswith("../")}


def look(root: str, most: int | None = None) -> Looks:
    """Return the commit and the looks of the files that differ from it; without git of all, or of
    so many at `most`."""
    top = top_of(root)
    if top is None:
        return {"head": None, "files": dict(islice(_walk(root, ""), most))}
    git, below = Git(root), os.path.relpath(root, top)
    told = git(
        "--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=all",
        "--no-renames", *git.all_but_strangers(below),
    )  # fmt: skip
    prefix, head = "" if below == "." else f"{below}/", git.head()
    files = {}
    for entry in told.split("\0"):
        path = entry[3:].removeprefix(prefix)
        place = os.path.join(root, path)
        if entry and path.split("/", 1)[0] != STATE and not _is_ours(place):
            files[path] = fingerprint(place)
    return {"head": head, "files": files}


def _is_ours(place: str) -> bool:
    """True for a note of ours, and for what stands for a moment beside a file that is written."""
    return is_note(place) or is_temporary(os.path.basename(place))


def _walk(root: str, folder: str) -> Iterator[tuple[str, str | None]]:
    with os.scandir(os.path.join(root, folder)) as entries:
        for entry in entries:
            path = os.path.join(folder, entry.name)
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _SKIPPED:
                    yield from _walk(root, path)
            elif not _is_ours(entry.path):
                yield path, fingerprint(entry.path)
