"""How the protected files below a folder look, links resolved, so that a change is found out.

Beside them are those files that a worker changes in the open where its task doesn't name them; see
`system.protected`. What stands in a file counts, not when it was saved; it is read only where the
file looks otherwise than in an earlier snapshot.
"""

from __future__ import annotations

import os
import stat
import time

from hypervisor.system import protected
from hypervisor.system.checkout import private_dir, shared_dir
from hypervisor.system.digests import sha256
from hypervisor.system.files import fingerprint_of
from hypervisor.system.notes import is_note
from hypervisor.system.reading import NotReadable, read_file
from hypervisor.system.state import STATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Made by tools, large, and full of names with a dot; nothing starts from there by itself.
_PASSED_BY = frozenset((
    "__pycache__", "node_modules", ".cache", ".direnv", ".eggs", ".gradle", ".hg",
    ".mypy_cache", ".next", ".nox", ".pytest_cache", ".ruff_cache", ".svn", ".terraform", ".tox",
    ".venv", "venv",
))  # fmt: skip
# What git runs or is steered by; the rest of its folder changes at every turn.
_OF_GIT = (
    "commondir",
    "config",
    "config.worktree",
    "info/attributes",
    "info/exclude",
    "info/grafts",
)
_NOTED = frozenset(("description", "gh-merge-base", "merge", "vscode-merge-base"))
_LONGEST, _LARGEST = 1 << 16, 1 << 20
# So many entries are looked at, the folders nearest to the root first; what lies below is not.
_MOST = 50_000


# Begins what is told of a file that was read: what counts of it, and how it looks.
_READ = "\1"


class Snapshot:
    """`files` maps paths from the folder to how they look; what lies deeper than `levels` folders
    was not looked at."""

    __slots__ = ("files", "levels")

    def __init__(self, files: dict[str, str], levels: int) -> None:
        self.files = files
        self.levels = levels

    def changed(self, later: Snapshot) -> list[str]:
        """Return the paths that were made, changed or removed since, as far as both tell."""
        levels = min(self.levels, later.levels)
        old, new = self.files, later.files
        differ = (
            path
            for path in old.keys() | new.keys()
            if _what_counts(old.get(path)) != _what_counts(new.get(path))
        )
        return sorted(
            path
            for path in differ
            if (path.count("/") < levels or path.startswith(".git/"))
            # Working trees come and go, with all that git keeps of them.
            and not (path.startswith(".git/worktrees/") and not (path in old and path in new))
        )


def _what_counts(told: str | None) -> str | None:
    """Return of what a snapshot tells of a file that which makes it another one."""
    return told.split(_READ, 2)[1] if told and told.startswith(_READ) else told


class _Files(dict[str, str]):
    """The files of a snapshot that is made; `known` are those of an earlier one."""

    known: dict[str, str]


def snapshot(root: str, before: Snapshot | None = None) -> Snapshot:
    """Return how the folder `root` looks now; in a very large one, without its lowest folders."""
    files = _Files()
    files.known = before.files if before is not None else {}
    _note_git(files, root, "")
    level, depth, seen = [""], 0, 0
    while level:
        below: list[str] = []
        for folder in level:
            seen += _note_folder(files, root, folder, below)
        depth += 1
        if seen > _MOST and below:
            return Snapshot(files, depth)
        level = below
    return Snapshot(files, 1 << 30)


def _note_folder(files: _Files, root: str, folder: str, below: list[str]) -> int:
    """Note what counts in a folder, add the folders in it to `below`, return how many entries."""
    try:
        listed = _listed(root, folder)
    except OSError:
        return 1
    below += listed.below
    for path in listed.repositories:
        _note_git(files, root, path)
    for path, place in listed.files:
        _note(files, path, place)
    # To open a folder takes as long as to look at so many entries.
    return listed.count + 10


class _Listed:
    """What counts in a folder that looked like `looks`: the `files` as (path, place), the folders
    to be looked at, the repositories; and of how many entries."""

    __slots__ = ("below", "count", "files", "looks", "repositories")

    def __init__(self, looks: tuple[int, int, int], count: int) -> None:
        self.looks = looks
        self.count = count
        self.files: list[tuple[str, str]] = []
        self.below: list[str] = []
        self.repositories: list[str] = []


