"""Where a project's root is, and the folder of state beneath it."""

from __future__ import annotations

import os
import stat

from hypervisor.system.errors import UsageError
from hypervisor.system.reading import NotReadable, read_start
from hypervisor.system.state import STATE, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = "hypervisor.toml"
# No path is longer.
_LONGEST = 1 << 13


def find_root(start: str | None = None) -> str:
    """Return the absolute real path of the root that `start` (default: the current folder) is in.

    The nearest ancestor that has `.hypervisor/`, else the nearest with `hypervisor.toml`, else the
    main worktree of the git repository (linked worktrees share it), else the folder itself.
    """
    folder = os.path.realpath(start or os.getcwd())
    for marker in (os.path.isdir, STATE), (os.path.isfile, SETTINGS):
        found = _nearest(folder, *marker)
        if found:
            return found
    repository = _nearest(folder, os.path.lexists, ".git")
    return _main_worktree(repository) if repository else folder


def is_outside(root: str, path: str) -> bool:
    """Say whether an absolute `path` leads out of the real folder `root`, links followed."""
    return not os.path.join(os.path.realpath(path), "").startswith(os.path.join(root, ""))


def user_file() -> str:
    """Return the path of the user's own configuration; it need not exist."""
    folder = os.environ.get("XDG_CONFIG_HOME") or ""
    if not os.path.isabs(folder):
        # As its specification says: a relative one would be in whatever project one stands in.
        folder = os.path.expanduser("~/.config")
    return os.path.join(folder, "hypervisor", "config.toml")


def create_state(root: str) -> State:
    """Return the state of `root`, made if there is none.

    Raises UsageError where `refuse_home` does, and Foreign for a folder that is not ours.
    """
    refuse_home(root)
    return State.create(root)


def refuse_home(root: str) -> None:
    """Raise UsageError for the file system's root and the home folder: `.hypervisor/` there would
    claim every folder beneath. A `hypervisor.toml` beside it shows that this is wanted."""
    home = os.path.realpath(os.path.expanduser("~"))
    if root in ("/", home) and not os.path.isfile(os.path.join(root, SETTINGS)):
        raise UsageError(
            f"{root}: keeping state here would claim every folder below it",
            f"run it from the folder that holds your tasks, or 'touch {SETTINGS}' here first",
        )


def claims_all(root: str) -> bool:
    """True for the file system's root, the home folder, and a folder with the sticky bit, as a
    temporary one: `.hypervisor/` there would claim every folder beneath. A `hypervisor.toml` of
    the user's own beside it shows that this is wanted."""
    try:
        shared = os.stat(root).st_mode & stat.S_ISVTX
        if not shared and root not in ("/", os.path.realpath(os.path.expanduser("~"))):
            return False
        return os.stat(os.path.join(root, SETTINGS)).st_uid != os.geteuid()
    except OSError:
        return True


def _nearest(folder: str, exists: Callable[[str], bool], name: str) -> str | None:
    while True:
        if exists(os.path.join(folder, name)):
            return folder
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def _main_worktree(folder: str) -> str:
    """Follow a linked worktree's `.git` file to the main worktree; without one, stay."""
    git = os.path.join(folder, ".git")
    if os.path.isdir(git):
        return folder
    try:
        words = _first_line(git).split(":", 1)
        if words[0] != "gitdir":
            return folder
        private = os.path.join(folder, words[1].strip())
        common = os.path.join(private, _first_line(os.path.join(private, "commondir")))
        common = os.path.realpath(common)
    except (OSError, NotReadable, IndexError, ValueError):
        return folder
    main = os.path.dirname(common)
    return main if os.path.basename(common) == ".git" else folder


def _first_line(path: str) -> str:
    """Return the first line of a file of git's. Raises OSError and NotReadable."""
    return os.fsdecode(read_start(path, _LONGEST).partition(b"\n")[0]).strip()
