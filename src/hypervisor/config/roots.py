"""Where a project's root is, and the folder of state beneath it."""

from __future__ import annotations

import os
import stat

from hypervisor.system import checkout, state
from hypervisor.system.errors import UsageError
from hypervisor.system.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = "hypervisor.toml"


def find_root(start: str | None = None) -> str:
    """Return the absolute real path of the root that `start` (default: the current folder) is in:
    the nearest of `roots`, else the folder itself."""
    folder = os.path.realpath(start or os.getcwd())
    return next(_roots(folder), folder)


def roots(start: str | None = None) -> Iterator[str]:
    """Return the absolute real paths of the roots that `start` (default: the current folder) is
    in, the nearest first.

    A root is the top of a git repository, or has `.hypervisor/` or `hypervisor.toml`. A linked
    worktree means its main one, and is no root by itself, nor by settings that are checked out in
    both. A folder that others write to (with the sticky bit), the home folder and `/` are none
    without settings of the user's own. What lies in a folder of state belongs to its root.
    """
    return _roots(os.path.realpath(start or os.getcwd()))


def _roots(folder: str) -> Iterator[str]:
    return (root for root in _outward(folder, set()) if not claims_all(root))


def roots_in_use(start: str | None = None) -> Iterator[str]:
    """Return those of `roots` that have state."""
    return (root for root in roots(start) if state.stands_in(root))


def root_in_use(start: str | None = None) -> str:
    """Return the nearest of `roots_in_use`, else what `find_root` does: what is heard in a nested
    repository may be about work of its outer."""
    return next(roots_in_use(start), None) or find_root(start)


def other_roots(folder: str, root: str) -> tuple[str | None, list[str]]:
    """Return the root that owns what is in `folder`, None for `root` itself, and all other roots
    around it that have state. One nearer than `root` owns it by its state or settings: a nested
    repository with neither is a part of the project."""
    owner, others, ours = None, [], False
    for other in roots(folder):
        ours = ours or other == root
        has_state = state.stands_in(other)
        if has_state and other != root:
            others.append(other)
        if not ours and not owner and (has_state or os.path.isfile(os.path.join(other, SETTINGS))):
            owner = other
    return owner, others


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

    Raises UsageError where `refuse_all` does, and Foreign for a folder that is not ours.
    """
    refuse_all(root)
    made = State.create(root)
    checkout.note_main(root)
    return made


def refuse_all(root: str) -> None:
    """Raise UsageError for a folder that `claims_all`."""
    if claims_all(root):
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


def _outward(start: str, seen: set[str]) -> Iterator[str]:
    """Yield what may be a root around the real path `start`, whether it is there or not."""
    folder = start
    while folder not in seen:
        seen.add(folder)
        # A working tree in there has its ledger above.
        in_state = state.is_within(folder)
        has_state = state.stands_in(folder)
        private = None if in_state else checkout.repository_at(folder)
        main = folder if private is None else checkout.main_of(folder, private)
        if main != folder:
            if checkout.repository_at(main) is None:
                yield main
            yield from _outward(_in_main(start, folder, main), seen)
        elif has_state:
            yield folder
        elif private is not None:
            # Where no worktree of it could tell which is the main one.
            apart = os.path.realpath(private)
            yield apart if state.stands_in(apart) else folder
        elif not in_state and _has_settings(folder):
            yield folder
        folder = os.path.dirname(folder)


def _has_settings(folder: str) -> bool:
    """True if settings stand in `folder`, other than those of a main worktree in a linked one."""
    if not os.path.isfile(os.path.join(folder, SETTINGS)):
        return False
    top = checkout.top_of(folder)
    private = top and checkout.repository_at(top)
    if not top or not private:
        return True
    twin = _in_main(folder, top, checkout.main_of(top, private))
    return twin == folder or not os.path.isfile(os.path.join(twin, SETTINGS))


def _in_main(path: str, top: str, main: str) -> str:
    """Return where the main worktree has what is at `path` in the worktree `top`."""
    return os.path.normpath(os.path.join(main, os.path.relpath(path, top)))