# Of the folders that this process has listed before: a server looks at them again and again, and
# in most of them nothing came or went.
_known: dict[str, _Listed] = {}
_MOST_KNOWN = 10_000
# Two changes within one tick of a file system's clock leave one time.
_TICK_NS = 50_000_000


def _listed(root: str, folder: str) -> _Listed:
    place = f"{root}/{folder}" if folder else root
    status = os.stat(place)
    # No program can set this time back.
    looks = (status.st_dev, status.st_ino, status.st_ctime_ns)
    known = _known.get(place)
    if known is not None and known.looks == looks:
        return known
    now = time.time_ns()
    listed = _list(place, folder, looks, status)
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    if now - status.st_ctime_ns > _TICK_NS:
        _known[place] = listed
    return listed


# Devices on which a folder's number of links says how many folders are in it.
_counting: set[int] = set()


def _list(place: str, folder: str, looks: tuple[int, int, int], status: os.stat_result) -> _Listed:
    inside = f"{folder}/" if folder else ""
    folders, names = _split(place, status)
    found = _Listed(looks, len(folders) + len(names))
    for folder_name in folders:
        name, path = folder_name.casefold(), inside + folder_name
        if name == STATE:
            # Ours, and what stands in it changes all the time.
            continue
        if name == ".git":
            if folder:
                found.repositories.append(path)
        elif name not in _PASSED_BY and path.casefold() != protected.TREES:
            found.below.append(path)
    for name in names if "/." in f"/{folder}" else _with_a_name(names):
        if name.casefold() != STATE:
            path, file = inside + name, f"{place}/{name}"
            # A note, where the project is the user's home, is no change.
            counts = protected.steers(path) or protected.wants_naming(path)
            if counts and not (is_note(file) or _is_next_version(name)):
                found.files.append((path, file))
    return found


def _is_next_version(name: str) -> bool:
    """True for that of a task that is being written, or whose writer was killed."""
    if not name.startswith(".hypervisor-"):
        return False
    from hypervisor.tasks.temporary import is_temporary

    return is_temporary(name)


def _with_a_name(names: list[str]) -> list[str]:
    """Return those of the names that begin with a dot, or are known. There may be many files, and
    few of them count: no step is taken for each."""
    together = "\0" + "\0".join(names)
    folded = together.casefold().split("\0")[1:]
    if "\0." not in together and protected.NAMES.isdisjoint(folded):
        return []
    return [
        name
        for name, key in zip(names, folded, strict=True)
        if name.startswith(".") or key in protected.NAMES
    ]


def _split(place: str, status: os.stat_result) -> tuple[list[str], list[str]]:
    """Return the names of the folders in a folder that looks like `status`, and all others."""
    if status.st_nlink == 2 and status.st_dev in _counting:
        return [], os.listdir(place)
    folders: list[str] = []
    names: list[str] = []
    with os.scandir(place) as entries:
        for entry in entries:
            (folders if entry.is_dir(follow_symlinks=False) else names).append(entry.name)
    if status.st_nlink != len(folders) + 2:
        _counting.discard(status.st_dev)
    elif folders:
        _counting.add(status.st_dev)
    return folders, names


def _note(files: _Files, path: str, place: str) -> None:
    try:
        status = os.lstat(place)
    except OSError:
        return
    files[path] = _told(files, path, (place, status))
    if path == protected.GRANTS and stat.S_ISREG(status.st_mode):
        files[path] = _text(place) or files[path]
    elif stat.S_ISLNK(status.st_mode):
        # A change of what it leads to is a change of it.
        for name, target in _led_to(place):
            led = f"{path}{name}"
            files[led] = _told(files, led, (place, status), (f"{place}{name}", target))


