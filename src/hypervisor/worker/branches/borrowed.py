"""A working tree that a claim's caller stands in already (a client's own isolation, an agent's of a
pool): it changes its branch for the time of the claim."""

from __future__ import annotations

import os
from collections.abc import Callable

from hypervisor.system.checkout import private_dir, top_of
from hypervisor.system.errors import UsageError
from hypervisor.system.git import Git
from hypervisor.system.text import one_line
from hypervisor.worker.branches.worktrees import (
    Tree,
    branch_name,
    clean,
    common_dir,
    standing,
    start,
    work_in,
)

# In a worktree's private folder: the token it works for, and what it stood at before.
_NOTE = "hypervisor"


def enter(
    at_root: Git, item_id: str, token: str, cwd: str, put_away: Callable[[str, str], object]
) -> Tree:
    """Put the linked worktree around `cwd` on the branch of a claim.

    Of an earlier claim whose tree it is still, `put_away` is called with its top and the token, and
    gives it back with nothing lost; anything else that is not committed is refused. Raises
    UsageError, GitError and HypervisorError.
    """
    root = at_root.root
    main, head = standing(at_root)
    top = top_of(cwd)
    if top is None:
        raise UsageError(f"{one_line(cwd, 300)}: in no git working tree", "go into one")
    if top == main or common_dir(top) != common_dir(main):
        raise UsageError(
            f"{one_line(top, 300)}: not a linked worktree of {one_line(main, 300)}",
            "go into one, or leave out --here",
        )
    private, git = private_dir(top) or "", at_root.at(top)
    earlier = _note(private)
    if earlier is not None:
        put_away(top, earlier[0])
    elif is_dirty(git):
        raise UsageError(
            f"{one_line(top, 300)}: has changes that are not committed", "commit or remove them"
        )
    base = start(at_root, head)
    branch = branch_name(item_id, token)
    code, before, _ = git.run("symbolic-ref", "--quiet", "--short", "HEAD")
    if code:
        before = git("rev-parse", "HEAD")
    with open(os.path.join(private, _NOTE), "w", encoding="utf-8") as note:
        note.write(f"{token}\n{before.strip()}\n")
    git("checkout", "--quiet", "-b", branch, base)
    return Tree(git, work_in(top, root, main), branch, base)


def entered(work: str, token: str) -> str | None:
    """Return the top of the worktree around `work` if `enter` put that on the branch of `token`."""
    top = top_of(work)
    told = _note(private_dir(work) or "")
    return top if told is not None and told[0] == token else None


def token_of(top: str) -> str | None:
    """Return the claim whose branch `enter` has put the worktree at `top` on, None for none."""
    told = _note(private_dir(top) or "")
    return told and told[0]


def note_of(tree: Tree) -> str | None:
    """Return the file that was written when the tree was entered, None for one of a claim's own."""
    note = os.path.join(tree.private, _NOTE)
    return note if os.path.exists(note) else None


def is_dirty(git: Git) -> bool:
    """True if files stand in the worktree that are not committed, whatever the user has git show;
    what it ignores aside."""
    words = ("--untracked-files=normal", "--ignore-submodules=none")
    return bool(git("status", "--porcelain", "-z", *words, *git.all_but_strangers()))


def leave(git: Git) -> None:
    """Give the worktree that `enter` took back as it was; what is not committed there goes."""
    private = private_dir(git.folder) or ""
    told = _note(private)
    if told is None:
        return
    clean(git, told[1])
    os.unlink(os.path.join(private, _NOTE))


def _note(private: str) -> tuple[str, str] | None:
    try:
        with open(os.path.join(private, _NOTE), encoding="utf-8") as note:
            token, before = note.read().splitlines()
    except (OSError, ValueError):
        return None
    return token, before