def _told(files: _Files, path: str, *seen: tuple[str, os.stat_result]) -> str:
    """Return what to tell of the file at `path`: of each place where it was seen, a link and what
    that leads to, its kind, mode and content."""
    looks = " ".join(fingerprint_of(status) for _, status in seen)
    known = files.known.get(path, "")
    if known.startswith(_READ) and known.endswith(f"{_READ}{looks}"):
        return known
    counts = []
    for place, status in seen:
        try:
            if stat.S_ISLNK(status.st_mode):
                content = os.fsencode(os.readlink(place))
            else:
                content = read_file(place, _LARGEST)[0]
        except (OSError, NotReadable):
            return looks
        counts.append(f"{status.st_mode:o}-{sha256(content)}")
    return f"{_READ}{' '.join(counts)}{_READ}{looks}"


def _led_to(link: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield what a link leads to, a file or those in a folder: what comes behind the link's name,
    and how it looks."""
    try:
        target = os.stat(link)
    except OSError:
        return
    if not stat.S_ISDIR(target.st_mode):
        yield "", target
        return
    left = 1000
    for here, folders, names in os.walk(link):
        folders[:] = [name for name in folders if name not in _PASSED_BY and name != ".git"]
        for name in names:
            left -= 1
            if left < 0:
                return
            place = os.path.join(here, name)
            try:
                yield place[len(link) :], os.stat(place)
            except OSError:
                continue


def _note_git(files: _Files, root: str, path: str) -> None:
    """Note what git would run, or be steered by, of the repository at `path` (".git" of the root
    for ""), wherever it keeps that."""
    top = os.path.join(root, os.path.dirname(path))
    here = path or ".git"
    place = os.path.join(root, here)
    if os.path.islink(place) or not os.path.isdir(place):
        _note(files, here, place)
    private = private_dir(top) if not path else place
    if private is None or not os.path.isdir(private):
        return
    for folder in dict.fromkeys((private, shared_dir(private))):
        _note_repository(files, here, folder)


def _note_repository(files: _Files, path: str, folder: str, depth: int = 0) -> None:
    for name in _OF_GIT:
        _note(files, f"{path}/{name}", os.path.join(folder, name))
    if f"{path}/config" in files:
        files[f"{path}/config"] = _settings(os.path.join(folder, "config"), files[f"{path}/config"])
    hooks = os.path.join(folder, "hooks")
    if os.path.islink(hooks):
        _note(files, f"{path}/hooks", hooks)
    for here, _, names in os.walk(hooks):
        for name in names:
            place = os.path.join(here, name)
            _note(files, f"{path}/hooks{place[len(hooks) :]}", place)
    for name in _names(os.path.join(folder, "worktrees")):
        own = f"worktrees/{name}/config.worktree"
        _note(files, f"{path}/{own}", os.path.join(folder, own))
    # A submodule's name may have slashes.
    for here, folders, names in os.walk(os.path.join(folder, "modules")):
        if "HEAD" in names and "config" in names:
            folders.clear()
            if depth < 8:
                inner = here[len(folder) :]
                _note_repository(files, f"{path}{inner}", here, depth + 1)


def _settings(place: str, looks: str) -> str:
    """Return what stands in a repository's configuration, but for what git and editors note there
    at every turn: what a branch is merged with. `looks` is returned for one that can't be read."""
    text = _text(place)
    if text is None or "\\\n" in text:
        # A line that goes on may hide what section it stands in.
        return looks
    kept, of_branch = [], False
    for line in text.split("\n"):
        word = line.strip()
        if word.startswith("["):
            of_branch = word.startswith('[branch "') and word.endswith('"]')
        key, _, value = word.partition("=")
        noted = key.strip().lower() in _NOTED or (
            key.strip().lower() == "remote" and value.strip().isidentifier()
        )
        if word and not (of_branch and (word.startswith("[") or noted)):
            kept.append(word)
    return "\n".join(kept)


def _text(place: str) -> str | None:
    """Return what stands in a file, without NUL; None if it can't be read, or is long."""
    try:
        text = read_file(place, _LONGEST)[0].decode("utf-8", "backslashreplace")
    except (OSError, NotReadable):
        return None
    return text.replace("\0", "\n").replace(_READ, "\n").replace("\r\n", "\n").replace("\r", "\n")


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
